"""Servers of certpost/1 for the tests of `certpost send`: honest ones, and ones that follow a script.

They are written with certpost1.py, so from the document and not from the C code, and run in threads.
"""

import contextlib
import socket
import threading
import unittest

import certpost1
import certpost_client
from plain_servers import PATIENCE_S, Server, certificates, reset, server_context

STREAM = b"orders"
NAME = STREAM.decode()


def context(alpn=certpost1.ALPN):
    made = server_context()
    if alpn:
        made.set_alpn_protocols([alpn])
    return made


def unused_port():
    """A port on which nobody listens, for as long as the test does not start anybody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class ObservedStreams(certpost1.Streams):
    """Streams that can be waited for."""

    def __init__(self):
        super().__init__()
        self._grown = threading.Condition()

    def append(self, *arguments):
        head = super().append(*arguments)
        with self._grown:
            self._grown.notify_all()
        return head

    def wait_count(self, count, name=STREAM):
        """Waits until the stream has so many messages."""
        with self._grown:
            enough = self._grown.wait_for(
                lambda: len(self.messages.get((b"", name), [])) >= count, PATIENCE_S)
        if not enough:
            raise AssertionError(f"{count} messages did not come: {self.messages}")


def honest(streams, **options):
    """Serves any number of connections, one after the other or at once, from `streams`."""
    def handler(connection, server):
        server.received.put("connected")
        certpost1.Server(connection, streams, **options).serve()
        connection.unwrap()
    return handler


class Peer:
    """The server's end of one connection, for a script that says what happens step by step."""

    def __init__(self, connection, streams):
        self.connection = connection
        self.streams = streams
        self.frames = certpost1.Frames(connection)
        self.name = None
        self.seq, self.digest, self.origin = 0, b"", b""

    def hello(self):
        self.name = self.frames.receive({certpost1.HELLO})[1]["name"]
        self.seq, self.digest, self.origin = self.streams.take_over(b"", self.name, self)
        return self

    def welcome(self, **changes):
        values = {"last_seq": self.seq, "digest": self.digest, "level": certpost1.STORED,
                  "max_message": 1 << 20, "window": 4 << 20, "server_name": b"scripted",
                  "reply": b"Message received!", "stream_origin": self.origin, **changes}
        self.frames.send(certpost1.encode_welcome(**values))
        return self

    def greet(self, **changes):
        return self.hello().welcome(**changes)

    def receive(self):
        """The next message, not stored; None for BYE and the end."""
        while True:
            received = self.frames.receive({certpost1.MESSAGE, certpost1.BYE, certpost1.PING})
            if received is None or received[0] == certpost1.BYE:
                return None
            if received[0] == certpost1.MESSAGE:
                return received[1]
            self.frames.send(certpost1.encode(certpost1.PONG, received[1]))

    def request(self):
        """Waits until the client asks for a receipt."""
        self.frames.receive({certpost1.RECEIPT_REQUEST})
        return self

    def receipt(self, statement, signature):
        self.frames.send(certpost1.encode_receipt(statement, signature))
        return self

    def store(self, message):
        self.seq, self.digest = self.streams.append(b"", self.name, self, message)
        return self

    def take(self):
        """Receives one message and stores it."""
        self.store(self.receive())
        return self

    def ack(self, seq=None, digest=None):
        self.frames.send(certpost1.encode_ack(self.seq if seq is None else seq, digest or self.digest))
        return self

    def go_away(self, code, text=""):
        number = certpost1.CODES.get(code, code)
        self.frames.send(certpost1.encode_goaway(number, text.encode()))
        return self

    def reject(self, code, text=b""):
        self.frames.send(certpost1.encode_reject(self.seq + 1, code, text))
        return self

    def end(self):
        """close_notify, and the client's."""
        with contextlib.suppress(OSError):
            self.connection.unwrap()

    def cut(self):
        """The connection ends without close_notify."""
        self.connection.close()

    def reset(self):
        reset(self.connection)

    def serve(self):
        """From here on honest, to the end."""
        certpost1.Server(self.connection, self.streams).serve()
        self.connection.unwrap()


def scripted(streams, *scripts):
    """The n-th connection follows the n-th script; those after the last are served honestly."""
    left = list(scripts)

    def handler(connection, server):
        server.received.put("connected")
        peer = Peer(connection, streams)
        if left:
            left.pop(0)(peer)
        else:
            peer.serve()
    return handler


class SendCase(unittest.TestCase):
    """Runs `certpost send` against the servers above."""

    def setUp(self):
        self.streams = ObservedStreams()

    @contextlib.contextmanager
    def server(self, *scripts, **options):
        handler = scripted(self.streams, *scripts) if scripts else honest(self.streams, **options)
        with Server(handler, context()) as running:
            yield running

    @staticmethod
    def arguments(server, *arguments, stream=NAME):
        port = server if isinstance(server, int) else server.port
        named = ("--stream", stream) if stream else ()
        return ("send", "--cacert", certificates.ca(), *named, *arguments, f"127.0.0.1:{port}")

    def send(self, server, *arguments, stream=NAME, **options):
        return certpost_client.run(*self.arguments(server, *arguments, stream=stream), **options)

    def start(self, server, *arguments, stream=NAME, **options):
        return certpost_client.start(*self.arguments(server, *arguments, stream=stream), **options)

    def stored(self, name=STREAM):
        return self.streams.messages.get((b"", name), [])

    def check(self, result, status, output, errors):
        self.assertEqual((result.status, result.output, result.errors), (status, output, errors))

    def check_last(self, result, status, summary):
        """The exit status, and the last line on standard error."""
        self.assertEqual((result.status, result.errors[-1]), (status, f"certpost: {summary}"), result)


__all__ = ["NAME", "PATIENCE_S", "Peer", "STREAM", "SendCase", "Server", "certificates", "context",
           "honest", "scripted", "unused_port"]
