"""Deadlines: each ends what it is for, no earlier than configured, with its name in the log.

The table of all deadlines is in docs/limits.md. A test waits for the end that the server makes, never
for time to pass by itself; upper bounds are wide, because the machine may be busy.
One case alone: ctest --preset dev -R 'integration.time.idle'
"""

import ctypes
import os
import select
import socket
import time
import unittest

import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, Server
from scene import scene
from tls_peers import TlsPeer

SLACK_S = 0.03  # the loop's clock is read once a wake-up, in whole milliseconds
WIDE_S = 5 * processes.SCALE
PIPE_FULL_BYTES = 256 * 1024
LINUX_PIDFD_GETFD = 438


class Clock:
    """How long something took, between a lower bound that is exact and an upper one that is wide."""

    def __init__(self):
        self.begin = time.monotonic()

    def check(self, expected_s):
        took_s = time.monotonic() - self.begin
        print(f"{took_s:.3f} s, the deadline is {expected_s} s")
        if not expected_s - SLACK_S <= took_s <= expected_s + WIDE_S:
            raise AssertionError(f"{took_s:.3f} s; the deadline is {expected_s} s")


class Deadlines(unittest.TestCase):
    def test_handshake(self):
        with scene("--handshake-timeout", "600ms") as stage:
            clock = Clock()
            with tls_peers.tcp_connect(stage.port) as silent:
                port = silent.getsockname()[1]
                self.assertEqual(tls_peers.raw_receive_all(silent), b"")
                clock.check(0.6)
            line = stage.server.wait_log(f"peer=127.0.0.1:{port} ").group(0)
            self.assertIn(
                'reason="timeout: handshake" detail="the TLS handshake was not complete in time"', line
            )

    def test_first_byte(self):
        with scene("--first-byte-timeout", "600ms") as stage:
            clock = Clock()
            with TlsPeer(stage.port) as silent:
                self.assertEqual(silent.receive_all(), b"")  # to its close_notify
                clock.check(0.6)
            line = stage.server.wait_log(f"peer={silent.address} ").group(0)
            self.assertIn(
                'reason="timeout: first byte" detail="the peer sent nothing after its handshake"', line
            )

    def test_first_byte_is_met_by_one_byte(self):
        """Afterwards the idle timeout counts."""
        options = ("--first-byte-timeout", "400ms", "--idle-timeout", "1200ms")
        with Server(*options, "--framing", "line") as server, TlsPeer(server.port) as slow:
            clock = Clock()
            slow.send(b"x")
            self.assertEqual(slow.receive_all(), b"")
            clock.check(1.2)
            server.wait_log(f'peer={slow.address} reason="timeout: idle".* discarded_bytes=1 ')

    def test_idle(self):
        with scene() as stage:
            with Server("--workers", "1", "--idle-timeout", "600ms") as server, TlsPeer(server.port) as idle:
                for number in range(3):
                    idle.exchange(b"%d" % number, DEFAULT_REPLY)
                clock = Clock()
                self.assertEqual(idle.receive_all(), b"")
                clock.check(0.6)
                line = server.wait_log(f"peer={idle.address} ").group(0)
                self.assertIn(
                    'reason="timeout: idle" detail="the peer completed no message for too long"', line
                )
                self.assertIn(" messages=3 bytes=3 ", line)
            stage.check_served()

    def test_each_message_begins_the_idle_time_anew(self):
        """A message every half of the idle time keeps a connection for three times as long."""
        with Server("--idle-timeout", "1s") as server, TlsPeer(server.port) as alive:
            for number in range(7):
                alive.exchange(b"%d" % number, DEFAULT_REPLY)
                self.assertFalse(select.select([alive.socket], [], [], 0.5)[0], number)
            alive.finish()

    def test_single_bytes_do_not_extend_idle(self):
        with Server("--framing", "line", "--idle-timeout", "1s") as server, TlsPeer(server.port) as slow:
            slow.exchange(b"a message\n", DEFAULT_REPLY + b"\n")
            clock = Clock()
            sent = 0
            while not select.select([slow.socket], [], [], 0.05)[0]:
                slow.send(b"x")
                sent += 1
                self.assertLess(sent, 40 * WIDE_S)
            clock.check(1.0)
            self.assertEqual(slow.receive_all(), b"")
            self.assertGreater(sent, 3)
            server.wait_log(f'peer={slow.address} reason="timeout: idle".* messages=1 ')
        self.assertEqual(server.received(), ["a message"])

    def test_a_peer_that_waits_for_us_is_not_idle(self):
        with Server("--idle-timeout", "500ms") as server, TlsPeer(server.port) as peer:
            peer.exchange(b"begins", DEFAULT_REPLY)
            server.stdout.hold()
            message = b"x" * 8192
            count = PIPE_FULL_BYTES // len(message)
            for _ in range(count):
                peer.send(message)
            # Three times the idle time: nothing may come but replies to what was printed before.
            answered = 0
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < 1.5:
                if select.select([peer.socket], [], [], 0.1)[0]:
                    answered += len(peer.receive_more(b""))
                    quiet_since = time.monotonic()
            self.assertLess(answered, count * len(DEFAULT_REPLY))
            server.stdout.release()
            clock = Clock()
            peer.receive(count * len(DEFAULT_REPLY) - answered)
            self.assertEqual(peer.receive_all(), b"")
            clock.check(0.5)
            server.wait_log(f'peer={peer.address} reason="timeout: idle".* messages={count + 1} ')

    def test_write(self):
        """A peer that reads nothing is cut, and told nothing: there is no room to tell it."""
        reply = "r" * 1024
        with scene("--reply", reply, "--write-timeout", "1s", reply=reply.encode()) as stage:
            with TlsPeer(stage.port, receive_buffer_bytes=4096) as deaf:
                record = deaf.seal(b"x" * 100)
                clock = Clock()
                with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                    while True:
                        if not select.select([], [deaf.socket], [], WIDE_S)[1]:
                            raise AssertionError("neither room nor an end")
                        deaf.socket.send(record, socket.MSG_DONTWAIT)
                        record = deaf.seal(b"x" * 100)
                clock.check(1.0)
            line = stage.server.wait_log(f"peer={deaf.address} ").group(0)
            self.assertIn('reason="timeout: write" detail="the peer took no data for too long"', line)

    def test_close(self):
        """A peer that never closes its side is left behind after --close-timeout."""
        options = ("--idle-timeout", "300ms", "--close-timeout", "700ms")
        with Server(*options) as server, TlsPeer(server.port) as stays:
            stays.exchange(b"a message", DEFAULT_REPLY)
            clock = Clock()
            self.assertEqual(stays.receive_all(), b"")
            server.wait_log(f'peer={stays.address} reason="timeout: idle"')
            clock.check(1.0)
            # The server's socket has gone: what we send now is answered with a reset.
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                while True:
                    stays.socket.sendall(b"x" * 1024)
                    select.select([stays.socket], [], [], 0.02)

    def test_close_does_not_wait_for_who_closes(self):
        with Server("--close-timeout", "20s") as server, TlsPeer(server.port) as peer:
            peer.exchange(b"a message", DEFAULT_REPLY)
            clock = Clock()
            peer.finish()
            server.wait_log(f"peer={peer.address} reason=closed")
            clock.check(0)

    def test_each_connection_has_its_own(self):
        """Connections that began one after the other end at their own times. As many as the log's
        bound for one fault of one address lets through."""
        with Server("--first-byte-timeout", "1s") as server:
            peers = [(TlsPeer(server.port), time.monotonic()) for _ in range(20)]
            for peer, _ in peers:
                self.assertEqual(peer.receive_all(), b"")
                peer.socket.close()
            for peer, _ in peers:
                line = server.wait_log(f"peer={peer.address} ").group(0)
                duration_ms = int(line.rpartition("duration_ms=")[2])
                self.assertGreaterEqual(duration_ms, 1000)
                self.assertLess(duration_ms, 1000 + 1000 * WIDE_S)


