"""Servers inside another program (include/certpost/server.h): its decisions in both exchanges, with and
without a store, and what becomes of the process around them.

One case alone: ctest --preset dev -R 'integration.embedded.rejected_in_the_middle'
"""

import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import tempfile
import unittest

import certificates as certs
import certpost1
import processes
from certpost1 import ACK, CODES, GOAWAY, MESSAGE, REJECT
from certpost1_peer import Sender, StoreFile, open_tls, refusal_of
from certpost_server import DEFAULT_REPLY
from embedded import BINARIES, SANITIZER_THREADS, Failed, Host, saw, signals_blocked
from small_disk import SmallDisk
from tls_peers import OpenSslClient, TlsPeer, client_context

LINES = "framing line"
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
UNBLOCKABLE = {signal.SIGKILL, signal.SIGSTOP}


def at_once(sender, messages):
    """Sends messages so that the server reads them together: one record, one batch."""
    sender.socket.sendall(b"".join(certpost1.encode(MESSAGE, message) for message in messages))


class EmbeddedCase(unittest.TestCase):
    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)
        self.with_store = f"store {self.store.path}"


class Plain(EmbeddedCase):
    def test_taken_with_a_reply_of_its_own(self):
        with Host() as host:
            port = host.serve(LINES)
            with TlsPeer(port) as peer:
                peer.exchange(b"hello\n", DEFAULT_REPLY + b"\n")
                peer.exchange(b"reply number 2\n", b"number 2\n")
                peer.send(b"one\nreply two\nthree\n")
                self.assertEqual(peer.receive_until(b"\n", 3),
                                 DEFAULT_REPLY + b"\ntwo\n" + DEFAULT_REPLY + b"\n")
                peer.finish()
            stream = host.wait_seen(r"- (plain/\S+) 1 hello").group(1)
            for seq, text in enumerate(("reply number 2", "one", "reply two", "three"), 2):
                host.wait_seen(saw("", stream, seq, text))

    def test_openssl_client(self):
        with Host() as host:
            port = host.serve()
            with OpenSslClient(port, "-quiet") as client:
                client.write(b"reply to openssl\n")
                client.stdout.wait_bytes(b"to openssl")
                client.write(b"no 7 not you\n")
                client.stdout.wait_bytes(b"Message refused: not you")
                self.assertEqual(client.wait(), 0)

    def test_rejected_with_its_text(self):
        for text, told in ((b"no 0 too late", b"too late"), (b"no 0", b"not accepted"),
                           (b"no 0 a\tb\\c\x1b[0m\xff", b"a\\tb\\c\\x1b[0m\\xff")):
            with Host() as host:
                port = host.serve(LINES)
                with TlsPeer(port) as peer:
                    peer.send(b"before\n" + text + b"\nbehind\n")
                    self.assertEqual(peer.receive_all(),
                                     DEFAULT_REPLY + b"\nMessage refused: " + told + b"\n")
                with TlsPeer(port) as other:
                    other.exchange(b"another\n", DEFAULT_REPLY + b"\n")
                    other.finish()
                self.assertNotIn("behind", host.seen())

    def test_a_reply_is_one_harmless_line(self):
        """Control characters are escaped, lengths bounded, and nobody forges a refusal."""
        e_acute = "é".encode()
        cases = (
            (b"a\x00\x1b[31m\x7f", b"a"),  # a NUL ends it
            (b"\x1b[31m\x7f\xfe", b"\\x1b[31m\\x7f\\xfe"),
            (b'{"path":"C:\\\\x"}', b'{"path":"C:\\\\x"}'),
            (b"Message refused: not really", DEFAULT_REPLY),
            (e_acute * 127, e_acute * 127),
            (b"x" + e_acute * 127, b"x" + e_acute * 127),
            (b"y" * 300, b"y" * 255),
            (b"\x01" * 255, b"\\x01" * 63),
        )
        with Host() as host:
            port = host.serve(LINES)
            with TlsPeer(port) as peer:
                for said, sent in cases:
                    peer.exchange(b"reply " + said + b"\n", sent + b"\n")
                peer.finish()
            host.ask("stop 0")
            host.ask("set 0 framing chunk")
            with TlsPeer(host.start()) as peer:
                peer.exchange(b"reply a\nb\r\nc", b"a\\nb\\r\\nc")
                peer.finish()

    def test_stored_with_replies(self):
        with Host() as host:
            port = host.serve(self.with_store, LINES)
            with TlsPeer(port) as peer:
                peer.send(b"one\nreply and two\nno 0 three\nfour\n")
                self.assertEqual(peer.receive_all(),
                                 DEFAULT_REPLY + b"\nand two\nMessage refused: three\n")
            ((identity, name),) = self.store.streams()
            self.assertEqual(self.store.messages(identity, name), [b"one", b"reply and two"])

    def test_a_peer_that_reads_late_gets_all_replies(self):
        count = 3000
        with Host() as host:
            port = host.serve(LINES)
            with TlsPeer(port, receive_buffer_bytes=4096) as peer:
                for number in range(count):
                    peer.send(b"reply %0200d\n" % number)
                received = peer.receive_until(b"\n", count)
                self.assertEqual(received, b"".join(b"%0200d\n" % n for n in range(count)))
                peer.finish()


