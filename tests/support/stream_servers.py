"""Servers of certpost/1 that are not certpost's: certpost1.py over TLS, honest or not.

`StreamServer` keeps its streams over connections, as a store does. Each connection is served by the
next of `handlers`, and by `honest` when there are no more. A handler is a function of (connection,
server); the ones below misbehave in one way each.
"""

import contextlib
import os
import socket
import ssl
import struct
import threading

import certificates
import certpost1
import processes


def server_context(alpn=(certpost1.ALPN,)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.crt"), certificates.path("server.key"))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class StreamServer:
    """Serves until the end of its `with`. `options` are those of certpost1.Server."""

    def __init__(self, handlers=(), host="127.0.0.1", port=0, alpn=(certpost1.ALPN,), streams=None,
                 **options):
        self.handlers = list(handlers)
        self.options = options
        self.context = server_context(alpn)
        self.streams = streams or certpost1.Streams()
        self.connections = 0
        self.failures = []
        self.threads = []
        self.ending = threading.Event()
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.endpoint = f"{host}:{self.port}"

    def messages(self, stream="test"):
        return list(self.streams.messages.get((b"", stream.encode()), []))

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.ending.is_set():
                connection.close()
                return
            connection.settimeout(processes.DEADLINE_S)
            handler = self.handlers.pop(0) if self.handlers else honest
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection, handler))
            self.threads.append(thread)
            thread.start()

    def _serve(self, raw, handler):
        try:
            if getattr(handler, "is_raw", False):
                handler(raw, self)
                raw.close()
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.context.wrap_socket(raw, server_side=True) as connection:
                handler(connection, self)
        except (OSError, ssl.SSLError, certpost1.Truncated):
            pass  # the client has gone, which is its right
        except Exception as error:  # shown by the test, which fails
            self.failures.append(error)

    def __enter__(self):
        self.acceptor = threading.Thread(target=self._accept)
        self.acceptor.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ending.set()
        with contextlib.suppress(OSError):
            socket.create_connection(self.listener.getsockname(), timeout=5).close()
        self.acceptor.join(processes.DEADLINE_S)
        self.listener.close()
        for thread in self.threads:
            thread.join(processes.DEADLINE_S)
        if kind is None and self.failures:
            raise self.failures[0]


def end(connection):
    """close_notify, and the client's."""
    with contextlib.suppress(OSError, ssl.SSLError):
        connection.unwrap()


def reset(connection):
    """Ends with a reset instead of close_notify."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def role(connection, server):
    """certpost1's server on this connection."""
    return certpost1.Server(connection, server.streams, **server.options)


def honest(connection, server):
    role(connection, server).serve()
    end(connection)


def raw(handler):
    """For a handler that gets the TCP connection, without TLS."""
    handler.is_raw = True
    return handler


@raw
def hang_up(connection, server):
    """Accepts and closes, without TLS."""


@raw
def stay_silent(connection, server):
    """Takes the connection and never says a word, until the client goes."""
    while connection.recv(65536):
        pass


@raw
def speak_http(connection, server):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def go_away(code, after=0, text=b"because"):
    """Takes `after` messages and says GOAWAY; before WELCOME if `after` is None."""
    def handler(connection, server):
        peer = role(connection, server)
        if after is None:
            peer.frames.receive({certpost1.HELLO})
        else:
            peer._greet()
            _take(peer, after)
            peer._ack()
        peer.frames.send(certpost1.encode_goaway(code, text))
        end(connection)
    return handler


def _take(peer, count):
    taken = 0
    while taken < count:
        frame_type, value = peer.frames.receive(
            {certpost1.MESSAGE, certpost1.PING, certpost1.PONG, certpost1.BYE})
        if frame_type == certpost1.MESSAGE:
            peer._take(value)
            taken += 1


def cut(after=0, acknowledged=None, within=b""):
    """Stores `after` messages, acknowledges them up to `acknowledged` (None: none), sends the bytes
    `within` of a frame that never ends, and vanishes without close_notify."""
    def handler(connection, server):
        server_options = dict(server.options, ack_every=1 << 30)
        peer = certpost1.Server(connection, server.streams, **server_options)
        peer._greet()
        if acknowledged is not None:
            _take(peer, acknowledged)
            peer._ack()
        _take(peer, after - (acknowledged or 0))
        if within:
            connection.sendall(within)
        connection.shutdown(socket.SHUT_RDWR)
    return handler


def lie_about_the_digest(connection, server):
    """Acknowledges the first message with a digest that is not its own."""
    peer = role(connection, server)
    peer._greet()
    peer.frames.receive({certpost1.MESSAGE})
    peer.frames.send(certpost1.encode_ack(peer.head[0] + 1, bytes(32)))
    end(connection)


def acknowledge_too_much(connection, server):
    peer = role(connection, server)
    peer._greet()
    peer.frames.receive({certpost1.MESSAGE})
    peer.frames.send(certpost1.encode_ack(peer.head[0] + 1000, bytes(32)))
    end(connection)


def stall(connection, server):
    """Takes messages and never acknowledges one."""
    peer = role(connection, server)
    peer._greet()
    while connection.recv(65536):
        pass


def no_welcome(connection, server):
    """Takes HELLO and never answers."""
    while connection.recv(65536):
        pass


def example(name):
    return os.path.join(os.environ["CERTPOST_BINARY_DIR"], "examples", name)


class Sender(processes.Process):
    """An example program that sends to `server`; options as certpost_client_set takes them."""

    def __init__(self, program, server, stream="test", **options):
        options = {"cacert": certificates.path("ca.crt"), "servername": "localhost",
                   "stream": stream, **options}
        hosts = options.pop("host", server.endpoint if server else "127.0.0.1:1")
        arguments = [example(program)]
        for host in hosts if isinstance(hosts, (list, tuple)) else [hosts]:
            arguments += ["--host", host]
        for name, value in options.items():
            if value is not None:
                arguments += ["--" + name.replace("_", "-"), str(value)]
        super().__init__(arguments, name=program)
