"""What a person sees who points curl at the server: a clear refusal or a reply, at once, never a hang.

curl offers HTTP's names by ALPN, of which the server has none; without ALPN the request is a message
like any other.
"""

import unittest

import certificates as certs
import processes
from certpost_server import Server

# curl(1), EXIT CODES
UNSUPPORTED_PROTOCOL = 1
OPERATION_TIMEOUT = 28
TLS_CONNECT_ERROR = 35
GOT_NOTHING = 52
CURL_S = 10


class Curl(unittest.TestCase):
    def setUp(self):
        self.program = processes.need_program("curl")

    def _get(self, server, *options, scheme="https"):
        arguments = [
            self.program, "--silent", "--show-error", "--max-time", str(CURL_S), "--noproxy", "*", "--cacert",
            certs.path("ca.crt"), "--resolve", f"localhost:{server.port}:127.0.0.1", *options,
            f"{scheme}://localhost:{server.port}/",
        ]
        return processes.run(arguments)

    def test_curl_http_over_tls_is_refused_by_alpn(self):
        for options in ((), ("--http1.1",)):
            with Server() as server:
                status, output, errors = self._get(server, *options)
                self.assertEqual((status, output), (TLS_CONNECT_ERROR, ""), errors)
                self.assertIn("no application protocol", errors)
                server.wait_log("offers only application protocols")
            self.assertEqual(server.received(), [])

    def test_curl_without_alpn_sends_a_message(self):
        with Server() as server:
            # The reply comes at once. Who insists on HTTP/0.9 then waits for more: the server does, too.
            status, output, errors = self._get(server, "--no-alpn", "--http0.9", "--max-time", "1")
            self.assertEqual((status, output), (OPERATION_TIMEOUT, "Message received!"), errors)
            server.wait_line(r"Received: GET / HTTP/1\.1\\r\\n.*")

    def test_curl_without_alpn_says_that_it_is_not_http(self):
        with Server() as server:
            status, output, errors = self._get(server, "--no-alpn")
            self.assertEqual((status, output), (UNSUPPORTED_PROTOCOL, ""), errors)
            self.assertIn("HTTP/0.9", errors)

    def test_curl_without_tls_gets_nothing(self):
        with Server() as server:
            status, output, errors = self._get(server, scheme="http")
            self.assertEqual((status, output), (GOT_NOTHING, ""), errors)
            server.wait_log("the peer speaks plain HTTP")
        self.assertEqual(server.received(), [])


if __name__ == "__main__":
    unittest.main()