class Certpost1(EmbeddedCase):
    def test_taken(self):
        with Host() as host, Sender(b"demo", seq=0) as sender:
            port = host.serve(f"client-ca {certs.path('ca.crt')}", "reply as agreed")
            welcome = sender.open(port, "client-sensor")
            self.assertEqual((welcome["level"], welcome["reply"]), (certpost1.ACCEPTED, b"as agreed"))
            sender.send_all([b"one", b"reply is not for certpost/1", b""])
            sender.leave()
            for seq, text in enumerate(("one", "reply is not for certpost/1", ""), 1):
                host.wait_seen(saw("uri:urn:certpost:sensor", "demo", seq, text))

    def test_rejected_with_code_and_text(self):
        cases = ((b"no 1000 not an order", 1000, "not an order"), (b"no 256 a\nb", 256, "a\\nb"),
                 (b"no 65535 ", 65535, "not accepted"), (b"no 255 below", CODES["refused"], "below"),
                 (b"no 0 none", CODES["refused"], "none"))
        with Host() as host:
            port = host.serve()
            for number, (message, code, text) in enumerate(cases):
                with Sender(b"stream %d" % number, seq=0) as sender:
                    sender.open(port)
                    at_once(sender, [message])
                    ((kind, told),) = sender.hear_end()
                    self.assertEqual((kind, told["seq"], told["code"], told["text"]),
                                     (REJECT, 1, code, text.encode()))

    def test_rejected_in_the_middle(self):
        """What is before it is stored and acknowledged; what is behind it is not even shown."""
        for option in (self.with_store, "store none"):
            with self.subTest(option), Host() as host, Sender(b"demo", seq=0) as sender:
                port = host.serve(option)
                sender.open(port)
                at_once(sender, [b"one", b"two", b"no 300 three", b"four", b"five"])
                heard = sender.hear_end()
                self.assertEqual([kind for kind, _ in heard], [ACK, REJECT])
                self.assertEqual((heard[0][1]["last_seq"], heard[1][1]["seq"]), (2, 3))
                self.assertEqual(refusal_of(heard), 300)
                sender.seq = sender.digest = None
                self.assertEqual(sender.open(port)["last_seq"], 2)  # and goes on from there
                sender.unacked = []
                sender.send_all([b"another three"])
                sender.leave()
                self.assertEqual(host.seen(), ["one", "two", "no 300 three", "another three"])
        self.assertEqual(self.store.messages("", "demo"), [b"one", b"two", b"another three"])

    def test_rejected_while_later_batches_wait(self):
        """The rejected message and those behind it are in different batches of one group."""
        with Host() as host, Sender(b"hold") as hold, Sender(b"demo", seq=0) as sender:
            port = host.serve(self.with_store, "workers 1")
            hold.open(port)
            sender.open(port)
            host.ask("gate shut")
            at_once(hold, [b"wait"])
            host.wait_seen(saw("", "hold", 1, "wait"))
            for batch in ([b"one"], [b"two", b"no 400 three"], [b"four"], [b"five"] * 50):
                at_once(sender, batch)
                sender.frames.send(certpost1.encode(certpost1.PING, b"12345678"))
                self.assertEqual(sender.frames.receive({certpost1.PONG})[0], certpost1.PONG)
            host.ask("gate open")
            heard = sender.hear_end()
            self.assertEqual([kind for kind, _ in heard][-2:], [ACK, REJECT])
            self.assertEqual((heard[-2][1]["last_seq"], heard[-1][1]["seq"]), (2, 3))
            self.assertEqual(host.seen(), ["wait", "one", "two", "no 400 three"])
        self.assertEqual(self.store.messages("", "demo"), [b"one", b"two"])

    def test_other_streams_of_the_group_go_on(self):
        with Host() as host, Sender(b"bad", seq=0) as bad, Sender(b"good", seq=0) as good:
            port = host.serve(self.with_store)
            with Sender(b"hold", seq=0) as hold:
                for sender in (hold, bad, good):
                    sender.open(port)
                host.ask("gate shut")
                at_once(hold, [b"wait"])
                host.wait_seen(saw("", "hold", 1, "wait"))
                at_once(bad, [b"no 500 bad", b"lost"])
                for number in range(20):
                    good.queue(b"good %d" % number)
                    good.send_next()
                host.ask("gate open")
                good.deliver()
                self.assertEqual(refusal_of(bad.hear_end()), 500)
                good.leave()
            self.assertEqual(self.store.messages("", "good"), [b"good %d" % n for n in range(20)])
            self.assertNotIn(("", "bad"), self.store.streams())

    def test_superseded_messages_are_not_shown(self):
        with Host() as host, Sender(b"hold", seq=0) as hold, Sender(b"demo") as old, Sender(b"demo") as new:
            port = host.serve(self.with_store, "workers 1")
            hold.open(port)
            old.open(port)
            host.ask("gate shut")
            for message in (b"wait", b"fills the next batch"):
                at_once(hold, [message])
                hold.frames.send(certpost1.encode(certpost1.PING, b"12345678"))
                self.assertEqual(hold.frames.receive({certpost1.PONG})[0], certpost1.PONG)
            host.wait_seen(saw("", "hold", 1, "wait"))
            at_once(old, [b"of the older"])
            say_hello(new, port)
            host.ask("gate open")
            self.assertEqual(refusal_of(old.hear_end()), CODES["superseded"])
            self.assertNotIn("of the older", host.seen())


