"""Session tickets of certpost/1 with a real client: across workers, rotations and reloads, and not for ever.

certpostd does not speak certpost/1 yet, so a small program serves its TLS: the same material, contexts
and ticket keys, and a clock that the test moves. That a plain client gets no ticket is in
test_exchange.py, against certpostd. One case alone: ctest --preset dev -R 'integration.tickets.across_workers'
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

import certificates as certs

LIFETIME_MS = 6 * 3600 * 1000
TIME_LIMIT_S = 60


class TicketServer:
    def __enter__(self):
        program = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests" / "ticket_server"
        self.process = subprocess.Popen(
            [program, certs.path("server.crt"), certs.path("server.key"), str(LIFETIME_MS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self.process.stdout.readline().split()[1])
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait(TIME_LIMIT_S) != 0:
            raise AssertionError("ticket_server failed")
        self.process.stdout.close()

    def tell(self, line):
        self.process.stdin.write(line + "\n")

    def outcome(self):
        return self.process.stdout.readline().split()


class Tickets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.session = pathlib.Path(folder.name) / "session"

    def visit(self, server, worker, version, *options):
        """One `openssl s_client` connection; how the server saw it, and what the client printed."""
        server.tell(f"serve {worker}")
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", certs.path("ca.crt")]
            + ["-verify_return_error", "-alpn", "certpost/1", version, *map(str, options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        printed = b""
        while b"hello\n" not in printed:  # the echo comes after the tickets, so they have been read
            piece = client.stdout.read1()
            self.assertTrue(piece, printed)
            printed += piece
        printed += client.communicate(timeout=TIME_LIMIT_S)[0]
        number, kind = server.outcome()[1:]
        self.assertEqual(number, str(worker))
        self.assertIn(b"ALPN protocol: certpost/1", printed)
        return kind, printed

    def begin(self, server, worker, version):
        kind, printed = self.visit(server, worker, version, "-sess_out", self.session)
        self.assertEqual(kind, "full")
        self.assertTrue(self.session.stat().st_size > 0, printed)

    def resume(self, server, worker, version):
        kind, printed = self.visit(server, worker, version, "-sess_in", self.session)
        self.assertEqual(b"Reused, TLSv1" in printed, kind == "resumed", printed)
        return kind

    def check_both_versions(self, change, expected):
        for version in ("-tls1_3", "-tls1_2"):
            with self.subTest(version), TicketServer() as server:
                self.begin(server, 0, version)
                change(server)
                self.assertEqual(self.resume(server, 1, version), expected)

    def test_across_workers(self):
        self.check_both_versions(lambda server: None, "resumed")

    def test_across_a_reload(self):
        self.check_both_versions(lambda server: server.tell("reload"), "resumed")

    def test_across_a_rotation(self):
        """Half the lifetime later a new key seals; the old one still opens."""
        self.check_both_versions(lambda server: server.tell(f"advance {LIFETIME_MS // 2}"), "resumed")

    def test_not_after_its_key_has_expired(self):
        self.check_both_versions(lambda server: server.tell(f"advance {LIFETIME_MS}"), "full")
