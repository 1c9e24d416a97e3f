"""Peers of a TLS server, honest and hostile: our own records to cut, and `openssl s_client` to drive.

`TlsPeer` is a TLS client built from Python's ssl module and a plain socket with the bytes in between
in our hands, so that a test decides which bytes leave when. `OpenSslClient` is openssl s_client with
its standard input held open until the test has seen what it waits for.
"""

import re
import select
import socket
import ssl
import struct

import certificates as certs
import processes

LINUX_TCP_NOTSENT_LOWAT = 25  # Python's socket module has no name for it before 3.12
LINUX_TCP_INFO_DATA_SEGS_OUT = 156  # offset of tcpi_data_segs_out in struct tcp_info (Linux 4.6)
TLS_RECORD_MAX_BYTES = 16384


class Truncated(Exception):
    """The peer's bytes ended without a close_notify."""


def client_context(alpn=None, minimum=None, maximum=None, ca="ca.crt"):
    """A verifying client's context. TLS 1.2 is in unless `minimum` says otherwise."""
    context = ssl.create_default_context(cafile=certs.path(ca))
    if minimum is not None:
        context.minimum_version = minimum
    if maximum is not None:
        context.maximum_version = maximum
    if alpn is not None:
        context.set_alpn_protocols(alpn)
    return context


def tcp_connect(port, host="127.0.0.1", receive_buffer_bytes=None, source=None):
    """A TCP connection that sends what it is given at once, and never waits without a deadline."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(processes.DEADLINE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer_bytes is not None:
        # Before connect, because the window that is offered follows from it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    if source is not None:
        connection.bind((source, 0))
    connection.connect((host, port))
    return connection


def reset(connection):
    """Closes a socket with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def data_segments_sent(connection):
    """How many TCP segments with data this socket has sent."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, LINUX_TCP_INFO_DATA_SEGS_OUT)[0]


def raw_receive_all(connection):
    """Plain bytes until the peer's end; a reset counts as an end."""
    received = bytearray()
    while True:
        try:
            piece = connection.recv(1 << 16)
        except ConnectionResetError:
            return bytes(received)
        if not piece:
            return bytes(received)
        received += piece


class TlsPeer:
    """A TLS client whose bytes pass through our hands. Use it in a `with`."""

    def __init__(self, port, context=None, server_name="localhost", handshake=True, bytewise=False, **tcp):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        self.bytewise = bytewise
        self.raw_bytes_sent = 0
        self.socket = tcp_connect(port, **tcp)
        host, port = self.socket.getsockname()[:2]
        # Our own HOST:PORT, as the server prints it.
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if bytewise:
            self.socket.setsockopt(socket.IPPROTO_TCP, LINUX_TCP_NOTSENT_LOWAT, 1)
        try:
            if handshake:
                self.handshake()
        except BaseException:
            self.socket.close()
            raise

    def send_raw(self, data):
        """Sends bytes as they are; one by one, each with its own call, when `bytewise`."""
        self.raw_bytes_sent += len(data)
        if not self.bytewise:
            self.socket.sendall(data)
            return
        for value in data:
            # Writable means here: nothing waits in the kernel to be sent. Else it would put bytes
            # that have to wait for an acknowledgement together into one segment.
            if not select.select([], [self.socket], [], processes.DEADLINE_S)[1]:
                raise AssertionError("the peer acknowledges nothing")
            self.socket.sendall(bytes((value,)))

    def _flush(self):
        if self.outgoing.pending:
            self.send_raw(self.outgoing.read())

    def _fill(self):
        self._flush()
        data = self.socket.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._fill()
            except ssl.SSLError:
                self._flush()  # our alert
                raise
        self._flush()

    def seal(self, data):
        """The records that carry `data`, not sent yet; 16 KiB is the most that one record holds."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def seal_end(self):
        """The record that carries our close_notify, not sent yet."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def send(self, data):
        self.send_raw(self.seal(data))

    def receive_some(self):
        """The next bytes that have come; empty at a clean end. Raises Truncated, or a reset."""
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self._fill()
            except ssl.SSLZeroReturnError:
                return b""
            except (ssl.SSLEOFError, ssl.SSLSyscallError) as failure:
                raise Truncated(str(failure)) from failure

    def receive(self, size):
        """Exactly `size` bytes."""
        received = bytearray()
        while len(received) < size:
            piece = self.receive_more(received)
            received += piece
        if len(received) > size:
            raise AssertionError(f"more than {size} bytes: {processes.show(bytes(received))[:400]}")
        return bytes(received)

    def receive_more(self, so_far):
        piece = self.receive_some()
        if not piece:
            raise AssertionError(f"the end came after {processes.show(bytes(so_far))[:400]!r}")
        return piece

    def receive_until(self, wanted, count=1):
        """Reads until `wanted` has come `count` times; returns all."""
        received = bytearray()
        found = 0
        searched = 0
        while found < count:
            received += self.receive_more(received)
            # Only what is new, and whole occurrences: a long answer is searched once.
            while found < count:
                at = received.find(wanted, searched)
                if at < 0:
                    break
                found += 1
                searched = at + len(wanted)
        return bytes(received)

    def receive_all(self):
        """Everything up to the server's close_notify; raises Truncated when that does not come."""
        received = bytearray()
        while True:
            piece = self.receive_some()
            if not piece:
                return bytes(received)
            received += piece

    def exchange(self, message, reply):
        """Sends a message and expects exactly this reply."""
        self.send(message)
        received = self.receive(len(reply))
        if received != reply:
            raise AssertionError(f"the reply is {received!r}, not {reply!r}")

    def finish(self):
        """Says close_notify, returns what came until the server's own, and closes the socket."""
        self.send_raw(self.seal_end())
        received = self.receive_all()
        self.socket.close()
        return received

    def vanish(self):
        """Ends the TCP connection in order, without a close_notify."""
        self.socket.close()

    def reset(self):
        reset(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()


class OpenSslClient(processes.Process):
    """`openssl s_client` against our server, its standard input open until `close_stdin`."""

    def __init__(self, port, *options, ca="ca.crt", host="127.0.0.1"):
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__(
            ["openssl", "s_client", "-connect", target, "-CAfile", certs.path(ca), *options],
            name="s_client",
        )

    def everything(self):
        """Standard output and standard error together, as text."""
        return (bytes(self.stdout.data) + bytes(self.stderr.data)).decode("utf-8", "replace")

    def finish(self):
        """Ends the input, and with it the connection; returns the exit status."""
        self.close_stdin()
        return self.wait()


def openssl_version():
    """The version of the openssl command as a tuple."""
    status, output, _ = processes.run(["openssl", "version"])
    found = re.match(r"OpenSSL (\d+)\.(\d+)\.(\d+)", output)
    if status != 0 or found is None:
        raise AssertionError(f"openssl version says {output!r}")
    return tuple(int(number) for number in found.groups())