def say_hello(sender, port):
    """Connects and says HELLO; returns when the server has read it, without waiting for the WELCOME."""
    sender.socket = open_tls(port)
    sender.frames = certpost1.Frames(sender.socket)
    sender.frames.send(certpost1.encode_hello(sender.name) + certpost1.encode(certpost1.PING, b"87654321"))
    received = sender.frames.receive({certpost1.PONG})
    if received[0] != certpost1.PONG:
        raise AssertionError("no PONG")


class Failing(EmbeddedCase):
    def test_a_message_whose_commit_fails_is_shown_again(self):
        disk = SmallDisk("1M")
        self.addCleanup(disk.close)
        if disk.why_not is not None:
            processes.skip(f"no file system of its own: {disk.why_not}")
        store = StoreFile(disk.folder)
        with Host() as host, Sender(b"demo", seq=0) as sender:
            port = host.serve(f"store {store.path}")
            sender.open(port)
            sender.send_all([b"small"])
            ballast = disk.fill(leave_bytes=0)
            large = b"large" * 20_000
            sender.queue(large)
            sender.send_next()
            self.assertEqual(refusal_of(sender.hear_end()), CODES["store_full"])
            self.assertEqual(host.ask("ready 0"), "no")
            os.unlink(ballast)
            host.stderr.wait_line(".*the store works again.*")
            self.assertEqual(host.ask("ready 0"), "yes")
            self.assertEqual(sender.open(port)["last_seq"], 1)
            sender.deliver()
            sender.leave()
            self.assertEqual(len(host.seen()), 3)
            shown = [line.split()[4] for line in host.stdout.lines if line.startswith("saw ")]
            self.assertEqual(shown, ["1", "2", "2"])
            self.assertEqual(store.messages("", "demo"), [b"small", large])
            host.finish()


