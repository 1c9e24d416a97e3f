"""certpostd serves certpost/1: conversations, resuming, fencing, identities, violations.

The client is tests/support/certpost1.py, which knows docs/protocol.md and none of our code; what was
stored is read with SQLite alone.

One case alone: ctest --preset dev -R 'integration.certpost1.resume_after_a_kill'
"""

import contextlib
import signal
import socket
import ssl
import threading
import unittest

import certificates as certs
import certpost1
import certpost1_peer
import processes
from certpost1 import ACK, CODES, GOAWAY, MESSAGE, REJECT
from certpost1_peer import Sender, StoreFile, open_tls, refusal_of
from certpost_server import DEFAULT_REPLY, Server
from tls_peers import TlsPeer, client_context


def numbered(count, start=1):
    return [f"message {number}".encode() for number in range(start, start + count)]


class StoreCase(unittest.TestCase):
    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)

    def serve(self, *options, **process):
        return Server("--store", self.store.path, *options, **process)


class Conversation(StoreCase):
    def test_hello_welcome_message_ack(self):
        with self.serve() as server, Sender(b"demo", seq=0) as sender:
            welcome = sender.open(server.port)
            self.assertEqual((welcome["last_seq"], welcome["level"]), (0, certpost1.STORED))
            self.assertEqual(welcome["digest"], certpost1.origin(b"", b"demo"))
            self.assertEqual(welcome["max_message"], 1 << 20)
            self.assertEqual(welcome["window"], (1 << 20) + 64)
            self.assertEqual(welcome["reply"], DEFAULT_REPLY)
            self.assertEqual(welcome["idle_timeout_ms"], 600_000)
            self.assertEqual(welcome["server_name"], b"localhost")
            sender.ping()
            sent = [b"Hello, server!", b"", bytes(range(256)) * 100, *numbered(500)]
            sender.send_all(sent)
            sender.leave()
            self.assertEqual(self.store.messages("", "demo"), sent)
            ended = server.wait_log("connection ended").group()
            self.assertRegex(ended, "exchange=certpost/1 stream=demo last_seq=503 acked=503 software=certpost1.py")
            self.assertNotIn("Received", "\n".join(server.stdout.lines))

    def test_messages_are_printed_on_request(self):
        with self.serve("--print") as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            server.wait_line(r"Connected by \S+")
            sender.send_all([b"one", b"two\n"])
            server.wait_received("one")
            server.wait_received("two\\n")
            sender.leave()

    def test_without_a_store_a_stream_lives_as_long_as_the_server(self):
        with Server() as server, Sender(b"demo", seq=0) as sender:
            self.assertEqual(sender.open(server.port)["level"], certpost1.ACCEPTED)
            sender.send_all(numbered(3))
            server.wait_received("message 3")
            self.assertEqual(sender.open(server.port)["last_seq"], 3)
            sender.send_all(numbered(2, 4))
            server.wait_received("message 5")
            sender.leave()
            self.assertEqual(server.received(), [text.decode() for text in numbered(5)])
        with Server("--no-print") as server, Sender(b"demo", seq=0) as sender:
            self.assertEqual(sender.open(server.port)["last_seq"], 0)
            sender.send_all(numbered(2))
            sender.leave()

    def test_a_level_that_is_required_and_missing(self):
        with Server() as server, Sender(b"demo", required_level=certpost1.STORED) as sender:
            with self.assertRaises(certpost1.Refused) as caught:
                sender.open(server.port)
            self.assertEqual(caught.exception.code, CODES["level_unavailable"])

    def test_close_notify_instead_of_bye(self):
        with self.serve() as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            sender.queue(b"last words")
            sender.send_next()
            with contextlib.suppress(ssl.SSLError):  # the ACK may come before the end
                sender.socket.unwrap()
            sender.close()
            server.wait_log("connection ended.*reason=closed")
            self.assertEqual(self.store.messages("", "demo"), [b"last words"])

    def test_what_was_sent_whole_before_a_reset_of_the_line_is_stored(self):
        with self.serve() as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            sender.frames.send(certpost1.encode(MESSAGE, b"whole")
                               + certpost1.encode(MESSAGE, b"cut")[:5])
            sender.socket.shutdown(socket.SHUT_RDWR)  # no close_notify
            server.wait_log("connection ended.*reason=truncated")
            with Sender(b"demo", seq=0) as again:
                again.queue(b"whole")
                self.assertEqual(again.open(server.port)["last_seq"], 1)

    def test_eight_senders_on_two_workers(self):
        failures = []

        def work(server, number):
            try:
                with Sender(f"stream {number}".encode(), seq=0) as sender:
                    sender.open(server.port)
                    sender.send_all(numbered(300))
                    sender.leave()
            except Exception as failure:  # noqa: BLE001 - told below
                failures.append(failure)

        with self.serve("--workers", "2") as server:
            threads = [threading.Thread(target=work, args=(server, n)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(processes.DEADLINE_S)
            self.assertEqual(failures, [])
            for number in range(8):
                self.assertEqual(self.store.messages("", f"stream {number}"), numbered(300))

    def test_both_exchanges_on_one_port(self):
        with self.serve("--framing", "line") as server, Sender(b"demo", seq=0) as sender:
            sender.open(server.port)
            with TlsPeer(server.port) as plain:
                sender.send_all(numbered(2))
                plain.exchange(b"plainly\n", DEFAULT_REPLY + b"\n")
                sender.send_all(numbered(2, 3))
                plain.finish()
            sender.leave()
            self.assertEqual(self.store.messages("", "demo"), numbered(4))


class Plain(StoreCase):
    def plain_streams(self):
        return [name for _, name in self.store.streams() if name.startswith("plain/")]

    def test_each_connection_is_a_stream(self):
        with self.serve("--framing", "line") as server:
            with TlsPeer(server.port) as one, TlsPeer(server.port) as other:
                one.exchange(b"one\n", DEFAULT_REPLY + b"\n")
                other.exchange(b"two\n", DEFAULT_REPLY + b"\n")
                one.exchange(b"three\n", DEFAULT_REPLY + b"\n")
                addresses = (one.address, other.address)
                one.finish()
                other.finish()
            stored = {name: self.store.messages("", name) for name in self.plain_streams()}
            self.assertEqual(sorted(stored.values()), [[b"one", b"three"], [b"two"]])
            for name in stored:
                self.assertRegex(name, r"plain/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/127\.0\.0\.1:\d+/[0-9a-f]{8}")
                self.assertIn(name.split("/")[2], addresses)

    def test_who_sends_nothing_has_no_stream(self):
        with self.serve() as server, TlsPeer(server.port) as peer:
            peer.finish()
            self.assertEqual(self.store.streams(), {})

    def test_the_identity_is_that_of_the_certificate(self):
        with self.serve("--client-ca", certs.path("ca.crt")) as server:
            context = certs_context("client-sensor")
            with TlsPeer(server.port, context) as peer:
                peer.exchange(b"signed in", DEFAULT_REPLY)
                peer.finish()
            ((identity, name),) = self.store.streams()
            self.assertEqual(identity, "uri:urn:certpost:sensor")
            self.assertEqual(self.store.messages(identity, name), [b"signed in"])

    def test_what_was_answered_survives_a_kill(self):
        with self.serve("--framing", "line") as server:
            with TlsPeer(server.port) as peer:
                for number in range(20):
                    peer.exchange(b"%d\n" % number, DEFAULT_REPLY + b"\n")
                server.kill()
        with self.serve():
            (name,) = self.plain_streams()
            self.assertEqual(self.store.messages("", name), [b"%d" % n for n in range(20)])


def certs_context(client):
    context = client_context()
    context.load_cert_chain(certs.path(f"{client}.crt"), certs.path(f"{client}.key"))
    return context


class Resuming(StoreCase):
    def test_resume_after_a_kill(self):
        messages = numbered(400)
        with Sender(b"demo", seq=0) as sender:
            for message in messages:
                sender.queue(message)
            with self.serve() as server:
                sender.open(server.port)
                while sender.seq < 50:
                    sender.send_next()
                    if sender.sent >= 20:
                        sender.receive_ack()
                server.kill()
            known = sender.seq
            with self.serve() as server:
                welcome = sender.open(server.port)
                self.assertGreaterEqual(welcome["last_seq"], known)
                sender.deliver()
                sender.leave()
                self.assertEqual(self.store.messages("", "demo"), messages)

    def test_the_same_input_again_adds_nothing(self):
        with self.serve() as server:
            for _ in range(2):
                with Sender(b"demo", seq=0) as sender:
                    for message in numbered(30):
                        sender.queue(message)
                    sender.open(server.port)
                    sender.deliver()
                    sender.leave()
            self.assertEqual(self.store.messages("", "demo"), numbered(30))

    def test_another_input_is_a_digest_error(self):
        with self.serve() as server:
            with Sender(b"demo", seq=0) as sender:
                sender.open(server.port)
                sender.send_all([b"as it was"])
                sender.leave()
            with Sender(b"demo", seq=0) as sender:
                sender.queue(b"something else")
                with self.assertRaises(certpost1.DigestError):
                    sender.open(server.port)


class OneWriter(StoreCase):
    def test_the_older_connection_is_superseded(self):
        with self.serve("--workers", "2") as server:
            with Sender(b"demo", seq=0) as old, Sender(b"demo") as new:
                old.open(server.port)
                old.send_all(numbered(3))
                self.assertEqual(new.open(server.port)["last_seq"], 3)
                self.assertEqual(refusal_of(old.hear_end()), CODES["superseded"])
                new.send_all(numbered(3, 4))
                new.leave()
                server.wait_log("connection ended.*reason=superseded.*stream=demo")
            self.assertEqual(self.store.messages("", "demo"), numbered(6))

    def test_two_senders_that_take_turns_leave_no_gap(self):
        with self.serve("--workers", "2") as server:
            old = None
            for turn in range(20):
                sender = Sender(b"demo")
                self.addCleanup(sender.close)
                sender.open(server.port)
                if old is not None:
                    self.assertEqual(refusal_of(old.hear_end()), CODES["superseded"])
                    old.close()
                sender.queue(f"{turn} acknowledged".encode())
                sender.deliver()
                # On its way when the next one takes over: stored or not, but never out of order.
                sender.frames.send(certpost1.encode(MESSAGE, f"{turn} perhaps".encode()))
                old = sender
            stored = self.store.messages("", "demo")
            sure = [body for body in stored if body.endswith(b"acknowledged")]
            self.assertEqual(sure, [f"{turn} acknowledged".encode() for turn in range(20)])
            old.close()


class Identities(StoreCase):
    def test_the_same_name_of_another_identity_is_another_stream(self):
        options = ("--client-ca", certs.path("ca.crt"), "--client-verify", "optional")
        with self.serve(*options) as server:
            with Sender(b"demo", seq=0) as sensor, Sender(b"demo", seq=0) as client:
                sensor.open(server.port, "client-sensor")
                sensor.send_all(numbered(5))
                welcome = client.open(server.port, "client")
                self.assertEqual(welcome["last_seq"], 0)
                self.assertNotEqual(welcome["origin"], sensor.welcome["origin"])
                client.send_all([b"of somebody else"])
                with Sender(b"demo", seq=0) as anonymous:
                    self.assertEqual(anonymous.open(server.port)["last_seq"], 0)
                    anonymous.send_all([b"of nobody"])
                    anonymous.leave()
                sensor.send_all(numbered(1, 6))  # it was not superseded by any of them
                sensor.leave()
                client.leave()
            identities = sorted(identity for identity, _ in self.store.streams())
            self.assertEqual(len(identities), 3)
            self.assertEqual(self.store.messages("uri:urn:certpost:sensor", "demo"), numbered(6))
            self.assertEqual(self.store.messages("", "demo"), [b"of nobody"])

    def test_a_resumed_session_keeps_its_identity(self):
        options = ("--client-ca", certs.path("ca.crt"), "--workers", "2")
        with self.serve(*options) as server:
            context = certpost1_peer.context("client-sensor")
            session = None
            for number in range(3):
                with Sender(b"demo") as sender:
                    sender.socket = certpost1_peer.open_tls(server.port, context=context, session=session)
                    self.assertEqual(sender.socket.session_reused, number > 0)
                    self.assertEqual(sender.connect(sender.socket)["last_seq"], number)
                    sender.send_all([b"%d" % number])
                    session = sender.socket.session
                    sender.leave()
            self.assertEqual(list(self.store.streams()), [("uri:urn:certpost:sensor", "demo")])

    def test_a_name_cannot_pretend_to_be_an_identity(self):
        with self.serve() as server, Sender(b"uri:urn:certpost:sensor", seq=0) as sender:
            sender.open(server.port)
            sender.send_all([b"x"])
            sender.leave()
            self.assertEqual(list(self.store.streams()), [("", "uri:urn:certpost:sensor")])


class Violations(StoreCase):
    def expect(self, server, data, frame_type, code, log):
        """Frames after WELCOME and one stored message; the server's last word."""
        with Sender(b"demo") as sender:
            sender.open(server.port)
            sender.send_all([b"before"])
            sender.frames.send(data)
            heard = sender.hear_end()
            self.assertEqual(refusal_of(heard), CODES[code])
            self.assertEqual([kind for kind, _ in heard if kind in (GOAWAY, REJECT)], [frame_type])
            ended = server.wait_log("connection ended").group()
            self.assertRegex(ended, log)
        return heard

    def test_a_broken_rule_is_answered_and_logged(self):
        with self.serve() as server:
            hello = certpost1.encode_hello(b"demo")
            self.expect(server, hello, GOAWAY, "protocol", "reason=protocol detail=.*HELLO")
            self.expect(server, b"\x63\0\0\0", GOAWAY, "protocol", "reason=protocol")
            with Sender(b"demo") as sender:  # and it goes on for others
                self.assertEqual(sender.open(server.port)["last_seq"], 2)

    def test_garbage_instead_of_hello(self):
        with self.serve() as server:
            with open_tls(server.port) as stream:
                stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
                heard = certpost1.Frames(stream).receive({GOAWAY})
                self.assertEqual(heard[1]["code"], CODES["protocol"])
            server.wait_log("connection ended.*reason=protocol")

    def test_a_message_that_is_too_long(self):
        with self.serve("--max-message", "100") as server:
            data = certpost1.encode(MESSAGE, b"x" * 100) + certpost1.encode(MESSAGE, b"y" * 101)
            heard = self.expect(server, data, REJECT, "too_large", "reason=limit")
            self.assertEqual(heard[-1][1]["seq"], 3)
            self.assertEqual((heard[-2][0], heard[-2][1]["last_seq"]), (ACK, 2))
            self.assertEqual(self.store.messages("", "demo"), [b"before", b"x" * 100])

    def test_the_window_is_passed(self):
        with self.serve("--max-message", "1KiB", "--max-pending", "4KiB") as server:
            data = certpost1.encode(MESSAGE) * 70  # each counts 64 bytes
            self.expect(server, data, GOAWAY, "protocol", "reason=protocol.*window")
            self.assertEqual(self.store.messages("", "demo"), [b"before"] + [b""] * 64)

    def test_no_hello(self):
        with self.serve("--first-byte-timeout", "300ms") as server:
            with open_tls(server.port) as stream:
                stream.sendall(certpost1.encode_hello(b"demo")[:3])
                heard = certpost1.Frames(stream).receive({GOAWAY})
                self.assertEqual(heard[1]["code"], CODES["idle"])
            server.wait_log("connection ended.*reason=timeout")

    def test_an_idle_client_is_sent_away_and_a_ping_keeps_it(self):
        with self.serve("--idle-timeout", "1s") as server, Sender(b"demo", seq=0) as sender:
            self.assertEqual(sender.open(server.port)["idle_timeout_ms"], 1000)
            sender.ping()
            self.assertEqual(refusal_of(sender.hear_end()), CODES["idle"])


class Drain(StoreCase):
    def test_what_was_taken_is_acknowledged(self):
        with self.serve("--workers", "2") as server:
            senders = [Sender(f"s{n}".encode(), seq=0) for n in range(6)]
            for sender in senders:
                self.addCleanup(sender.close)
                sender.open(server.port)
                sender.send_all(numbered(10))
                for message in numbered(50, 11):
                    sender.queue(message)
                    sender.send_next()
            server.send_signal(signal.SIGTERM)
            for number, sender in enumerate(senders):
                heard = sender.hear_end()
                self.assertIn(CODES["shutting_down"],
                              [value["code"] for kind, value in heard if kind == GOAWAY])
                acked = max([10] + [value["last_seq"] for kind, value in heard if kind == ACK])
                self.assertEqual(self.store.messages("", f"s{number}"), numbered(acked))
                sender.close()
            self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    unittest.main()
