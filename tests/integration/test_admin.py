"""The admin endpoint: where it may be, what it answers, and what it stands.

One case alone: ctest --preset dev -R 'integration.admin.health'
"""

import contextlib
import os
import pathlib
import pwd
import signal
import socket
import sqlite3
import stat
import tempfile
import time
import unittest

import admin
import certificates as certs
import certpost1
import embedded
import processes
from certpost1_peer import Sender, StoreFile
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server, run_certpostd
from scene import MEBIBYTE, MEMORY_SCALE
from tls_peers import TlsPeer


def run_with(address, *options):
    """Status and complaint of a server with this --admin."""
    status, _, complaint = run_certpostd(
        "--listen", "127.0.0.1:0", "--cert", certs.path("server.crt"), "--key", certs.path("server.key"),
        "--no-sandbox", "--admin", address, *options,
    )
    return status, complaint


def start_fails(address, expected_status, expected_words, case, *, checked=True):
    """A start with this --admin must end with a status, and say why; and so must a check of it, where
    it can know (`checked`)."""
    status, complaint = run_with(address)
    case.assertEqual(status, expected_status, complaint)
    case.assertIn(expected_words, complaint)
    case.assertEqual(run_with(address, "--test-config"), (status, complaint) if checked else (0, ""))


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
            start_fails(f"127.0.0.1:{busy.getsockname()[1]}", 71, "Address already in use", self, checked=False)
        start_fails(f"unix:{self._folder.name}/missing/socket", 71, "No such file or directory", self)
        pathlib.Path(self._folder.name, "file").write_text("", encoding="ascii")
        start_fails(f"unix:{self._folder.name}/file/socket", 71, "Not a directory", self)
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
            start_fails(f"unix:{self.path}", 71, "another program answers there", self, checked=False)
            self.assertEqual(admin.get(f"unix:{self.path}", "/healthz").status, 200)


    def test_the_socket_goes_with_the_server(self):
        with Server("--admin", f"unix:{self.path}") as server:
            admin.address(server)
            server.stop()
        self.assertEqual(os.listdir(self._folder.name), [])

    def test_a_socket_of_somebody_else_stays(self):
        with Server("--admin", f"unix:{self.path}") as server:
            admin.address(server)
            os.unlink(self.path)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(self.path)
            server.stop()
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path).st_mode))

    def test_what_else_is_in_the_folder_stays(self):
        """The sandbox lets nothing be removed there then, so the socket stays too, for the next start."""
        pathlib.Path(self._folder.name, "other").write_text("kept", encoding="ascii")
        for sandbox in (True, False):
            with Server("--admin", f"unix:{self.path}", sandbox=sandbox and processes.SANITIZER == "") as server:
                admin.address(server)
                server.stop()
            self.assertEqual(pathlib.Path(self._folder.name, "other").read_text(encoding="ascii"), "kept")
        self.assertEqual(os.listdir(self._folder.name), ["other"])


class Rights(unittest.TestCase):
    """It lives with what the process gives up."""

    def test_in_the_sandbox(self):
        with StoreFile() as store:
            options = ("--admin", "127.0.0.1:0", "--store", store.path)
            with Server(*options, sandbox=processes.SANITIZER == "") as server:
                at = admin.address(server)
                with TlsPeer(server.port) as peer:
                    peer.exchange(b"message", DEFAULT_REPLY)
                    peer.finish()
                for path in ("/healthz", "/readyz", "/metrics"):
                    self.assertEqual(admin.get(at, path).status, 200, path)
                self.assertGreater(admin.samples(at)["certpost_store_bytes"], 0)

    def test_the_socket_belongs_to_the_user_who_serves(self):
        if os.geteuid() != 0:
            processes.skip("only root can become somebody else")
        user = pwd.getpwnam("nobody")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "admin.sock")
            with Server("--admin", f"unix:{path}", "--user", "nobody") as server:
                self.assertEqual(admin.get(admin.address(server), "/healthz").status, 200)
                found = os.stat(path)
                self.assertEqual((found.st_uid, found.st_gid), (user.pw_uid, user.pw_gid))
                self.assertEqual(stat.S_IMODE(found.st_mode), 0o660)

    def test_a_reload_with_another_address_says_that_it_waits(self):
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("admin = 127.0.0.1:0\n")
            file.flush()
            with Server("--config", file.name) as server:
                at = admin.address(server)
                file.seek(0)
                file.write("admin = [::1]:12345\n")
                file.flush()
                server.send_signal(signal.SIGHUP)
                server.wait_log("takes effect at the next start only option=admin")
                self.assertEqual(admin.get(at, "/healthz").status, 200)


class Embedded(unittest.TestCase):
    """A server inside another program has one too."""

    def test_a_server_in_a_program(self):
        with embedded.Host() as host:
            host.serve("admin 127.0.0.1:0")
            at = host.stderr.wait_line(r".*admin endpoint address=(\S+)").group(1)
            self.assertEqual(admin.get(at, "/readyz").text, "ready\n")
            self.assertEqual(admin.samples(at)["certpost_ready"], 1)
            with self.assertRaises(embedded.Failed) as caught:
                host.serve("admin 192.0.2.1:80", slot=1)
            self.assertEqual(caught.exception.status, "usage")


