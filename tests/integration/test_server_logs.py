"""The server's log: its forms, and how much of it peers can cause.

One case alone: ctest --preset dev -R 'integration.server_logs.failing_handshakes_are_bounded'
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import time
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, PROGRAM, Server, run_certpostd
from tls_peers import TlsPeer

HOSTILE_NAME = 'a"b\\c\n\x1b[31m\x7f\u202e=é{}.crt'
WINDOW_S = 10
FAULTS_PER_ADDRESS = 20
HANDSHAKES = 200
# The shell's own standard error is the program's: what the service manager would say about it.
AS_JOURNAL = 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); export JOURNAL_STREAM; exec "$@"'


def fail_handshake(port):
    """A client that does not speak TLS; returns when the server has ended it."""
    with tls_peers.tcp_connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        tls_peers.raw_receive_all(connection)


def exchange(port):
    with TlsPeer(port) as client:
        client.exchange(b"Hello, server!", DEFAULT_REPLY)
        client.finish()


class Logs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def records(self, server):
        """Every line, as the object that it is; to be called when the server has ended."""
        records = [json.loads(line) for line in server.stderr.lines]
        for record in records:
            self.assertEqual({"time", "level", "event"} - set(record), set())
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(record["level"], ("error", "warning", "info", "debug"))
        return records

    def test_json_has_one_object_a_line(self):
        """With hostile bytes in a file's name, in a reload's error."""
        cert = str(self.folder / HOSTILE_NAME)
        shutil.copy(certs.path("server.crt"), cert)
        with Server("--log-format", "json", "--log-level", "debug", cert=cert) as server:
            exchange(server.port)
            fail_handshake(server.port)
            os.remove(cert)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reload failed")
            server.stop()
            records = self.records(server)
        failed = [record for record in records if record["event"].startswith("reload failed")]
        self.assertEqual(len(failed), 1)
        self.assertIn('a"b', failed[0]["reason"])
        self.assertIn(r"\n", failed[0]["reason"])
        self.assertTrue(failed[0]["reason"].isprintable())
        ends = {record["reason"]: record for record in records if record["event"] == "connection ended"}
        self.assertEqual(ends["closed"]["messages"], 1)
        self.assertEqual(ends["closed"]["bytes"], len("Hello, server!"))
        self.assertEqual(ends["closed"]["tls"], "TLSv1.3")
        self.assertRegex(ends["closed"]["peer"], r"^127\.0\.0\.1:\d+$")
        self.assertGreaterEqual(ends["closed"]["duration_ms"], 0)
        self.assertNotIn("tls", ends["handshake"])

    def test_form_and_level_change_at_a_reload(self):
        config = self.folder / "certpostd.conf"
        config.write_text("log-format = text\nlog-level = error\n", encoding="ascii")
        with Server("--config", str(config)) as server:
            self.assertEqual(server.stderr.lines, [])
            config.write_text("log-format = json\nlog-level = info\n", encoding="ascii")
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            exchange(server.port)
            server.wait_log("connection ended")
            server.stop()
            events = [record["event"] for record in self.records(server)]
        self.assertEqual(events, ["reloaded", "connection ended", "stopping"])

    def test_journal_gets_priorities(self):
        arguments = [PROGRAM, "--listen", "127.0.0.1:0", "--no-sandbox"]
        arguments += ["--cert", certs.path("server.crt"), "--key", certs.path("server.key")]
        with processes.Process(["sh", "-c", AS_JOURNAL, "sh", *arguments]) as server:
            port = int(server.stdout.wait_line(r"Server listening on \S+:(\d+)").group(1))
            exchange(port)
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
            lines = server.stderr.lines
        self.assertGreater(len(lines), 1)
        for line in lines:
            self.assertRegex(line, r"^<[46]>[a-z]")
        self.assertRegex("\n".join(lines), r"(?m)^<6>connection ended peer=")

    def test_journal_gets_the_priority_of_a_failed_start(self):
        status, _, errors = processes.run(["sh", "-c", AS_JOURNAL, "sh", PROGRAM, "--no-such-option"])
        self.assertEqual(status, 2)
        self.assertRegex(errors, r"\A<3>certpostd: unknown option [^\n]*\n\Z")

    def test_journal_of_somebody_else_does_not_count(self):
        """The variable is inherited by programs whose output goes elsewhere."""
        with Server(environment={"JOURNAL_STREAM": "1:2"}) as server:
            exchange(server.port)
            server.stop()
            for line in server.stderr.lines:
                self.assertRegex(line, r"^\d{4}-")

    def test_failing_handshakes_are_bounded(self):
        """Shown and counted make all, whoever the worker was; and a normal end is not drowned."""
        with Server("--log-format", "json", "--workers", "2") as server:
            begun = time.monotonic()
            for _ in range(HANDSHAKES):
                fail_handshake(server.port)
            windows = 2 + int((time.monotonic() - begun) / WINDOW_S)
            exchange(server.port)
            server.wait_log('"reason":"closed"')
            server.stop()
            records = self.records(server)
        shown = [record for record in records if record.get("reason") == "handshake" and "peer" in record]
        counted = sum(record.get("suppressed", 0) for record in records)
        self.assertGreaterEqual(len(shown), FAULTS_PER_ADDRESS)
        self.assertLessEqual(len(shown), FAULTS_PER_ADDRESS * windows)
        self.assertEqual(len(shown) + counted, HANDSHAKES)
        left_out = [record for record in records if record["event"] == "log lines left out"]
        self.assertEqual({(record["reason"], record["address"]) for record in left_out}, {("handshake", "127.0.0.1")})

    def test_count_comes_although_nothing_follows(self):
        """Nobody has to fail again for the count to be written."""
        with Server("--workers", "1") as server:
            for _ in range(FAULTS_PER_ADDRESS + 3):
                fail_handshake(server.port)
            line = server.wait_log("log lines left out").group(0)
            self.assertTrue(server.is_running())
            self.assertRegex(line, r" info log lines left out reason=handshake address=127\.0\.0\.1 suppressed=3$")

    def test_refused_connections_are_bounded(self):
        """An address that has all its places is told of in the log, but not each time."""
        with Server("--log-format", "json", "--workers", "1", "--max-connections-per-address", "1") as server:
            with TlsPeer(server.port) as first:
                for _ in range(HANDSHAKES):
                    with tls_peers.tcp_connect(server.port) as refused:
                        tls_peers.raw_receive_all(refused)
                first.exchange(b"Hello, server!", DEFAULT_REPLY)
                first.finish()
            server.stop()
            records = self.records(server)
        words = "connection refused: its address has all its places"
        shown = [record for record in records if record["event"] == words]
        counted = sum(record.get("suppressed", 0) for record in records)
        self.assertEqual(len(shown) + counted, HANDSHAKES)
        self.assertLess(len(shown), HANDSHAKES / 2)

    def test_normal_ends_each_have_their_line(self):
        with Server("--workers", "2") as server:
            for _ in range(50):
                exchange(server.port)
            server.stop()
            ends = [line for line in server.stderr.lines if re.search("connection ended .*reason=closed", line)]
            self.assertEqual(len(ends), 50)

    def test_bad_format_is_refused(self):
        pair = ("--cert", certs.path("server.crt"), "--key", certs.path("server.key"))
        status, _, errors = run_certpostd(*pair, "--log-format", "xml")
        self.assertEqual((status, errors), (2, "certpostd: --log-format: the format is auto, text or json\n"))