def push_until_it_stalls(peer, most_bytes):
    """Sends lines until the server has taken nothing for a second; returns how many bytes it took."""
    sent = 0
    peer.socket.setblocking(False)
    while sent < most_bytes:
        data = peer.seal(b"x" * 15_999 + b"\n")
        while data:
            if not select.select([], [peer.socket], [], 1)[1]:
                return sent
            taken = peer.socket.send(data)
            sent += taken
            data = data[taken:]
    return sent


class BackPressure(EmbeddedCase):
    def test_a_slow_handler_slows_senders_down(self):
        """While it decides, no more than max-pending is read of a client."""
        with Host() as host:
            port = host.serve(LINES, "max-pending 64KiB", "write-timeout 60s")
            host.ask("gate shut")
            with TlsPeer(port) as peer, TlsPeer(port) as other:
                peer.send(b"wait\n")
                host.wait_seen(r"- \S+ 1 wait")
                before = processes.resident_bytes(host.pid)
                sent = push_until_it_stalls(peer, 64 << 20)
                self.assertLess(sent, 64 << 20)
                self.assertEqual(len(host.seen()), 1)
                self.assertLess(processes.resident_bytes(host.pid) - before, (8 << 20) * processes.SCALE)
                host.ask("gate open")
                other.exchange(b"me too\n", DEFAULT_REPLY + b"\n")
                other.finish()


