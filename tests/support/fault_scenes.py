"""What certpostd is put through while calls fail, and what must be true afterwards.

A Scene is one running certpostd_faulty with a page. An exchange of it is a real TLS client's; what was
acknowledged is remembered and compared, at the end, with what the server has printed.
"""

import contextlib
import signal
import socket
import ssl
import tempfile

import certificates as certs
import certpost1
import faults
import processes
from certpost1_peer import Sender, StoreFile
from certpost_server import SANDBOX, SANITIZER_REPORT, Server
from store_check import StoreCheck
from tls_peers import client_context

REPLY = b"Message received!\n"
REFUSAL = b"Message refused: "
# What a start that cannot be made ends with; see certpostd(8). Never 0, never a signal, never 70: a
# defect of our own is not what lack of memory is.
START_STATUSES = (2, 6, 58, 71, 74, 77)
POINT_DEADLINE_S = 10 * processes.SCALE
# libuv calls abort() where its first signal pipe, its table of descriptors or its own two descriptors
# in epoll cannot be had; libseccomp uses memory that it did not get, or loads a filter that kills. All
# of it happens before anybody is served.
FOREIGN = {"libuv.so": (signal.SIGABRT,), "libseccomp.so": (signal.SIGSEGV, signal.SIGSYS)}
STACK_LINES = 24
# What a process needs to end that has begun to.
DYING_S = 5


class Foreign(Exception):
    """The process ended by a signal inside a library that has no other answer to this fault."""


class Exchange:
    """A TLS client for line framing that remembers which of its messages were acknowledged."""

    def __init__(self, port, context=None):
        self.acknowledged = []
        self.refused = False
        raw = socket.create_connection(("127.0.0.1", port), timeout=POINT_DEADLINE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._tls = (context or client_context()).wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise

    def send(self, text):
        """Sends one message; whether it was acknowledged. The end of the connection raises OSError."""
        self.begin(text)
        return self.wait_reply(text)

    def begin(self, text):
        """Sends one message and waits for nothing."""
        self._tls.sendall(text.encode() + b"\n")

    def wait_reply(self, text):
        reply = b""
        while not reply.endswith(b"\n"):
            piece = self._tls.recv(4096)
            if not piece:
                raise ConnectionError("the server ended the connection")
            reply += piece
        if reply == REPLY:
            self.acknowledged.append(text)
            return True
        if not reply.startswith(REFUSAL):
            raise AssertionError(f"no reply of ours: {reply!r}")
        self.refused = True
        return False

    def wait_end(self):
        """Reads until the server's end; anything but an end is an error."""
        rest = self._tls.recv(4096)
        if rest:
            raise AssertionError(f"nobody asked for {rest!r}")

    def finish(self):
        """close_notify both ways."""
        self._tls.unwrap().close()

    def close(self):
        self._tls.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Scene:
    """A server, a page, and all that was acknowledged. To be used in a `with`."""

    OPTIONS = ("--framing", "line", "--workers", "1", "--log-level", "info")

    def __init__(self, page, server):
        self.page = page
        self.server = server
        self.acknowledged = []
        self.context = client_context()
        self._standing = None

    def attempt(self, *texts):
        """One connection with these messages, which may come to nothing in any way but a hang."""
        try:
            with Exchange(self.server.port, self.context) as exchange:
                try:
                    for text in texts:
                        if not exchange.send(text):
                            return
                    exchange.finish()
                finally:
                    self.acknowledged += exchange.acknowledged
        except TimeoutError as late:
            raise AssertionError(f"neither an answer nor an end\n{self.server.report()}") from late
        except (OSError, ssl.SSLError):
            pass

    def crowd(self, count):
        """So many TCP connections at once, each taken by the server before the next comes: bytes that
        are no TLS are answered with an alert or, after a fault, an end."""
        with contextlib.ExitStack() as crowd:
            for _ in range(count):
                connection = socket.create_connection(("127.0.0.1", self.server.port), POINT_DEADLINE_S)
                crowd.enter_context(connection)
            with contextlib.suppress(OSError):
                connection.sendall(b"no TLS")
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)

    def check_serves(self, text):
        """A new connection is served, in full."""
        with Exchange(self.server.port, self.context) as exchange:
            if not exchange.send(text):
                raise AssertionError(f"refused\n{self.server.report()}")
            exchange.finish()
            self.acknowledged += exchange.acknowledged

    def check_standing(self, text):
        """The connection that was there before is served as if nothing had been."""
        if self._standing is None:
            self._standing = Exchange(self.server.port, self.context)
        if not self._standing.send(text):
            raise AssertionError(f"refused\n{self.server.report()}")
        self.acknowledged.append(text)

    def end_standing(self):
        """Reads to the end of the connection that stands."""
        self._standing.wait_end()

    def drop_standing(self):
        if self._standing is not None:
            self._standing.close()
            self._standing = None

    def check_record(self):
        """After the end: what was acknowledged was printed, once each."""
        prefix = "Received: "
        printed = [line[len(prefix) :] for line in self.server.stdout.lines if line.startswith(prefix)]
        counts = {}
        for text in printed:
            counts[text] = counts.get(text, 0) + 1
        lost = [text for text in self.acknowledged if text not in counts]
        twice = [text for text in self.acknowledged if counts.get(text, 0) > 1]
        if lost or twice:
            raise AssertionError(f"acknowledged and not printed: {lost}; printed twice: {twice}")