def take_descriptor(pid, number):
    """A copy of another process's descriptor (pidfd_getfd(2))."""
    system = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    copy = system.syscall(LINUX_PIDFD_GETFD, pidfd, number, 0)
    error = ctypes.get_errno()
    os.close(pidfd)
    if copy < 0:
        raise OSError(error, os.strerror(error))
    return copy


def socket_of(server, port):
    """The server's own socket whose peer has this port."""
    for number in os.listdir(f"/proc/{server.pid}/fd"):
        if not os.readlink(f"/proc/{server.pid}/fd/{number}").startswith("socket:"):
            continue
        taken = socket.socket(fileno=take_descriptor(server.pid, int(number)))
        try:
            if taken.family == socket.AF_INET and taken.getpeername()[1] == port:
                return taken
        except OSError:  # a listening socket has no peer
            pass
        taken.close()
    raise AssertionError("no such socket")


class Kernel(unittest.TestCase):
    def test_options_of_the_socket(self):
        """Keepalive, and the bound on data that the other kernel does not confirm, as documented."""
        with Server("--write-timeout", "7s") as server, TlsPeer(server.port) as peer:
            peer.exchange(b"a message", DEFAULT_REPLY)
            try:
                found = socket_of(server, peer.socket.getsockname()[1])
            except PermissionError:
                server.kill()
                processes.skip("this system does not let a process look at its child's sockets")
            with found:
                tcp = {
                    name: found.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                    for name in (
                        "TCP_NODELAY",
                        "TCP_KEEPIDLE",
                        "TCP_KEEPINTVL",
                        "TCP_KEEPCNT",
                        "TCP_USER_TIMEOUT",
                    )
                }
                keepalive = found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            self.assertEqual(keepalive, 1)
            self.assertEqual(
                tcp,
                {
                    "TCP_NODELAY": 1,
                    "TCP_KEEPIDLE": 60,
                    "TCP_KEEPINTVL": 15,
                    "TCP_KEEPCNT": 3,
                    "TCP_USER_TIMEOUT": 7000 + 15000,  # after our own deadline, so that the log has its name
                },
            )
            peer.finish()


if __name__ == "__main__":
    unittest.main()