class Life(EmbeddedCase):
    def assert_cut(self, sender):
        try:
            self.assertEqual(sender.hear_end(), [])
        except (certpost1.Truncated, OSError):
            pass

    def test_two_servers_in_one_process(self):
        with Host() as host:
            one = host.serve(LINES, "reply of one", slot=0)
            two = host.serve(LINES, "reply of two", self.with_store, slot=1)
            with TlsPeer(one) as first, TlsPeer(two) as second:
                first.exchange(b"a\n", b"of one\n")
                second.exchange(b"b\n", b"of two\n")
                host.wait_seen(r"- \S+ 1 a", slot=0)
                host.wait_seen(r"- \S+ 1 b", slot=1)
                second.finish()
                host.ask("stop 1")
                first.exchange(b"c\n", b"of one\n")
                first.finish()

    def test_one_store_has_one_server(self):
        with Host() as host:
            host.serve(self.with_store, slot=0)
            host.new(1, self.with_store)
            with self.assertRaisesRegex(Failed, "store: .*in use by process"):
                host.ask("start 1")
            host.ask("stop 0")
            host.ask("start 1")

    def test_started_again(self):
        with Host() as host:
            port = host.serve(self.with_store, LINES)
            for number in range(5):
                with TlsPeer(port) as peer:
                    peer.exchange(b"m%d\n" % number, DEFAULT_REPLY + b"\n")
                    peer.finish()
                host.ask("stop 0")
                self.assertEqual(host.ask("stop 0"), "")  # nothing to do
                host.wait_alone()
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), processes.DEADLINE_S)
                port = host.start()
            self.assertEqual(len(self.store.streams()), 5)

    def test_started_after_a_failed_start(self):
        with Host() as host, tempfile.TemporaryDirectory() as folder:
            host.new(0, f"store {folder}/none/store.db")
            for option, status, words in (
                    (None, "store", "none"),
                    (f"cert {certs.path('client-sensor.crt')}", "usage", "2 --cert and 1 --key"),
                    ("key /nowhere/server.key", "own-certificate", "/nowhere/server.key")):
                if option is not None:
                    host.ask(f"set 0 {option}")
                with self.assertRaises(Failed) as caught:
                    host.ask("start 0")
                self.assertEqual(caught.exception.status, status)
                self.assertIn(words, caught.exception.text)
                host.wait_alone()
            for name in ("cert", "key", "store"):
                host.ask(f"unset 0 {name}")
            host.ask(f"set 0 cert {certs.path('server.crt')}")
            host.ask(f"set 0 key {certs.path('server.key')}")
            with TlsPeer(host.start()) as peer:
                peer.exchange(b"at last", DEFAULT_REPLY)
                peer.finish()

    def test_a_busy_address(self):
        with Host() as host:
            port = host.serve()
            host.new(1, f"listen 127.0.0.1:{port}")
            with self.assertRaisesRegex(Failed, rf"system: .*127\.0\.0\.1:{port}"):
                host.ask("start 1")

    def test_wrong_options(self):
        cases = (
            ("lisen 127.0.0.1:0", "lisen; did you mean listen"),
            ("framing words", "--framing: the framing is chunk or line"),
            ("max-message", None),
            ("sni-strict maybe", "sni-strict"),
            ("max-message 1PB", "--max-message"),
            ("help", "help belongs on the command line"),
            ("version", "version belongs"),
            ("config /etc/certpostd.conf", "config belongs"),
            ("test-config", "test-config belongs"),
            ("print", "print is about the process"),
            ("no-print", "no-print is about the process"),
            ("user nobody", "user is about the process"),
            ("no-sandbox", "no-sandbox is about the process"),
        )
        with Host() as host:
            host.new()
            for option, words in cases:
                if words is None:
                    host.ask(f"set 0 {option}")  # takes back what was set
                    continue
                with self.subTest(option), self.assertRaises(Failed) as caught:
                    host.ask(f"set 0 {option}")
                self.assertEqual(caught.exception.status, "usage")
                self.assertIn(words, caught.exception.text)
            host.start()
            with self.assertRaisesRegex(Failed, "usage: .*while the server runs"):
                host.ask("set 0 reply x")
            with self.assertRaisesRegex(Failed, "usage: .*runs already"):
                host.ask("start 0")

    def test_reload(self):
        with tempfile.TemporaryDirectory() as folder, Host() as host:
            def install(name):
                for kind in ("crt", "key"):
                    shutil.copy(certs.path(f"{name}.{kind}"), f"{folder}/pair.{kind}")

            def serial(port, ca="ca.crt"):
                with TlsPeer(port, client_context(ca=ca)) as peer:
                    peer.exchange(b"m", DEFAULT_REPLY)
                    number = peer.tls.getpeercert()["serialNumber"]
                    peer.finish()
                    return number

            install("server")
            host.new(0, cert=f"{folder}/pair.crt", key=f"{folder}/pair.key")
            with self.assertRaisesRegex(Failed, "usage: .*does not run"):
                host.ask("reload 0")
            port = host.start()
            first = serial(port)
            with TlsPeer(port) as old:
                old.exchange(b"before", DEFAULT_REPLY)
                pathlib.Path(folder, "pair.crt").write_text("rubbish", encoding="ascii")
                with self.assertRaisesRegex(Failed, "own-certificate: .*pair.crt"):
                    host.ask("reload 0")
                self.assertEqual(serial(port), first)
                old.exchange(b"after", DEFAULT_REPLY)
                install("ed25519/server")
                host.ask("reload 0")
                self.assertNotEqual(serial(port, "ed25519/ca.crt"), first)
                old.exchange(b"still", DEFAULT_REPLY)
                old.finish()

    def test_stopped_with_busy_connections(self):
        """What has arrived is decided on and answered; a connection that does not end is cut."""
        with Host() as host, Sender(b"demo", seq=0) as sender:
            port = host.serve(self.with_store, LINES, "drain-timeout 60s", "close-timeout 1s")
            with TlsPeer(port) as peer:
                sender.open(port)
                host.ask("gate shut")
                peer.send(b"wait\nreply last\n")
                host.wait_seen(r"- \S+ 1 wait")
                at_once(sender, [b"one", b"two"])
                sender.frames.send(certpost1.encode(certpost1.PING, b"12345678"))
                sender.frames.receive({certpost1.PONG})
                host.tell("stop 0")
                self.assertEqual(sender.frames.receive({GOAWAY})[1]["code"], CODES["shutting_down"])
                host.send_signal(signal.SIGUSR2)  # opens the gate
                self.assertEqual(peer.receive_all(), DEFAULT_REPLY + b"\nlast\n")
                acks = sender.hear_end()
                self.assertEqual(acks[-1][1]["last_seq"], 2)
            host.hear()

    def test_cut_at_the_end_of_the_drain_timeout(self):
        with Host() as host:
            port = host.serve(LINES, "drain-timeout 100ms", "close-timeout 20s")
            with TlsPeer(port) as peer:
                peer.exchange(b"m\n", DEFAULT_REPLY + b"\n")
                with self.assertRaisesRegex(Failed, "timeout: 1 connections were cut"):
                    host.ask("stop 0")
            host.wait_alone()

    def test_what_was_not_decided_on_in_time_is_not_shown(self):
        with Host() as host, Sender(b"demo", seq=0) as sender:
            port = host.serve(self.with_store, "drain-timeout 50ms")
            sender.open(port)
            host.ask("gate shut")
            at_once(sender, [b"wait", *[b"m"] * 100])
            host.wait_seen(saw("", "demo", 1, "wait"))
            host.tell("stop 0")
            sender.frames.receive({GOAWAY})
            self.assert_cut(sender)
            host.send_signal(signal.SIGUSR2)  # opens the gate
            with self.assertRaisesRegex(Failed, "timeout"):
                host.hear()
            self.assertEqual(host.seen(), ["wait"])