@contextlib.contextmanager
def pages():
    """A page in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="certpost-faults-") as folder:
        page = faults.Page(folder)
        try:
            yield page
        finally:
            page.close()


@contextlib.contextmanager
def scene(*options):
    """A running server; at its end it must end in order, without a sanitizer's report, and have
    printed all that it acknowledged."""
    with pages() as page:
        arguments = [*Scene.OPTIONS, *options]
        with Server(*arguments, program=faults.SERVER, environment=page.environment) as server:
            stage = Scene(page, server)
            try:
                yield stage
            finally:
                page.disarm()
                stage.drop_standing()
        stage.check_record()


def start_arguments(*options):
    return [
        faults.SERVER, *([] if SANDBOX else ["--no-sandbox"]), "--listen", "127.0.0.1:0", "--cert",
        certs.path("server.crt"), "--key", certs.path("server.key"), *Scene.OPTIONS, *options,
    ]


def check_failed_start(process):
    """It did not serve: then a status says so, and one line says why."""
    status = process.wait(POINT_DEADLINE_S)
    errors = bytes(process.stderr.data)
    lines = [line for line in process.stderr.lines if line.startswith("certpostd: ")]
    if status not in START_STATUSES or len(lines) != 1 or len(lines[0]) < len("certpostd: x"):
        raise AssertionError(f"status {status}, lines {lines}\n{process.report()}")
    if SANITIZER_REPORT.search(errors):
        raise AssertionError(f"a sanitizer has something to say\n{process.report()}")


def is_foreign_end(process):
    """Whether it ends by one of FOREIGN, where a call of that library failed; it was started with
    CERTPOST_FAULT_STACKS, which shows whose call it was."""
    try:
        status = process.wait(DYING_S)
    except AssertionError:  # it does not end
        return False
    if SANITIZER_REPORT.search(process.stderr.data):
        return False
    lines = process.stderr.lines
    first = next((number for number, line in enumerate(lines) if "(fault_strikes" in line), 0)
    callers = "\n".join(lines[first : first + STACK_LINES])
    return any(library in callers and -status in signals for library, signals in FOREIGN.items())


class Delivery(Sender):
    """One stream of three messages that remembers all that it was promised."""

    def __init__(self, name):
        super().__init__(name.encode(), seq=0)
        self.key = ("", name)
        self.sent_all = [f"{name} message {number}".encode() for number in range(1, 4)]
        self.claims = []
        for message in self.sent_all:
            self.queue(message)

    def _release(self, seq, digest):
        super()._release(seq, digest)
        self.claims.append((seq, digest))

    def try_once(self, port, context=None):
        """Whether all is acknowledged; a connection that ends before is no error, a hang is."""
        try:
            self.close()
            self.socket = self._connect_tls(port, context)
            self.connect(self.socket)
            self.deliver()
            self.leave()
        except TimeoutError as late:
            raise AssertionError(f"{self.key}: neither an answer nor an end") from late
        except (OSError, ssl.SSLError, certpost1.Refused, certpost1.Truncated):
            self.close()
        return not self.unacked

    @staticmethod
    def _connect_tls(port, context):
        raw = socket.create_connection(("127.0.0.1", port), timeout=POINT_DEADLINE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            stream = context.wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise
        if stream.selected_alpn_protocol() != certpost1.ALPN:
            stream.close()
            raise ConnectionError("not certpost/1")
        return stream


class StoreScene:
    """A server with a store, and streams that must be in it in the end: whole, in order, once."""

    def __init__(self, page, server):
        self.page = page
        self.server = server
        self.context = client_context(alpn=[certpost1.ALPN])
        self.deliveries = []

    def attempt(self, name):
        """A stream's first connection."""
        delivery = Delivery(name)
        self.deliveries.append(delivery)
        delivery.try_once(self.server.port, self.context)
        return delivery

    def complete(self, delivery):
        """What a client does until all is acknowledged: it comes again. The store recovers by itself."""
        processes.wait_until(
            self.server, lambda: delivery.try_once(self.server.port, self.context), f"all of {delivery.key}",
            POINT_DEADLINE_S)

    def check_store(self, path):
        with StoreCheck(path) as store:
            store.check()
            for delivery in self.deliveries:
                store.check_claims(delivery.key, delivery.claims)
                store.check_sent(delivery.key, delivery.sent_all, None if not delivery.unacked else 0)


@contextlib.contextmanager
def store_scene(*options):
    """A running server with a store; at its end, the store is compared with what was acknowledged."""
    with pages() as page, StoreFile() as file:
        arguments = ["--workers", "1", "--store", file.path, *options]
        with Server(*arguments, program=faults.SERVER, environment=page.environment) as server:
            stage = StoreScene(page, server)
            try:
                yield stage
            finally:
                page.disarm()
        stage.check_store(file.path)
