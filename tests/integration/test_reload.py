"""SIGHUP: all new or, with one clear error line, all old; and --test-config, which only looks.

One case alone: ctest --preset dev -R 'integration.reload.under_load'
"""

import contextlib
import pathlib
import re
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server, run_certpostd
from tls_peers import TlsPeer

RELOADS = 100 if not processes.SANITIZER else 60
TALKERS = 4  # each with connections of its own, one after the other
FAILED = "reload failed, nothing has changed"
NEXT_START = "a changed option takes effect at the next start only"
PAIRS = ("", "ed25519/")  # two servers' certificates, of two authorities


def trusting_context():
    """A client's context that trusts both authorities."""
    context = tls_peers.client_context()
    for pair in PAIRS:
        context.load_verify_locations(certs.path(f"{pair}ca.crt"))
    return context


def certificate_bytes(name):
    """The first certificate of a file, in DER."""
    text = pathlib.Path(certs.path(name)).read_text(encoding="ascii")
    return ssl.PEM_cert_to_DER_cert(re.search(r"(?s)-----BEGIN CERT.*?-----END CERTIFICATE-----\n", text).group())


class Stage:
    """A running server with certificate, key and configuration file in a folder of the test's own."""

    def __init__(self, server, folder, context):
        self.server = server
        self.folder = folder
        self.context = context

    def install(self, pair):
        """Puts one of the pairs in place, as a tool that renews certificates would: by renaming."""
        for name in ("server.crt", "server.key"):
            self.replace(name, pathlib.Path(certs.path(pair + name)).read_bytes())

    def replace(self, name, data):
        new = self.folder / f"{name}.new"
        new.write_bytes(data)
        new.rename(self.folder / name)

    def configure(self, text):
        self.replace("certpostd.conf", text.encode())

    def reload(self):
        """Asks for it and returns the log line that says how it went."""
        self.server.send_signal(signal.SIGHUP)
        return self.server.wait_log(r" (?:reloaded|reload failed, .*)").group(0)

    def check_reloaded(self):
        line = self.reload()
        if not line.endswith(" info reloaded"):
            raise AssertionError(line)

    def check_refused(self, words):
        line = self.reload()
        if f" error {FAILED} reason=" not in line or not re.search(words, line):
            raise AssertionError(f"{line!r} has no {words!r}")

    def peer(self):
        return TlsPeer(self.server.port, context=self.context)

    def reply_to_newcomer(self):
        with self.peer() as peer:
            peer.send(b"which reply?")
            reply = peer.receive_some()
            peer.finish()
        return reply

    def served_certificate(self):
        with self.peer() as peer:
            der = peer.tls.getpeercert(binary_form=True)
            peer.finish()
        return der


@contextlib.contextmanager
def stage(*options, text=""):
    with tempfile.TemporaryDirectory(prefix="certpost-reload-") as name:
        folder = pathlib.Path(name)
        for file in ("server.crt", "server.key"):
            shutil.copyfile(certs.path(file), folder / file)
        (folder / "certpostd.conf").write_text(text, encoding="utf-8")
        files = {"cert": str(folder / "server.crt"), "key": str(folder / "server.key")}
        with Server("--config", folder / "certpostd.conf", *options, environment=SMALL_QUARANTINE, **files) as server:
            yield Stage(server, folder, trusting_context())


class _Talker(threading.Thread):
    """Connects, exchanges and leaves, again and again, beside one connection that stays."""

    def __init__(self, play):
        super().__init__(daemon=True)
        self._play = play
        self._ending = threading.Event()
        self.exchanges = 0
        self.failure = None

    def run(self):
        try:
            with self._play.peer() as old:
                while not self._ending.is_set():
                    self._visit()
                    old.exchange(b"from the old connection", DEFAULT_REPLY)
                    self.exchanges += 1
                old.finish()
        except Exception as failure:  # noqa: BLE001 - told by the test
            self.failure = failure

    def _visit(self):
        with self._play.peer() as peer:
            for _ in range(3):
                peer.exchange(b"from a new connection", DEFAULT_REPLY)
                self.exchanges += 1
            peer.finish()

    def end(self):
        self._ending.set()
        self.join(processes.DEADLINE_S)
        if self.is_alive():
            raise AssertionError("an exchange hangs")
        if self.failure:
            raise self.failure


