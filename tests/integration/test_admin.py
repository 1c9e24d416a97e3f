"""The admin endpoint: where it may be, what it answers, and what it stands.

One case alone: ctest --preset dev -R 'integration.admin.health'
"""

import os
import pathlib
import socket
import stat
import tempfile
import unittest

import admin
import certificates as certs
from certpost_server import Server, run_certpostd


def start_fails(address, expected_status, expected_words, case):
    """A start with this --admin must end with a status, and say why."""
    status, _, complaint = run_certpostd(
        "--listen", "127.0.0.1:0", "--cert", certs.path("server.crt"), "--key", certs.path("server.key"),
        "--no-sandbox", "--admin", address,
    )
    case.assertEqual(status, expected_status, complaint)
    case.assertIn(expected_words, complaint)


class Admin(unittest.TestCase):
    """What a client of the endpoint sees, and where the endpoint may be."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.path = str(pathlib.Path(self._folder.name) / "admin.sock")

    def test_health(self):
        with Server("--admin", "127.0.0.1:0") as server:
            answer = admin.get(admin.address(server), "/healthz")
        self.assertEqual((answer.status, answer.text), (200, "ok\n"))
        self.assertEqual(answer.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.headers["connection"], "close")

    def test_a_unix_socket(self):
        with Server("--admin", f"unix:{self.path}") as server:
            at = admin.address(server)
            self.assertEqual(at, f"unix:{self.path}")
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
            # There is no name that a browser could have been led by.
            self.assertEqual(admin.get(at, "/readyz", host="anything").text, "ready\n")

    def test_an_ipv6_address(self):
        with Server("--admin", "[::1]:0") as server:
            self.assertEqual(admin.get(admin.address(server), "/healthz").status, 200)

    def test_only_reading(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
                answer = admin.get(at, "/healthz", method=method)
                self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"), method)
            head = admin.get(at, "/healthz", method="HEAD")
            self.assertEqual((head.status, head.headers["content-length"], head.body), (200, "3", b""))
            body = admin.raw(at, f"GET /healthz HTTP/1.1\r\nHost: {at}\r\nContent-Length: 4\r\n\r\nbody".encode())
            self.assertEqual(admin.Answer(body).status, 200)

    def test_unknown_paths_list_the_known(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            for path in ("/nothing", "/healthz/", "//healthz", "/%2e%2e/healthz", "/HEALTHZ"):
                answer = admin.get(at, path)
                self.assertEqual(answer.status, 404, path)
                self.assertIn("\n/healthz\n", answer.text)

    def test_names_that_resolve_to_here_are_refused(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            port = at.rpartition(":")[2]
            for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST:80"):
                self.assertEqual(admin.get(at, "/healthz", host=host).status, 200, host)
            for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1"):
                self.assertEqual(admin.get(at, "/healthz", host=host).status, 403, host)
            nameless = admin.Answer(admin.raw(at, b"GET /healthz HTTP/1.0\r\n\r\n"))
            self.assertEqual(nameless.status, 403)

    def test_addresses_that_are_refused(self):
        for address in ("0.0.0.0:9180", "192.0.2.1:9180", "[::]:9180", ":9180", "example.org:9180", "[2001:db8::1]:1"):
            start_fails(address, 2, "can only be at a loopback address", self)
        for address in ("127.0.0.1", "[::1]", "127.0.0.1:x", "127.0.0.1:65536"):
            start_fails(address, 2, "an admin address is unix:PATH, 127.0.0.1:PORT or [::1]:PORT", self)
        start_fails("unix:", 2, "needs the path of a socket", self)
        start_fails("unix:/" + "x" * 107, 2, "at most 107 bytes; this one has 108", self)

    def test_places_that_cannot_be_had(self):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            start_fails(f"127.0.0.1:{busy.getsockname()[1]}", 71, "Address already in use", self)
        start_fails(f"unix:{self._folder.name}/missing/socket", 71, "No such file or directory", self)
        start_fails(f"unix:{self._folder.name}", 71, "something else is there, which is no socket", self)
        pathlib.Path(self.path).write_text("kept", encoding="ascii")
        start_fails(f"unix:{self.path}", 71, "something else is there, which is no socket", self)
        self.assertEqual(pathlib.Path(self.path).read_text(encoding="ascii"), "kept")

    def test_a_socket_that_was_left_behind_is_replaced(self):
        with Server("--admin", f"unix:{self.path}") as server:
            admin.address(server)
            server.kill()
        with Server("--admin", f"unix:{self.path}") as server:
            self.assertEqual(admin.get(admin.address(server), "/healthz").status, 200)
            # And one at which somebody answers is not.
            start_fails(f"unix:{self.path}", 71, "another program answers there", self)
            self.assertEqual(admin.get(f"unix:{self.path}", "/healthz").status, 200)


if __name__ == "__main__":
    unittest.main()
