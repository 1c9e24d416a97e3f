"""The stage for hostile peers: one server with one worker, and an honest client beside them.

With a single worker, whatever a hostile peer holds up, it holds up for the honest client too. Each
scene ends by checking that the honest client is still served, that a new one is, that the server does
not spin, and that its descriptors are back to where they were.
"""

import contextlib

import processes
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server
from tls_peers import TlsPeer

MEBIBYTE = 1 << 20
# A sanitizer's shadow memory and quarantine grow with what the server does.
MEMORY_SCALE = 8 if processes.SANITIZER else 1
SILENCE_S = 0.5
# A tick is 10 ms. A server that spins takes all 50 of the interval; reading /proc costs it nothing.
IDLE_TICKS = 2


class Scene:
    def __init__(self, server, honest, reply, line_end):
        self.server = server
        self.port = server.port
        self.honest = honest
        self._reply = reply
        self._line_end = line_end
        self.check_served()
        self.descriptors = processes.descriptor_count(server.pid)
        self.resident_bytes = processes.resident_bytes(server.pid)

    def check_served(self):
        """The honest client gets its reply, on its old connection."""
        self.honest.exchange(b"I am honest" + self._line_end, self._reply)

    def check_newcomer_served(self):
        with TlsPeer(self.port) as newcomer:
            newcomer.exchange(b"I am new" + self._line_end, self._reply)
            newcomer.finish()

    def check_not_spinning(self):
        """While nothing happens, the server uses no processor time."""
        self.server.stdout.settle(SILENCE_S / 2)
        before = processes.cpu_ticks(self.server.pid)
        self.server.stdout.stays_silent(SILENCE_S)
        used = processes.cpu_ticks(self.server.pid) - before
        if used > IDLE_TICKS:
            raise AssertionError(f"{used} ticks of processor time in {SILENCE_S} s of silence")

    def check_memory(self, bound_mebibytes):
        """The server has not grown by more than the bound since the scene began."""
        grown = processes.resident_bytes(self.server.pid) - self.resident_bytes
        if grown > bound_mebibytes * MEMORY_SCALE * MEBIBYTE:
            raise AssertionError(f"grown by {grown} bytes, the bound is {bound_mebibytes} MiB")

    def check_descriptors(self):
        """Every descriptor that the hostile peers have cost is given back."""
        processes.wait_until(
            self.server,
            lambda: processes.descriptor_count(self.server.pid) == self.descriptors,
            f"{self.descriptors} descriptors",
        )

    def check_all(self):
        self.check_served()
        self.check_newcomer_served()
        self.check_descriptors()
        self.check_not_spinning()


@contextlib.contextmanager
def scene(*options, reply=DEFAULT_REPLY, framing="chunk"):
    """A scene to play in; at its end, everything is checked."""
    line_end = b"\n" if framing == "line" else b""
    options = ("--workers", "1", "--framing", framing, *options)
    with Server(*options, environment=SMALL_QUARANTINE) as server:
        with TlsPeer(server.port) as honest:
            stage = Scene(server, honest, reply + line_end, line_end)
            yield stage
            stage.check_all()
