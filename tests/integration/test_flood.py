"""Everything at once: handshakes that never end, one byte a second, receivers that never read.

An honest client beside them gets its answer within a second throughout, on its old connection and on
new ones; afterwards memory and descriptors are back where they were. Loopback only, some 2,300 sockets.
"""

import itertools
import select
import socket
import threading
import time
import unittest

import processes
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server
from tls_peers import TlsPeer, tcp_connect

SILENT = 2000  # connections that never finish their handshake
SLOW = 100  # senders of one byte a second
DEAF = 30  # receivers that never read
SOURCES = 8  # addresses that they come from: one may have 1,000 connections by default
FLOOD_S = 13  # longer than the handshake timeout, so that ended ones come back
ANSWER_S = 1.0 * processes.SCALE
MEBIBYTE = 1 << 20
GROWTH_BYTES = 4 * MEBIBYTE


class Flood(threading.Thread):
    """Keeps its numbers up until it is told to end: who is thrown out comes back."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._port = port
        self._sources = itertools.cycle(f"127.0.0.{10 + number}" for number in range(SOURCES))
        self._epoll = select.epoll()
        self._silent = {}
        self._slow = []
        self._deaf = []
        self._ending = False
        self.ready = threading.Event()
        self.thrown_out = 0
        self.failure = None

    def run(self):
        try:
            self._begin()
            self.ready.set()
            while not self._ending:
                self._turn()
        except Exception as failure:  # noqa: BLE001 - told by the test
            self.failure = failure
            self.ready.set()
        finally:
            for peer in (*self._silent.values(), *(p.socket for p in (*self._slow, *self._deaf))):
                peer.close()
            self._epoll.close()

    def end(self):
        self._ending = True
        self.join(processes.DEADLINE_S)
        if self.failure:
            raise self.failure

    def _begin(self):
        self._deaf = [
            TlsPeer(self._port, source=next(self._sources), receive_buffer_bytes=4096) for _ in range(DEAF)
        ]
        self._slow = [TlsPeer(self._port, source=next(self._sources)) for _ in range(SLOW)]
        while len(self._silent) < SILENT:
            self._connect()

    def _connect(self):
        connection = tcp_connect(self._port, source=next(self._sources))
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")  # begins a ClientHello
        self._silent[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLIN)

    def _turn(self):
        """One second: a byte from each slow sender, more for each deaf receiver, newcomers."""
        until = time.monotonic() + 1.0
        for peer in self._slow:
            peer.send(b"x")
        for peer in self._deaf:
            self._push(peer)
        while not self._ending and (left := until - time.monotonic()) > 0:
            for descriptor, _ in self._epoll.poll(min(left, 0.1)):
                self._epoll.unregister(descriptor)
                self._silent.pop(descriptor).close()
                self.thrown_out += 1
                self._connect()

    def _push(self, peer):
        """Messages whose replies are never read, as far as the server takes them."""
        for _ in range(64):
            if not select.select([], [peer.socket], [], 0)[1]:
                return
            # A record that is sent in part only is garbage to the server, and an end; that is fine.
            peer.socket.send(peer.seal(b"deaf\n"), socket.MSG_DONTWAIT)


class Together(unittest.TestCase):
    def _settled(self, server, descriptors):
        processes.wait_until(
            server, lambda: processes.descriptor_count(server.pid) == descriptors, f"{descriptors} descriptors"
        )

    def _shrunk(self, server, bound_bytes):
        """Memory goes back to the system a moment after many have left; a sanitizer keeps its own."""
        if not processes.SANITIZER:
            processes.wait_until(
                server, lambda: processes.resident_bytes(server.pid) < bound_bytes, f"{bound_bytes} bytes"
            )

    def _answer_s(self, peer):
        begin = time.monotonic()
        peer.exchange(b"I am honest\n", DEFAULT_REPLY + b"\n")
        return time.monotonic() - begin

    def _newcomer_s(self, server):
        begin = time.monotonic()
        with TlsPeer(server.port) as peer:
            peer.exchange(b"I am new\n", DEFAULT_REPLY + b"\n")
            took_s = time.monotonic() - begin
            peer.finish()
        return took_s

    def _flood(self, server, honest, seconds):
        """Returns the longest waits of the honest client: on its connection, and on new ones."""
        flood = Flood(server.port)
        flood.start()
        old, new = [], []
        until = None
        while until is None or time.monotonic() < until:
            if until is None and flood.ready.is_set():
                until = time.monotonic() + seconds
                if flood.failure:
                    raise flood.failure
            old.append(self._answer_s(honest))
            new.append(self._newcomer_s(server))
            self.assertLess(max(old[-1], new[-1]), ANSWER_S)
            # Ten times a second; nothing comes on a connection whose replies have all been read.
            select.select([honest.socket], [], [], 0.1)
        flood.end()
        return max(old), max(new), len(old), flood.thrown_out

    def test_an_honest_client_is_served_throughout(self):
        processes.allow_descriptors(3 * (SILENT + SLOW + DEAF))
        options = ("--workers", "2", "--framing", "line")
        with Server(*options, environment=SMALL_QUARANTINE) as server, TlsPeer(server.port) as honest:
            self._answer_s(honest)
            for _ in range(20):  # each worker has served
                self._newcomer_s(server)
            processes.wait_until(
                server, lambda: server.stderr.data.count(b"connection ended") >= 20, "the end of the first"
            )
            descriptors = processes.descriptor_count(server.pid)
            resident = [processes.resident_bytes(server.pid)]
            for seconds in (1, FLOOD_S):
                old_s, new_s, count, thrown_out = self._flood(server, honest, seconds)
                self._settled(server, descriptors)
                self._shrunk(server, resident[0] + GROWTH_BYTES)
                resident.append(processes.resident_bytes(server.pid))
                print(
                    f"{count} exchanges each in {seconds} s and more: at most {old_s * 1000:.0f} ms on the old "
                    f"connection, {new_s * 1000:.0f} ms on new ones; {thrown_out} thrown out; "
                    f"rss {resident[-1] / MEBIBYTE:.1f} MiB"
                )
            self.assertGreater(thrown_out, SILENT / 2)  # the handshake timeout was at work
            honest.finish()


if __name__ == "__main__":
    unittest.main()