class Endurance(unittest.TestCase):
    """Clients that want to hold the endpoint, or to use up what it has."""

    def test_a_thousand_silent_connections(self):
        """The oldest give way, so that a request gets through at once; the data path never notices."""
        processes.allow_descriptors(1200)
        with Server("--admin", "127.0.0.1:0") as server, contextlib.ExitStack() as held:
            at = admin.address(server)
            for _ in range(1000):
                held.enter_context(admin.connect(at)).sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            began = time.monotonic()
            self.assertEqual(admin.get(at, "/healthz").status, 200)
            self.assertLess(time.monotonic() - began, 5 * processes.SCALE)
            with TlsPeer(server.port) as peer:
                peer.exchange(b"message", DEFAULT_REPLY)
            if processes.may_look_inside():
                self.assertLess(processes.descriptor_count(server.pid), 200)

    def test_a_client_that_does_not_read_holds_nothing_up(self):
        with Server("--admin", "127.0.0.1:0") as server, contextlib.ExitStack() as held:
            at = admin.address(server)
            for _ in range(100):
                deaf = held.enter_context(admin.connect(at))
                deaf.sendall(f"GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
            self.assertEqual(admin.get(at, "/healthz").status, 200)

    def test_huge_requests(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            long_line = admin.raw_unless_reset(at, b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n")
            self.assertIn(long_line[:12], (b"", b"HTTP/1.1 414", b"HTTP/1.1 431", b"HTTP/1.1 413"))
            many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 100) for number in range(10000))
            headers = admin.raw_unless_reset(at, b"GET /healthz HTTP/1.1\r\n" + many + b"\r\n")
            self.assertIn(headers[:12], (b"", b"HTTP/1.1 414", b"HTTP/1.1 431", b"HTTP/1.1 413"))
            for garbage in (b"\0" * 1000, b"\x16\x03\x01\x02\x00" + bytes(512), b"\r\n\r\n", b"GET\r\n\r\n"):
                with admin.connect(at) as client:
                    client.sendall(garbage)
            self.assertEqual(admin.get(at, "/healthz").status, 200)

    def test_memory_and_descriptors_come_back(self):
        if not processes.may_look_inside():
            processes.skip("the descriptors of another process cannot be counted here")
        with Server("--admin", "127.0.0.1:0", environment=SMALL_QUARANTINE) as server:
            at = admin.address(server)
            # Enough to fill what a sanitizer holds back of freed memory, too.
            for _ in range(250):
                admin.get(at, "/metrics")
            memory = processes.resident_bytes(server.pid)
            descriptors = processes.descriptor_count(server.pid)
            for _ in range(500):
                admin.get(at, "/metrics")
            self.assertLess(processes.resident_bytes(server.pid) - memory, MEMORY_SCALE * MEBIBYTE)
            self.assertLessEqual(processes.descriptor_count(server.pid), descriptors + 1)


class Readiness(unittest.TestCase):
    """What /readyz says, with a store that fails and a server that stops."""

    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)

    def test_a_store_that_fails_and_works_again(self):
        with Server("--admin", "127.0.0.1:0", "--store", self.store.path) as server:
            at = admin.address(server)
            self.assertEqual(admin.get(at, "/readyz").status, 200)
            with contextlib.closing(sqlite3.connect(self.store.path, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                with Sender(b"stream", seq=0) as sender, self.assertRaises(certpost1.Refused):
                    sender.open(server.port)
                    sender.send_all([b"message"])
                server.wait_log("the store has failed")
                answer = admin.get(at, "/readyz")
                self.assertEqual((answer.status, answer.text), (503, "the store has failed\n"))
                self.assertEqual(admin.get(at, "/healthz").status, 200)
                found = admin.samples(at)
                self.assertEqual(found["certpost_ready"], 0)
                self.assertEqual(found['certpost_store_failures_total{reason="store_failed"}'], 1)
                self.assertLess(abs(found["certpost_store_failing_since_seconds"] - time.time()), 60)
                self.assertEqual(found["certpost_commit_messages_count"], 0)
                database.execute("ROLLBACK")
            server.wait_log("the store works again")
            self.assertEqual(admin.get(at, "/readyz").text, "ready\n")
            self.assertEqual(admin.samples(at)["certpost_store_failing_since_seconds"], 0)

    def test_draining(self):
        with Server("--admin", "127.0.0.1:0") as server, TlsPeer(server.port) as peer:
            at = admin.address(server)
            server.send_signal(signal.SIGTERM)
            # Its close_notify has come; it goes on to wait for ours.
            peer.receive_all()
            answer = admin.get(at, "/readyz")
            self.assertEqual((answer.status, answer.text), (503, "the server stops\n"))
            self.assertEqual(admin.get(at, "/healthz").status, 200)
            peer.finish()
            self.assertEqual(server.wait(), 0)


class Prometheus(unittest.TestCase):
    """What `promtool check metrics` has to say."""

    def _check(self, at):
        program = processes.need_program("promtool")
        answer = admin.get(at, "/metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        with processes.Process([program, "check", "metrics"]) as checker:
            checker.write(answer.body)
            checker.close_stdin()
            self.assertEqual((checker.wait(), checker.stdout.data, checker.stderr.data), (0, b"", b""))

    def test_promtool(self):
        processes.need_program("promtool")
        with Server("--admin", "127.0.0.1:0") as server:
            self._check(admin.address(server))

    def test_promtool_after_load(self):
        processes.need_program("promtool")
        with StoreFile() as store, Server("--admin", "127.0.0.1:0", "--store", store.path) as server:
            at = admin.address(server)
            for number in range(20):
                with Sender(b"stream %d" % number, seq=0) as sender:
                    sender.open(server.port)
                    sender.send_all([b"message"] * 50)
                    sender.leave()
                with admin.connect(server.address) as garbage:
                    garbage.sendall(b"garbage\r\n\r\n")
            self._check(at)
            self.assertEqual(admin.samples(at)["certpost_commit_messages_sum"], 1000)


if __name__ == "__main__":
    unittest.main()
