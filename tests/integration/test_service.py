"""certpostd under a service manager: what it tells (sd_notify(3)), and the watchdog.

One case alone: ctest --preset dev -R 'integration.service.ready_when_all_listen'
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost1_peer import Sender
from certpost_server import DEFAULT_REPLY, PROGRAM, Server, run_certpostd
from service_manager import Manager
from tls_peers import TlsPeer

LIBRARIES = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests"
WATCHDOG_MS = 200 * processes.SCALE
FED = 3  # how often it has to be fed to count as fed again and again
PRELOADED = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


class ServiceCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def manager(self, address=None):
        manager = Manager(address or self.folder / "notify")
        self.addCleanup(manager.close)
        return manager

    def exchange(self, server, address=None):
        port = int((address or server.address).rpartition(":")[2])
        with TlsPeer(port) as client:
            client.exchange(b"Hello, server!", DEFAULT_REPLY)
            client.finish()

    def sandboxed(self, *options, **arguments):
        return Server(*options, sandbox=True, **arguments)


class Service(ServiceCase):
    def test_ready_when_all_listen(self):
        manager = self.manager()
        with self.sandboxed("--store", self.folder / "store", listen=("127.0.0.1:0", "127.0.0.2:0"),
                            environment=manager.environment()) as server:
            # The line that holds comes before what somebody may be waiting for, who then looks at it.
            self.assertEqual([manager.hear() for _ in range(3)], [
                {"STATUS": "Starting: opening the store"}, {"STATUS": "Serving: 0 connections, 0 messages"},
                {"READY": "1"}])
            for address in server.addresses:
                host, _, port = address.rpartition(":")
                tls_peers.tcp_connect(int(port), host=host).close()
            self.assertTrue((self.folder / "store").exists())

    def test_not_ready_when_the_start_fails(self):
        manager = self.manager()
        (self.folder / "store").write_text("this is no database, and no certpostd begins to serve on it")
        status, _, _ = run_certpostd(
            "--listen", "127.0.0.1:0", "--cert", certs.path("server.crt"), "--key", certs.path("server.key"),
            "--store", self.folder / "store", environment=manager.environment())
        self.assertEqual(status, 74)
        self.assertEqual(manager.hear_now(), {"STATUS": "Starting: opening the store"})
        self.assertIsNone(manager.hear_now())

    def test_an_abstract_address_from_the_sandbox(self):
        manager = self.manager(f"@certpost-test-{os.getpid()}")
        with self.sandboxed(environment=manager.environment()) as server:
            self.assertEqual(manager.names_until("READY"), ["READY"])
            server.send_signal(signal.SIGHUP)
            self.assertEqual(manager.names_until("READY"), ["RELOADING", "READY"])

    def test_the_status_line_counts(self):
        manager = self.manager()
        with self.sandboxed(environment=manager.environment()) as server:
            manager.wait("STATUS", "Serving: 0 connections, 0 messages".__eq__)
            with TlsPeer(server.port) as client:
                client.exchange(b"Hello, server!", DEFAULT_REPLY)
                manager.wait("STATUS", "Serving: 1 connection, 1 message".__eq__)
                client.finish()
            with Sender(b"stream", seq=0) as sender:
                sender.open(server.port)
                sender.send_all([b"one", b"two"])
                manager.wait("STATUS", "Serving: 1 connection, 3 messages".__eq__)

    def test_a_store_that_fails_shows_in_the_status(self):
        """What somebody causes who forgets a transaction in the sqlite3 shell."""
        manager = self.manager()
        store = self.folder / "store"
        with self.sandboxed("--store", store, environment=manager.environment()) as server:
            sender = Sender(b"orders")
            sender.open(server.port)
            with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                sender.queue(b"m")
                sender.send_next()
                manager.wait("STATUS", lambda line: line.startswith("No messages taken, the store has failed: "))
                database.execute("ROLLBACK")
            manager.wait("STATUS", lambda line: line.startswith("Serving: "))
            sender.close()

    def test_a_reload_is_announced(self):
        manager = self.manager()
        with self.sandboxed(environment=manager.environment()) as server:
            manager.wait("READY")
            server.send_signal(signal.SIGHUP)
            facts = manager.wait("RELOADING")
            self.assertRegex(facts["MONOTONIC_USEC"], r"^\d+$")
            manager.wait("READY")

    def test_a_reload_that_fails_shows_in_the_status(self):
        manager = self.manager()
        configuration = self.folder / "certpostd.conf"
        configuration.write_text("reply = one\n")
        with self.sandboxed("--config", configuration, environment=manager.environment()) as server:
            manager.wait("READY")
            configuration.write_text("reply = \n")
            server.send_signal(signal.SIGHUP)
            manager.wait("RELOADING")
            manager.wait("STATUS", lambda line: line.endswith("; the last reload failed, nothing has changed"))
            manager.wait("READY")
            configuration.write_text("reply = two\n")
            server.send_signal(signal.SIGHUP)
            manager.wait("STATUS", "Serving: 0 connections, 0 messages".__eq__)

    def test_the_end_is_announced_with_the_time_it_may_take(self):
        manager = self.manager()
        with self.sandboxed("--drain-timeout", "20s", environment=manager.environment()) as server:
            with TlsPeer(server.port) as client:
                client.exchange(b"Hello, server!", DEFAULT_REPLY)
                server.send_signal(signal.SIGTERM)
                manager.wait("STOPPING")
                left_us = int(manager.wait("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"])
                # The drain timeout, two seconds until the end is forced, and a margin.
                self.assertTrue(20e6 < left_us <= 25e6, left_us)
                manager.wait("STATUS", lambda line: line.startswith("Draining: "))
            self.assertEqual(server.wait(), 0)


class Watchdog(ServiceCase):
    def wait_fed(self, manager, count=FED):
        for _ in range(count):
            manager.wait("WATCHDOG")

    def unfed(self, manager):
        """Reads what has come, then expects no feeding for three intervals."""
        while manager.hear_now() is not None:
            pass
        facts = manager.hear(3 * WATCHDOG_MS / 1000)
        while facts is not None and "WATCHDOG" not in facts:
            facts = manager.hear(3 * WATCHDOG_MS / 1000)
        self.assertIsNone(facts)

    def test_an_idle_server_feeds_it(self):
        manager = self.manager()
        with self.sandboxed("--store", self.folder / "store", environment=manager.environment(WATCHDOG_MS)):
            self.wait_fed(manager)

    def test_it_is_fed_while_the_server_drains(self):
        manager = self.manager()
        with self.sandboxed(environment=manager.environment(WATCHDOG_MS)) as server:
            with TlsPeer(server.port) as client:
                client.exchange(b"Hello, server!", DEFAULT_REPLY)
                server.send_signal(signal.SIGTERM)
                manager.wait("STOPPING")
                self.wait_fed(manager)
            self.assertEqual(server.wait(), 0)

    def test_not_fed_for_another_process(self):
        manager = self.manager()
        with self.sandboxed(environment=manager.environment(WATCHDOG_MS, WATCHDOG_PID="1")):
            manager.wait("READY")
            self.unfed(manager)

    def test_an_interval_that_is_none(self):
        for value in ("often", "0", "-1", "99999999999999999999"):
            manager = self.manager(self.folder / f"notify{value}")
            with self.sandboxed(environment={**manager.environment(), "WATCHDOG_USEC": value}) as server:
                server.wait_log(f"the watchdog is not fed: WATCHDOG_USEC is no time value={value}")
                manager.wait("READY")

    def test_one_stuck_worker_of_two_stops_it(self):
        manager = self.manager()
        pipe = self.folder / "hold"
        os.mkfifo(pipe)
        gate = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, gate)
        environment = {"LD_PRELOAD": str(LIBRARIES / "libhold_worker.so"), "HOLD_WORKER": str(pipe),
                       **PRELOADED, **manager.environment(WATCHDOG_MS)}
        with self.sandboxed("--workers", "2", environment=environment) as server, contextlib.ExitStack() as stack:
            self.wait_fed(manager)
            client = stack.enter_context(tls_peers.tcp_connect(server.port))
            server.wait_log("a thread does not answer; the watchdog is not fed thread=.worker [01]")
            self.unfed(manager)
            os.write(gate, b"kkkkkkkk")
            server.wait_log("all threads answer again")
            self.wait_fed(manager)
            client.close()

    def test_a_disk_that_stands_still_is_no_stuck_writer(self):
        manager = self.manager()
        disk = self.folder / "standing"
        environment = {"LD_PRELOAD": str(LIBRARIES / "libstanding_disk.so"), "STANDING_DISK": str(disk),
                       **PRELOADED, **manager.environment(WATCHDOG_MS)}
        with Server("--store", self.folder / "store", sandbox=False, environment=environment) as server:
            with TlsPeer(server.port) as client:
                os.mkfifo(disk)
                client.send(b"Hello, server!")
                server.stderr.wait_bytes(b"the disk stands still")
                manager.wait("STATUS", lambda line: line.startswith("Waiting for the store's disk: "))
                self.wait_fed(manager)
                with open(disk, "wb"):
                    os.unlink(disk)
                self.assertEqual(client.receive(len(DEFAULT_REPLY)), DEFAULT_REPLY)
                manager.wait("STATUS", lambda line: line.startswith("Serving: "))
                client.finish()


    def test_a_reader_that_stands_still_is_no_disk(self):
        """Without a store, no words speak of one."""
        manager = self.manager()
        with Server(environment=manager.environment(WATCHDOG_MS)) as server, TlsPeer(server.port) as client:
            server.stdout.hold()
            for _ in range(20):  # much more than a pipe holds
                client.send(b"x" * tls_peers.TLS_RECORD_MAX_BYTES)
            manager.wait("STATUS", lambda line: line.startswith("Waiting for who reads standard output: "))
            server.stdout.release()
            client.receive_until(DEFAULT_REPLY, count=20)
            client.finish()


class Unreachable(ServiceCase):
    """A manager that cannot be told anything never keeps the server from serving."""

    def check_serves(self, address, words):
        with self.sandboxed(environment={"NOTIFY_SOCKET": address}) as server:
            server.wait_log("the service manager cannot be told anything reason=.*" + re.escape(words))
            self.exchange(server)

    def test_nobody_listens_there(self):
        self.check_serves(str(self.folder / "nobody"), "No such file or directory")

    def test_a_name_too_long(self):
        self.check_serves("/" + "x" * 107, "108 bytes, and a socket's address at most 107")

    def test_no_address_at_all(self):
        self.check_serves("notify", "neither a path from / nor an abstract name from @")

    def test_a_full_queue_holds_nothing_up(self):
        manager = self.manager()
        stuffed = manager.stuff()
        self.assertGreater(stuffed, 0)
        with self.sandboxed(environment=manager.environment(WATCHDOG_MS)) as server:
            self.exchange(server)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            self.exchange(server)
            for _ in range(stuffed):
                self.assertEqual(manager.hear(), {"STUFFING": "1"})
            # Of two times "ready", one is left, and it comes after the reload that it ends.
            self.assertEqual(manager.names_until("READY"), ["RELOADING", "READY"])

    def test_a_manager_that_goes(self):
        manager = self.manager()
        with self.sandboxed(environment=manager.environment(WATCHDOG_MS)) as server:
            manager.wait("READY")
            manager.close()
            server.wait_log("the service manager has gone; it is told nothing any more")
            self.exchange(server)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")


class Credentials(ServiceCase):
    """The folder that LoadCredential= makes: readable for nobody else, named in the environment."""

    def setUp(self):
        super().setUp()
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir(mode=0o700)
        self.place("")
        self.configuration = self.folder / "certpostd.conf"
        self.configuration.write_text("cert = credential:server.crt\nkey = credential:server.key\n")

    def place(self, kind):
        for name in ("server.crt", "server.key"):
            new = self.credentials / (name + ".new")
            shutil.copy(certs.path(kind + name), new)
            new.chmod(0o400)
            new.replace(self.credentials / name)

    def serve(self, *options):
        return processes.Process(
            [PROGRAM, "--listen", "127.0.0.1:0", "--config", self.configuration, *options],
            name="certpostd", environment={"CREDENTIALS_DIRECTORY": str(self.credentials)})

    def exchange_with(self, port, kind):
        with TlsPeer(port, context=tls_peers.client_context(ca=kind + "ca.crt")) as client:
            client.exchange(b"Hello, server!", DEFAULT_REPLY)
            client.finish()

    def test_key_and_certificate_through_a_reload(self):
        with self.serve() as server:
            port = int(server.stdout.wait_line(r"Server listening on 127\.0\.0\.1:(\d+)").group(1))
            self.exchange_with(port, "")
            self.place("ed25519/")
            server.send_signal(signal.SIGHUP)
            server.stderr.wait_line(".*reloaded.*")
            self.exchange_with(port, "ed25519/")
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)

    def test_one_that_is_missing_is_named(self):
        (self.credentials / "server.key").unlink()
        with self.serve("--test-config") as server:
            self.assertEqual(server.wait(), 58)
            self.assertIn(str(self.credentials / "server.key"), bytes(server.stderr.data).decode())

    def test_without_credentials_at_all(self):
        status, _, said = run_certpostd("--config", self.configuration, environment={"CREDENTIALS_DIRECTORY": ""})
        self.assertEqual(status, 2)
        self.assertIn("--cert: credential:server.crt: there are no credentials", said)


if __name__ == "__main__":
    unittest.main()
