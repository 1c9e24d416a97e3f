"""certpostd with a store that cannot be had, fills up, is locked, stands still: never a false
acknowledgement, and it goes on by itself.

One case alone: ctest --preset dev -R 'integration.store_failures.locked_by_another_program'
"""

import contextlib
import os
import pathlib
import pwd
import signal
import socket
import sqlite3
import tempfile
import unittest

import certificates as certs
import certpost1
import processes
from certpost1 import CODES
from certpost1_peer import Sender, StoreFile, refusal_of
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server, run_certpostd
from scene import MEBIBYTE, MEMORY_SCALE
from small_disk import SmallDisk
from tls_peers import TlsPeer

FAILED = "error the store has failed"
WORKS = "info the store works again"
REFUSED = b"Message refused: the server cannot take messages now"
USER = "nobody"
STORE_STATUS = 74


@contextlib.contextmanager
def locked(path):
    """What a person does who forgets a transaction in the sqlite3 shell."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


class StoreCase(unittest.TestCase):
    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)

    def serve(self, *options, **process):
        return Server("--store", self.store.path, *options, **process)


class Lock(StoreCase):
    def _fail_and_recover(self, server):
        """A sender and an idle one before the lock; all that they were promised holds after it."""
        with Sender(b"busy", seq=0) as busy, Sender(b"idle", seq=0) as idle:
            idle.open(server.port)
            idle.send_all([b"before"])
            busy.open(server.port)
            busy.send_all([b"before"])
            with locked(self.store.path):
                busy.queue(b"during")
                busy.send_next()
                heard = busy.hear_end()
                self.assertEqual([kind for kind, _ in heard], [certpost1.GOAWAY])
                self.assertEqual(refusal_of(heard), CODES["store_failed"])
                self.assertEqual(refusal_of(idle.hear_end()), CODES["store_failed"])
                self.assertIn("locked", server.wait_log(FAILED).group())
                with self.assertRaises(certpost1.Refused) as caught:  # at once, while it lasts
                    busy.open(server.port)
                self.assertEqual(caught.exception.code, CODES["store_failed"])
            server.wait_log(WORKS)
            busy.open(server.port)
            busy.deliver()
            busy.leave()
            idle.open(server.port)
            idle.send_all([b"after"])
            idle.leave()
            self.assertEqual(self.store.messages("", "busy"), [b"before", b"during"])
            self.assertEqual(self.store.messages("", "idle"), [b"before", b"after"])

    def test_locked_by_another_program(self):
        with self.serve() as server:
            self._fail_and_recover(server)
            self._fail_twice_is_said_twice(server)

    def _fail_twice_is_said_twice(self, server):
        with locked(self.store.path), Sender(b"again") as sender:
            sender.open(server.port)
            sender.queue(b"m")
            sender.send_next()
            self.assertEqual(refusal_of(sender.hear_end()), CODES["store_failed"])
        server.wait_log(WORKS)
        said = [line for line in server.stderr.lines if FAILED in line or WORKS in line]
        self.assertEqual(len(said), 4)

    def test_locked_by_another_program_in_the_sandbox(self):
        with self.serve(sandbox=True) as server:
            self._fail_and_recover(server)

    def test_plain_clients_are_refused(self):
        options = ("--framing", "line")
        with self.serve(*options) as server, TlsPeer(server.port) as idle, TlsPeer(server.port) as busy:
            for peer in (idle, busy):
                peer.exchange(b"before\n", DEFAULT_REPLY + b"\n")
            with locked(self.store.path):
                busy.send(b"during\n")
                self.assertEqual(busy.receive_all(), REFUSED + b"\n")
                self.assertEqual(idle.receive_all(), REFUSED + b"\n")
                with TlsPeer(server.port) as late:
                    late.send(b"late\n")
                    self.assertEqual(late.receive_all(), REFUSED + b"\n")
                    late.finish()
            server.wait_log(WORKS)
            with TlsPeer(server.port) as peer:
                peer.exchange(b"after\n", DEFAULT_REPLY + b"\n")
                peer.finish()
            bodies = [self.store.messages("", name) for _, name in self.store.streams()]
            self.assertEqual(sorted(bodies), [[b"after"], [b"before"], [b"before"]])

    def test_it_ends_in_order_while_the_store_has_failed(self):
        with self.serve() as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            with locked(self.store.path):
                sender.queue(b"never stored")
                sender.send_next()
                self.assertEqual(refusal_of(sender.hear_end()), CODES["store_failed"])
                sender.close()
                server.stop()
            self.assertEqual(self.store.streams(), {})


class Space(unittest.TestCase):
    def test_full_disk_and_room_again(self):
        """Messages until 4 MiB are full; once there is room, delivery goes on and nothing is missing."""
        disk = SmallDisk("4m")
        if disk.why_not is not None:
            processes.skip(f"a small file system cannot be mounted: {disk.why_not}")
        self.addCleanup(disk.close)
        ballast = disk.fill(leave_bytes=MEBIBYTE)
        store = StoreFile(disk.folder)
        messages = [b"%06d" % number + b"x" * 4000 for number in range(400)]
        with Server("--store", store.path, sandbox=True) as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            # Some by themselves: on a busy machine all that fits the disk and more can be one commit.
            for message in messages[:20]:
                sender.queue(message)
            sender.deliver()
            for message in messages[20:]:
                sender.queue(message)
            with self.assertRaises(certpost1.Refused) as caught:
                sender.deliver()
            self.assertEqual(caught.exception.code, CODES["store_full"])
            self.assertIn("the disk is full", server.wait_log(FAILED).group())
            acknowledged = sender.seq
            self.assertGreaterEqual(acknowledged, 20)
            os.unlink(ballast)
            server.wait_log(WORKS)
            self.assertGreaterEqual(sender.open(server.port)["last_seq"], acknowledged)
            sender.deliver()
            sender.leave()
            self.assertEqual(store.messages("", "demo"), messages)


class StandStill(StoreCase):
    def test_memory_is_bounded_while_the_disk_stands_still(self):
        """For the two seconds that a lock is waited for, 30 senders push as much as they can."""
        count, push_bytes = 30, 2 * MEBIBYTE
        options = ("--max-pending-total", "8MiB", "--workers", "2")
        with self.serve(*options, environment=SMALL_QUARANTINE) as server, contextlib.ExitStack() as stack:
            senders = [stack.enter_context(Sender(f"s{n}".encode(), seq=0)) for n in range(count)]
            for sender in senders:
                sender.open(server.port)
            resident = processes.resident_bytes(server.pid)
            peak = 0
            with locked(self.store.path):
                frames = certpost1.encode(certpost1.MESSAGE, b"y" * 8000) * 120
                for sender in senders:
                    sender.socket.settimeout(0.01)
                pushed = 0
                for sender in senders:
                    with contextlib.suppress(TimeoutError, socket.timeout, OSError):
                        for start in range(0, min(len(frames), push_bytes), 65536):
                            pushed += sender.socket.send(frames[start:start + 65536])
                    peak = max(peak, processes.resident_bytes(server.pid))
                self.assertGreater(pushed, 8 * MEBIBYTE)
                server.wait_log(FAILED)
            # What is counted, doubled by buffers that grow, and one receive for each connection.
            bound = 2 * 8 * MEBIBYTE + count * 256 * 1024
            self.assertLess(peak - resident, bound * MEMORY_SCALE)
            server.wait_log(WORKS)


class Start(StoreCase):
    def _refused(self, *options):
        status, _, said = run_certpostd("--listen", "127.0.0.1:0", "--cert", certs.path("server.crt"),
                                        "--key", certs.path("server.key"), *options)
        return status, said

    def _expect_refused(self, words, *options):
        status, said = self._refused(*options)
        self.assertEqual(status, STORE_STATUS, said)
        lines = [line for line in said.splitlines() if line.startswith("certpostd: ")]
        self.assertEqual(len(lines), 1, said)
        self.assertRegex(lines[0], words)

    def test_stores_that_cannot_be_had(self):
        missing = os.path.join(self.store.folder, "missing", "store.db")
        text = pathlib.Path(self.store.folder, "text")
        text.write_text("this is no database, and it is long enough to be sure of that" * 100)
        for option in ((), ("--test-config",)):
            self._expect_refused("missing", "--store", missing, *option)
            self._expect_refused("store", "--store", self.store.folder, *option)
        self._expect_refused("not an SQLite database", "--store", str(text))

    def test_a_second_server_on_the_same_store(self):
        with self.serve() as server:
            self._expect_refused(f"in use by process {server.pid}", "--store", self.store.path)

    def test_checking_the_configuration_makes_no_store(self):
        status, said = self._refused("--store", self.store.path, "--test-config")
        self.assertEqual(status, 0, said)
        self.assertFalse(os.path.exists(self.store.path))

    def test_another_store_needs_a_restart(self):
        with tempfile.NamedTemporaryFile("w+", suffix=".conf") as config:
            config.write(f"store = {self.store.path}\n")
            config.flush()
            with Server("--config", config.name) as server:
                config.seek(0)
                config.write("# nothing\n".ljust(200) + "\n")
                config.flush()
                server.send_signal(signal.SIGHUP)
                server.wait_log("takes effect at the next start only option=store")
                server.wait_log("reloaded")
                with Sender(b"demo", seq=0) as sender:
                    self.assertEqual(sender.open(server.port)["level"], certpost1.STORED)
                    sender.send_all([b"still stored"])
                    sender.leave()
                self.assertEqual(self.store.messages("", "demo"), [b"still stored"])

    def test_the_files_belong_to_the_user_who_serves(self):
        if os.geteuid() != 0:
            processes.skip("only root can start a server that becomes another user")
        user = pwd.getpwnam(USER)
        os.chown(self.store.folder, user.pw_uid, user.pw_gid)
        with self.serve("--user", USER) as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            sender.send_all([b"mine"])
            owners = {os.stat(os.path.join(self.store.folder, name)).st_uid
                      for name in os.listdir(self.store.folder) if name.startswith("store.db")}
            self.assertEqual(owners, {user.pw_uid})
            with locked(self.store.path):
                sender.queue(b"lost for now")
                sender.send_next()
                self.assertEqual(refusal_of(sender.hear_end()), CODES["store_failed"])
            server.wait_log(WORKS)
            sender.open(server.port)
            sender.deliver()
            sender.leave()

    def test_a_folder_that_the_user_cannot_write(self):
        if os.geteuid() != 0:
            processes.skip("only root can start a server that becomes another user")
        os.chmod(self.store.folder, 0o755)
        self._expect_refused("cannot open its lock file", "--store", self.store.path, "--user", USER)


if __name__ == "__main__":
    unittest.main()