class Reload(unittest.TestCase):
    def test_under_load(self):
        """A hundred reloads, a third of them with a bad file, while clients come, talk and go."""
        bad = (
            ("server.crt", b"no certificate\n"),
            ("server.key", b"no key\n"),
            ("certpostd.conf", b"no = option\n"),
        )
        with stage("--workers", "4") as play:
            talkers = [_Talker(play) for _ in range(TALKERS)]
            for talker in talkers:
                talker.start()
            current = 0
            refused = 0
            for number in range(RELOADS):
                if number % 3 == 1:
                    name, data = bad[number // 3 % len(bad)]
                    kept = (play.folder / name).read_bytes()
                    play.replace(name, data)
                    play.check_refused(re.escape(name))
                    play.replace(name, kept)
                    refused += 1
                else:
                    current = 1 - current
                    play.install(PAIRS[current])
                    play.check_reloaded()
                self.assertEqual(
                    play.served_certificate(), certificate_bytes(f"{PAIRS[current]}server.crt"), number
                )
            for talker in talkers:
                talker.end()
            exchanges = sum(talker.exchanges for talker in talkers)
            print(f"{RELOADS} reloads, {refused} refused; {exchanges} exchanges, none failed")
            self.assertGreater(exchanges, RELOADS)
            errors = [line for line in play.server.stderr.lines if " error " in line]
            self.assertEqual(len(errors), refused)
            self.assertEqual(sum(line.endswith(" reloaded") for line in play.server.stderr.lines), RELOADS - refused)

    def test_memory_and_descriptors_stay(self):
        """What was before a reload is given back once its last connection has gone."""
        with stage("--workers", "2") as play:
            for _ in range(10):
                play.check_reloaded()
                play.served_certificate()
                play.server.wait_log("connection ended")
            descriptors = processes.descriptor_count(play.server.pid)
            resident = processes.resident_bytes(play.server.pid)
            for _ in range(60):
                play.check_reloaded()
                play.served_certificate()
            processes.wait_until(
                play.server,
                lambda: processes.descriptor_count(play.server.pid) == descriptors,
                f"{descriptors} descriptors",
            )
            grown = processes.resident_bytes(play.server.pid) - resident
            print(f"grown by {grown} bytes in 60 reloads")
            self.assertLess(grown, (2 if not processes.SANITIZER else 32) << 20)

    def test_established_connections_keep_what_they_began_with(self):
        with stage(text="reply = the first\nmax-message = 5\n") as play, play.peer() as old:
            old.exchange(b"hello", b"the first")
            play.configure("reply = the second\nmax-message = 50\n")
            play.check_reloaded()
            with play.peer() as new:
                new.exchange(b"a longer message", b"the second")
                old.exchange(b"still", b"the first")
                new.finish()
            old.send(b"a longer message")
            self.assertRegex(old.receive_all(), rb"^Message refused: ")

    def test_limits_change(self):
        with stage(text="max-connections-per-address = 2\n") as play:
            first, second = play.peer(), play.peer()
            play.configure("max-connections-per-address = 3\n")
            play.check_reloaded()
            third = play.peer()
            third.exchange(b"the third", DEFAULT_REPLY)
            play.configure("max-connections-per-address = 1\n")
            play.check_reloaded()
            with tls_peers.tcp_connect(play.server.port) as refused:
                self.assertEqual(tls_peers.raw_receive_all(refused), b"")
            for peer in (first, second, third):  # those that are there stay
                peer.exchange(b"still here", DEFAULT_REPLY)
                peer.finish()

    def test_max_connections_grows_for_those_who_wait(self):
        with stage("--workers", "2", text="max-connections = 1\n") as play, play.peer() as inside:
            waiting = tls_peers.tcp_connect(play.server.port)
            play.server.wait_log("all places for connections are taken")
            waiting.close()
            served = []
            visitor = threading.Thread(target=lambda: served.append(play.served_certificate()), daemon=True)
            visitor.start()
            play.configure("max-connections = 5\n")
            play.check_reloaded()
            visitor.join(processes.DEADLINE_S)
            self.assertEqual(len(served), 1)
            inside.finish()

    def test_timeouts_change(self):
        with stage(text="idle-timeout = 10m\n") as play, play.peer() as old:
            old.exchange(b"old", DEFAULT_REPLY)
            play.configure("idle-timeout = 300ms\n")
            play.check_reloaded()
            with play.peer() as new:
                new.exchange(b"new", DEFAULT_REPLY)
                self.assertEqual(new.receive_all(), b"")
            play.server.wait_log(f'peer={new.address} reason="timeout: idle"')
            old.exchange(b"old", DEFAULT_REPLY)
            old.finish()

    def test_log_level_changes(self):
        with stage() as play:
            # "reloaded" is not said at this level: a reply that changes with it shows that it has happened.
            play.configure("log-level = error\nreply = silent now\n")
            play.server.send_signal(signal.SIGHUP)
            processes.wait_until(
                play.server, lambda: play.reply_to_newcomer() == b"silent now", "the silent reload"
            )
            play.configure("log-level = nonsense\n")
            play.check_refused(r"certpostd.conf:1: ")
            before = len(play.server.stderr.lines)
            play.served_certificate()
            play.check_refused(r"certpostd.conf:1: ")
            self.assertEqual(len(play.server.stderr.lines), before + 1)
            play.configure("log-level = info\n")
            play.check_reloaded()
            play.served_certificate()
            play.server.wait_log("connection ended")

    def test_what_needs_a_restart_is_said(self):
        with stage(text="workers = 2\n") as play:
            play.configure(f"workers = 3\nprint = no\nlisten = {play.server.address}\n")
            play.check_reloaded()
            said = [line for line in play.server.stderr.lines if NEXT_START in line]
            self.assertEqual(
                [line.partition(" warning ")[2] for line in said],
                [f"{NEXT_START} option={name}" for name in ("listen", "workers", "print")],
            )
            with play.peer() as peer:
                peer.exchange(b"still printed", DEFAULT_REPLY)
                peer.finish()
            play.server.wait_received("still printed")

    def test_what_needs_a_restart_is_said_as_long_as_it_does(self):
        """It is the running server that an option is compared with, not the reload before."""
        with stage(text="workers = 2\nprint = yes\n") as play:
            said = []
            for text in ("workers = 3\nprint = yes\n", "workers = 3\nprint = yes\n", "workers = 2\nprint = no\n",
                         "workers = 2\nprint = yes\n"):
                play.configure(text)
                before = len(play.server.stderr.lines)
                play.check_reloaded()
                lines = [line for line in play.server.stderr.lines[before:] if NEXT_START in line]
                said.append([line.partition("option=")[2] for line in lines])
            self.assertEqual(said, [["workers"], ["workers"], ["print"], []])

    def test_the_share_of_a_worker_follows_the_workers_that_run(self):
        """A changed `workers` must not change how the limits are split."""
        with stage(text="workers = 1\nmax-handshakes = 8\n") as play:
            play.configure("workers = 8\nmax-handshakes = 8\n")
            play.check_reloaded()
            silent = [tls_peers.tcp_connect(play.server.port) for _ in range(6)]
            play.served_certificate()
            self.assertFalse([line for line in play.server.stderr.lines if "gave way" in line])
            for connection in silent:
                connection.close()

    def test_a_configuration_that_vanishes(self):
        with stage(text="reply = the first\n") as play:
            (play.folder / "certpostd.conf").unlink()
            play.check_refused(r"cannot read configuration .*certpostd\.conf: No such file")
            with play.peer() as peer:
                peer.exchange(b"hello", b"the first")
                peer.finish()

    def test_a_key_that_does_not_match_yet(self):
        """Between the two renames of a renewal the files do not fit; the old pair is served on."""
        with stage() as play:
            for name, pair, words in (("server.crt", "ed25519/", "does not belong"), ("server.key", "ed25519/", None)):
                play.replace(name, pathlib.Path(certs.path(pair + name)).read_bytes())
                if words:
                    play.check_refused(words)
                    self.assertEqual(play.served_certificate(), certificate_bytes("server.crt"))
                else:
                    play.check_reloaded()
                    self.assertEqual(play.served_certificate(), certificate_bytes("ed25519/server.crt"))


class TestConfig(unittest.TestCase):
    """--test-config: status and words, and never a listening socket."""

    GOOD = (
        "# a comment\n"
        "listen = 127.0.0.1:{port}\n"
        "cert = {cert}\n"
        "key = {key}\n"
        "workers = 2\n"
        "proxy-from = 10.0.0.0/8\n"
    )

    def _check(self, text, status, errors, *arguments):
        """The port is taken by the test itself: a server that listens would fail on it."""
        with tempfile.TemporaryDirectory(prefix="certpost-config-") as folder, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            path = pathlib.Path(folder) / "certpostd.conf"
            path.write_text(
                text.format(
                    port=taken.getsockname()[1],
                    cert=certs.path("server.crt"),
                    key=certs.path("server.key"),
                ),
                encoding="utf-8",
            )
            found = run_certpostd("--test-config", "--config", path, *arguments)
            good = "" if status else "The configuration is good.\n"
            self.assertEqual(found[:2], (status, good), found)
            said = found[2].replace(str(path), "FILE")
            if errors is None:
                self.assertEqual(said, "")
            else:
                self.assertRegex(said, rf"^certpostd: {errors}\n$")

    def test_a_good_configuration(self):
        self._check(self.GOOD, 0, None)

    def test_bad_lines(self):
        for line, errors in (
            ("max-conections = 5", r"FILE:7: .*max-conections.*max-connections.*"),
            ("max-connections = many", r"FILE:7: --max-connections: the number is 1 to 1048576"),
            ("workers = 3", "FILE:7: workers is set already in line 5"),
            ("idle-timeout", "FILE:7: a line is `key = value`"),
            ("idle-timeout =", "FILE:7: the value is empty"),
            ("client-verify = require", "--client-verify needs --client-ca"),
            ("cert = /nowhere/else.crt", "2 --cert and 1 --key: .*"),
            ("proxy-from = nonsense", "FILE:7: --proxy-from: nonsense is no address, .*"),
            ("config = other.conf", r"FILE:7: .*config.*"),
            ("test-config = yes", r"FILE:7: .*test-config.*"),
        ):
            with self.subTest(line):
                self._check(f"{self.GOOD}{line}\n", 2, errors)

    def test_what_only_a_start_would_show(self):
        for line in ("groups = nonsense", "ciphersuites = nonsense"):
            with self.subTest(line):
                self._check(f"{self.GOOD}{line}\n", 2, ".*nonsense.*")

    def test_bad_files(self):
        for change, status, errors in (
            (("{cert}", "/nowhere/server.crt"), 58, ".*/nowhere/server.crt.*"),
            (("{key}", "/nowhere/server.key"), 58, ".*/nowhere/server.key.*"),
            (("{key}", "{cert}"), 58, ".*server.crt.*"),
            (("{key}", certs.path("ed25519/server.key")), 58, ".*server.key does not belong to certificate .*server.crt"),
        ):
            with self.subTest(errors):
                self._check(self.GOOD.replace(*change), status, errors)

    def test_no_such_configuration(self):
        found = run_certpostd("--test-config", "--config", "/nowhere/certpostd.conf")
        self.assertEqual(
            found,
            (74, "", "certpostd: cannot read configuration /nowhere/certpostd.conf: No such file or directory\n"),
        )

    def test_the_command_line_wins(self):
        self._check(f"{self.GOOD}reply = {'x' * 1024}\n", 0, None, "--reply", "short")
        self._check(self.GOOD, 2, ".*reply.*", "--reply", "x" * 1025)


if __name__ == "__main__":
    unittest.main()
