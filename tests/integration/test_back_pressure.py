"""What waits for a writer that stands still is bounded, however it is cut; and how a close goes on.

One case alone: ctest --preset dev -R 'integration.back_pressure.empty_messages_count'
"""

import contextlib
import select
import socket
import ssl
import unittest

import processes
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server
from scene import MEBIBYTE, MEMORY_SCALE
from tls_peers import TlsPeer

BLOCKED_S = 1.0  # a socket that takes nothing, or brings nothing, for so long does not any more
EMPTY_MESSAGES = b"\n" * 16384


def send_until_blocked(peer, data, most_bytes):
    """Sends records of `data` until the server takes no more."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    sent = 0
    while sent < most_bytes:
        rest = memoryview(peer.seal(data))
        while rest:
            if not select.select([], [peer.socket], [], BLOCKED_S)[1]:
                return
            count = peer.socket.send(rest, socket.MSG_DONTWAIT)
            sent += count
            rest = rest[count:]
    raise AssertionError(f"the server has taken {most_bytes} bytes while nothing could be printed")


class StandStill(unittest.TestCase):
    """The reader of standard output stands still, so nothing becomes safe."""

    def test_empty_messages_count(self):
        """A message of no bytes costs memory too: the bound of a connection holds for it."""
        options = ("--framing", "line", "--max-pending", "256KiB", "--drain-timeout", "1s")
        with Server(*options, environment=SMALL_QUARANTINE) as server, TlsPeer(server.port) as client:
            client.exchange(b"before\n", DEFAULT_REPLY + b"\n")
            server.stdout.hold()
            resident = processes.resident_bytes(server.pid)
            send_until_blocked(client, EMPTY_MESSAGES, 16 * MEBIBYTE)
            grown = processes.resident_bytes(server.pid) - resident
            self.assertLess(grown, 8 * MEBIBYTE * MEMORY_SCALE)
            client.reset()
            server.stdout.release()

    def test_place_is_kept_until_printed(self):
        """Who comes, sends and goes again and again may not leave more behind than there are places."""
        options = ("--workers", "1", "--max-connections", "3", "--max-pending", "256KiB")
        with Server(*options) as server, contextlib.ExitStack() as stack:
            filler = stack.enter_context(TlsPeer(server.port))
            filler.exchange(b"before", DEFAULT_REPLY)
            server.stdout.hold()
            send_until_blocked(filler, b"x" * 16384, 16 * MEBIBYTE)
            for _ in range(2):
                with TlsPeer(server.port) as visitor:
                    visitor.send(b"here and gone")
                    visitor.reset()
                server.wait_log("connection ended")
            late = stack.enter_context(TlsPeer(server.port, handshake=False))
            with contextlib.suppress(ssl.SSLWantReadError):
                late.tls.do_handshake()
            late.send_raw(late.outgoing.read())
            self.assertFalse(select.select([late.socket], [], [], BLOCKED_S)[0])
            server.stdout.release()
            late.handshake()
            late.exchange(b"at last", DEFAULT_REPLY)
            filler.reset()


class Closing(unittest.TestCase):
    def test_idle_time_does_not_cut_a_close_short(self):
        """Once the server has said its last word, only the close timeout counts."""
        options = ("--framing", "line", "--max-message", "8", "--idle-timeout", "100ms", "--close-timeout", "2s")
        with Server(*options) as server, TlsPeer(server.port) as client:
            client.send(b"a line that is too long\n")
            self.assertRegex(client.receive_all(), rb"^Message refused: ")
            ended = server.wait_log("connection ended").group()
            self.assertNotRegex(ended, "internal|timeout|idle|illegal")


if __name__ == "__main__":
    unittest.main()
