"""docs/protocol.md against an implementation that was written from it: certpost1.py."""

import os
import re
import socket
import threading
import unittest

import certpost1
from certpost1 import Client, Server, Streams

DOCUMENT = os.path.join(os.environ["CERTPOST_SOURCE_DIR"], "docs", "protocol.md")
TIMEOUT_S = 20


def blocks():
    with open(DOCUMENT, encoding="utf-8") as file:
        found = re.findall(r"^```hex (\S+)\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    named = {name: bytes.fromhex(text) for name, text in found}
    if len(named) != len(found):
        raise AssertionError("two blocks have the same name")
    return named


class Examples(unittest.TestCase):
    def setUp(self):
        self.blocks = blocks()

    def check(self, name, encoded):
        self.assertEqual(self.blocks[name].hex(" "), encoded.hex(" "), name)

    def decoded(self, name):
        (frame_type, body), = certpost1.split(self.blocks[name])
        return certpost1.decode(frame_type, body)

    def test_digests(self):
        digest = certpost1.origin(b"", b"demo")
        self.check("digest-0", digest)
        digest = certpost1.next_digest(digest, b"Hello, server!")
        self.check("digest-1", digest)
        self.check("digest-2", certpost1.next_digest(digest, b""))
        digest = certpost1.origin(b"dns:sensor-7.example", b"audit")
        self.check("digest-identity-0", digest)
        self.check("digest-identity-1", certpost1.next_digest(digest, b"x"))

    def test_frames_of_the_client(self):
        self.check("hello", certpost1.encode_hello(b"demo", certpost1.STORED, b"certpost 0.1"))
        self.check("hello-short", certpost1.encode_hello(b"demo"))
        self.check("message-1", certpost1.encode(certpost1.MESSAGE, b"Hello, server!"))
        self.check("message-2", certpost1.encode(certpost1.MESSAGE))
        self.check("bye", certpost1.encode(certpost1.BYE))
        self.check("ping", certpost1.encode(certpost1.PING, bytes(range(1, 9))))
        self.check("receipt-request", certpost1.encode(certpost1.RECEIPT_REQUEST))

    def test_frames_of_the_server(self):
        first = self.blocks["digest-0"]
        self.check("welcome", certpost1.encode_welcome(
            0, first, certpost1.STORED, 1 << 20, 4 << 20, b"post.example", b"Message received!",
            first, 60000))
        self.check("ack-1", certpost1.encode_ack(1, self.blocks["digest-1"]))
        self.check("ack-2", certpost1.encode_ack(2, self.blocks["digest-2"]))
        self.check("reject", certpost1.encode_reject(3, 33, b"not an order"))
        self.check("goaway", certpost1.encode_goaway(5, b"restarting"))
        self.check("pong", certpost1.encode(certpost1.PONG, bytes(range(1, 9))))
        self.check("receipt", certpost1.encode_receipt(b"claim", b"sig"))

    def test_values_of_the_examples(self):
        hello = self.decoded("hello")
        self.assertEqual((hello["name"], hello["required_level"], hello["software"]),
                         (b"demo", 1, b"certpost 0.1"))
        welcome = self.decoded("welcome")
        self.assertEqual(welcome["window"], 4 << 20)
        self.assertEqual(welcome["idle_timeout_ms"], 60000)
        self.assertEqual(welcome["origin"], self.blocks["digest-0"])
        self.assertEqual(self.decoded("reject"), {"seq": 3, "code": 33, "text": b"not an order"})
        self.assertEqual(self.decoded("goaway"), {"code": 5, "text": b"restarting"})
        self.assertEqual(self.decoded("receipt"), {"statement": b"claim", "signature": b"sig"})

    def test_every_block_is_of_use(self):
        with open(__file__, encoding="utf-8") as file:
            mentioned = set(re.findall(r'"([a-z]+[a-z0-9-]*)"', file.read()))
        self.assertLessEqual(set(self.blocks), mentioned)

    def test_table_of_codes(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            section = file.read().split("## 9. Codes")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w+) \| (\w+) \|", section, re.MULTILINE)
        self.assertEqual({name: int(code) for code, name, _, _ in rows}, certpost1.CODES)
        final = {int(code) for code, _, where, again in rows if again == "no" and where != "REJECT"}
        self.assertEqual(final, certpost1.FINAL_CODES)


class WrongFrames(unittest.TestCase):
    def test_bodies_that_are_cut_or_too_long(self):
        for name, data in blocks().items():
            if name.startswith(("digest", "conversation", "message", "hello", "welcome")):
                continue
            (frame_type, body), = certpost1.split(data)
            for wrong in [body[:i] for i in range(len(body))] + [body + b"\0"]:
                with self.assertRaises(certpost1.ProtocolError):
                    header = bytes([frame_type]) + len(wrong).to_bytes(3, "big")
                    certpost1.check_header(header, set(certpost1.BODY_BOUNDS))
                    certpost1.decode(frame_type, wrong)

    def test_options(self):
        def decode(options):
            return certpost1.decode(certpost1.HELLO, b"\x01s" + options)
        decode(certpost1.option(4) + certpost1.option(200, b"\xff"))
        for wrong in (certpost1.option(3), certpost1.option(4) * 2, b"\x04", b"\x04\x02x",
                      certpost1.option(1, b"\x03"), certpost1.option(1), certpost1.option(2)):
            with self.assertRaises(certpost1.ProtocolError):
                decode(wrong)

    def test_names(self):
        for wrong in (b"", b"a\n", b"\x7f", "\x80".encode(), b"\xff", b"a\0b"):
            with self.assertRaises(certpost1.ProtocolError):
                certpost1.decode(certpost1.HELLO, certpost1.str8(wrong))


class Conversations(unittest.TestCase):
    """Client and server of certpost1.py over a socket pair, without TLS."""

    def setUp(self):
        self.streams = Streams()
        self.threads, self.sockets = [], []

    def tearDown(self):
        for end in self.sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already
        self.join()
        for end in self.sockets:
            end.close()

    def join(self):
        for thread in self.threads:
            thread.join(TIMEOUT_S)
            self.assertFalse(thread.is_alive())

    def pair(self):
        left, right = socket.socketpair()
        for end in (left, right):
            end.settimeout(TIMEOUT_S)
            self.sockets.append(end)
        return left, right

    def served(self, **options):
        """The client's end of a connection that a server serves."""
        left, right = self.pair()

        def serve():
            Server(right, self.streams, **options).serve()
            right.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.threads.append(thread)
        return left

    def test_conversation_of_the_document(self):
        named = blocks()
        left, right = self.pair()
        right.sendall(named["conversation-server"])
        right.shutdown(socket.SHUT_WR)
        client = Client(b"demo")
        client.queue(b"Hello, server!")
        client.queue(b"")
        client.connect(left, software=b"")
        client.deliver()
        client.bye()
        left.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: right.recv(4096), b""))
        self.assertEqual(heard, named["conversation-client"])

    def test_delivery_and_resuming(self):
        client = Client(b"s")
        client.connect(self.served(ack_every=3))
        for i in range(10):
            client.queue(b"message %d" % i)
        for _ in range(7):
            client.send_next()
        self.assertEqual(client.receive_ack(), 3)
        client.frames.sock.shutdown(socket.SHUT_WR)  # the ACKs behind the first are never read
        self.join()
        client.connect(self.served())
        self.assertEqual(client.seq, 7)
        client.deliver()
        client.ping()
        client.bye()
        self.assertEqual(self.streams.messages[(b"", b"s")], [b"message %d" % i for i in range(10)])

    def test_an_input_from_its_start_adds_nothing(self):
        for _ in range(2):
            client = Client(b"s", seq=0)
            for i in range(5):
                client.queue(b"%d" % i)
            client.connect(self.served())
            client.deliver()
            client.bye()
        self.assertEqual(len(self.streams.messages[(b"", b"s")]), 5)

    def test_digest_errors(self):
        client = Client(b"s")
        client.queue(b"one")
        client.connect(self.served())
        client.deliver()
        client.bye()
        other = Client(b"s", seq=0)
        other.queue(b"two")
        with self.assertRaises(certpost1.DigestError):
            other.connect(self.served())
        other.frames.sock.shutdown(socket.SHUT_RDWR)
        self.streams.__init__()
        with self.assertRaises(certpost1.DigestError):
            client.connect(self.served())
        client.frames.sock.shutdown(socket.SHUT_RDWR)

    def test_refusals(self):
        client = Client(b"s")
        client.queue(b"good")
        client.queue(b"bad")
        client.connect(self.served(decide=lambda seq, message:
                                   (300, b"no") if message == b"bad" else None))
        with self.assertRaises(certpost1.Refused) as caught:
            client.deliver()
        self.assertEqual((caught.exception.code, caught.exception.seq, client.seq), (300, 2, 1))
        picky = Client(b"s", required_level=certpost1.REPLICATED)
        with self.assertRaises(certpost1.Refused) as caught:
            picky.connect(self.served())
        self.assertEqual(caught.exception.code, certpost1.CODES["level_unavailable"])

    def test_the_older_connection_is_superseded(self):
        older, newer = Client(b"s"), Client(b"s")
        older.connect(self.served())
        newer.connect(self.served())
        older.queue(b"late")
        with self.assertRaises(certpost1.Refused) as caught:
            older.deliver()
        self.assertEqual(caught.exception.code, certpost1.CODES["superseded"])
        self.assertEqual(self.streams.messages[(b"", b"s")], [])
        newer.bye()


if __name__ == "__main__":
    unittest.main()