class Process(EmbeddedCase):
    def test_signals_are_the_programs(self):
        with Host() as host:
            port = host.serve(self.with_store, "workers 2")
            with TlsPeer(port) as peer:
                peer.exchange(b"m", DEFAULT_REPLY)
                threads = host.server_threads()
                self.assertGreaterEqual(len(threads), 4)  # the server's, 2 workers, the writer
                self.assertEqual(signals_blocked(host.pid, host.pid), set())
                every = set(signal.valid_signals()) - FAULTS - UNBLOCKABLE - {32, 33, 34}
                open_to_some = [thread for thread in threads
                                if not every <= signals_blocked(host.pid, thread)]
                self.assertLessEqual(len(open_to_some), SANITIZER_THREADS)
                for _ in range(20):
                    host.send_signal(signal.SIGUSR1)
                peer.finish()
            on_main, elsewhere = map(int, host.ask("signals").split())
            self.assertGreater(on_main, 0)
            self.assertEqual(elsewhere, 0)

    def test_sigpipe_reaches_nobody(self):
        """Peers that vanish while much is sent to them, and a log that nobody reads; the program leaves
        SIGPIPE at its default."""
        with Host() as host:
            host.ask("deafen")
            port = host.serve(LINES)
            for _ in range(10):
                peer = TlsPeer(port)
                peer.send(b"reply much\n" * 1000)
                host.stdout.wait_line(r"saw 0 - \S+ \d+ reply much")
                peer.reset()
            with TlsPeer(port) as last:
                last.exchange(b"m\n", DEFAULT_REPLY + b"\n")
                last.finish()
            host.ask("reload 0")  # which logs, too
            host.ask("stop 0")
            self.assertTrue(host.is_running())

    def test_nothing_is_printed_and_no_limit_raised(self):
        with Host() as host:
            hard = resource.prlimit(host.pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(host.pid, resource.RLIMIT_NOFILE, (128, hard))
            port = host.serve()
            with TlsPeer(port) as peer:
                peer.exchange(b"m", DEFAULT_REPLY)
                peer.finish()
            self.assertFalse([line for line in host.stdout.lines if re.match("Connected|Received|Server", line)])
            self.assertEqual(resource.prlimit(host.pid, resource.RLIMIT_NOFILE), (128, hard))
            host.stderr.wait_line(".*allows fewer connections.*")


class Example(unittest.TestCase):
    def test_embedded_server(self):
        program = [BINARIES / "examples" / "embedded_server", certs.path("server.crt"),
                   certs.path("server.key"), "127.0.0.1:0"]
        with processes.Process(program) as example:
            port = int(example.stdout.wait_line(r"Serving on .*:(\d+) until the input ends").group(1))
            with TlsPeer(port) as peer:
                peer.exchange(b"Hello", b"message 1 taken")
                peer.exchange(b"again", b"message 2 taken")
                peer.send(b"7 is no letter")
                self.assertEqual(peer.receive_all(), b"Message refused: a message begins with a letter")
            with Sender(b"demo", seq=0) as sender:
                sender.open(port)
                at_once(sender, [b"a letter", b"1 digit"])
                self.assertEqual(refusal_of(sender.hear_end()), 1000)
            example.close_stdin()
            example.stdout.wait_line("3 messages taken")
            self.assertEqual(example.wait(), 0)
        status, _, words = processes.run(program[:2] + ["/nowhere", "127.0.0.1:0"])
        self.assertEqual(status, 1)
        self.assertIn("/nowhere", words)
