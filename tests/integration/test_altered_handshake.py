"""One bit of a TLS handshake altered on the way: certpost send tries again, whatever OpenSSL makes of it.

What comes before the keys are agreed on is plain text, and so may look like any failure there is.
"""

import json
import socket
import unittest

import certificates as certs
import certpost_client
import processes
from certpost_server import Server
from faulty_proxy import FaultyProxy, Plan

# Record header (5), type (1), then three bytes of length: ServerHello is shorter than 256 bytes.
SERVER_HELLO_LENGTH_AT = 8
EXCHANGE_NAME = b"certpost/1"
PLAIN_RECORD_MAX_BYTES = 1 << 14


def start_client(address, *options):
    return processes.Process(
        [certpost_client.BINARY, "send", "-l", "--json", "--cacert", certs.path("ca.crt"), "--stream", "demo",
         *options, address], environment={"SSLKEYLOGFILE": ""})


def client_hello():
    """What the client sends first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with start_client("127.0.0.1:%d" % listener.getsockname()[1]) as client:
            with listener.accept()[0] as connection:
                connection.settimeout(processes.DEADLINE_S)
                hello = connection.recv(PLAIN_RECORD_MAX_BYTES)
            client.kill()
            return hello


class AlteredHandshake(unittest.TestCase):
    def setUp(self):
        self.server = Server("--log-level", "error")
        self.addCleanup(self.server.kill)
        self.plans = {}  # of a connection's number: (direction, offset, bit)
        self.proxy = FaultyProxy(self.server.address, seed=1)
        self.proxy.settings.plan = self.plan
        self.addCleanup(self.proxy.stop)

    def plan(self, seed, number):
        if number not in self.plans:
            return Plan(number, "none", "to_server", 0, 0, 0)
        direction, offset, bit = self.plans[number]
        return Plan(number, "flip", direction, offset, 0, bit)

    def next_event(self, client, name):
        return json.loads(client.stdout.wait_line(rf'.*"event":"{name}".*').group())

    def test_length_of_the_server_s_answer(self):
        for bit in range(4):
            self.plans[len(self.plans) * 2] = ("to_client", SERVER_HELLO_LENGTH_AT, bit)
            with self.subTest(bit=bit), start_client(self.proxy.address) as client:
                client.write(b"line\n")
                client.close_stdin()
                self.assertEqual(client.wait(), 0)
                self.assertEqual(self.next_event(client, "disconnected")["status"], "handshake")

    def test_more_handshakes_than_a_misfit_is_given(self):
        """Of a server that has answered before, a damaged handshake is never taken for settings that differ."""
        self.plans = {number: ("to_client", SERVER_HELLO_LENGTH_AT, 1) for number in range(1, 5)}
        with start_client(self.proxy.address) as client:
            client.write(b"one\n")
            self.next_event(client, "acked")
            self.proxy.cut_all()
            self.assertEqual(self.next_event(client, "disconnected")["status"], "reset")
            for _ in self.plans:
                self.assertEqual(self.next_event(client, "disconnected")["status"], "handshake")
            client.close_stdin()
            self.assertEqual(client.wait(), 0)

    def test_name_of_the_exchange(self):
        """The server's answer, that it does not have it, is believed of a server that never had it only."""
        self.plans[1] = ("to_server", client_hello().index(EXCHANGE_NAME), 0)
        with start_client(self.proxy.address) as client:
            client.write(b"one\n")
            self.next_event(client, "acked")
            self.proxy.cut_all()
            self.assertEqual(self.next_event(client, "disconnected")["status"], "reset")
            refused = self.next_event(client, "disconnected")
            self.assertEqual(refused["status"], "handshake")
            self.assertIn("certpost/1", refused["reason"])
            self.next_event(client, "connected")
            client.write(b"two\n")
            client.close_stdin()
            self.assertEqual(client.wait(), 0)
            self.assertEqual(client.stderr.lines[-1], "certpost: 2 of 2 messages acknowledged")


if __name__ == "__main__":
    unittest.main()
