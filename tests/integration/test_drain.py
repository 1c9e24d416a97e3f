"""The orderly end: SIGTERM or SIGINT, under load, beside deaf peers, with a stuck standard output.

One case alone: ctest --preset dev -R 'integration.drain.under_load'
"""

import collections
import errno
import os
import select
import signal
import socket
import threading
import time
import unittest

import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, Server
from tls_peers import TlsPeer

WIDE_S = 10 * processes.SCALE
WORKERS = "4"
CLIENTS = 24
AHEAD = 16  # messages that a client sends without waiting for replies
PIPE_FULL_MESSAGES = 64
MESSAGE_BYTES = 8192
RECORDS_AT_ONCE = 32
# Ending at once leaves threads where they are, which the thread sanitizer reports otherwise.
ENDED_BY_FORCE = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"}


class _Client(threading.Thread):
    """Sends numbered messages, AHEAD of their replies, until the server says close_notify."""

    def __init__(self, port, number, enough):
        super().__init__(daemon=True)
        self._peer = TlsPeer(port)
        self._name = f"client {number}"
        self._enough = enough  # called after the first replies
        self.sent = 0
        self.replies = bytearray()
        self.failure = None

    def run(self):
        try:
            while self._turn():
                pass
            self._peer.receive_all()
        except Exception as failure:  # noqa: BLE001 - told by the test
            self.failure = failure
        finally:
            self._peer.socket.close()

    def _turn(self):
        """One round of sending and receiving; false at the server's close_notify."""
        while self.sent * len(DEFAULT_REPLY) - len(self.replies) < AHEAD * len(DEFAULT_REPLY):
            self._peer.send(f"{self._name} message {self.sent}".encode())
            self.sent += 1
        piece = self._peer.receive_some()
        self.replies += piece
        if len(self.replies) > AHEAD * len(DEFAULT_REPLY) and self._enough:
            self._enough()
            self._enough = None
        return bool(piece)

    def acknowledged(self):
        count, rest = divmod(len(self.replies), len(DEFAULT_REPLY))
        if rest or self.replies != DEFAULT_REPLY * count:
            raise AssertionError(f"{self._name}: replies are cut: {bytes(self.replies[-40:])!r}")
        return count

    def messages(self):
        return [f"{self._name} message {number}" for number in range(self.acknowledged())]


class Load(unittest.TestCase):
    def _end_under_load(self, signal_number, options=()):
        with Server("--workers", WORKERS, *options) as server:
            talking = threading.Semaphore(0)
            clients = [_Client(server.port, number, talking.release) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for _ in clients:
                self.assertTrue(talking.acquire(timeout=processes.DEADLINE_S))
            begin = time.monotonic()
            server.stop(signal_number)
            took_s = time.monotonic() - begin
            for client in clients:
                client.join(processes.DEADLINE_S)
                self.assertFalse(client.is_alive())
                self.assertIsNone(client.failure, client)
            of_client = collections.defaultdict(list)
            for line in server.received():
                of_client[line.rpartition(" message ")[0]].append(line)
            for number, client in enumerate(clients):
                # What was received is what was answered: not one more, not one fewer.
                self.assertEqual(of_client[f"client {number}"], client.messages())
            total = sum(client.acknowledged() for client in clients)
            sent = sum(client.sent for client in clients)
            print(f"{total} of {sent} messages answered, ended in {took_s:.2f} s")
            self.assertGreater(total, CLIENTS * AHEAD)
            self.assertFalse([line for line in server.stderr.lines if " cut " in line])

    def test_under_load(self):
        self._end_under_load(signal.SIGTERM)

    def test_under_load_by_interrupt(self):
        self._end_under_load(signal.SIGINT)

    def test_under_load_with_little_room(self):
        """Most peers are paused by the bound of all connections when the signal comes."""
        self._end_under_load(signal.SIGTERM, ("--max-pending-total", "64", "--max-pending", "64"))


class Standing(unittest.TestCase):
    """Connections that do not move when the signal comes."""

    def test_idle_peers_see_close_notify(self):
        with Server("--workers", WORKERS) as server:
            peers = [TlsPeer(server.port) for _ in range(40)]
            for peer in peers[::2]:
                peer.exchange(b"a message", DEFAULT_REPLY)
            server.send_signal(signal.SIGTERM)
            for peer in peers:
                self.assertEqual(peer.receive_all(), b"")
                peer.socket.close()
            self.assertEqual(server.wait(), 0)

    def test_handshakes_are_cut(self):
        with Server("--workers", "1") as server, TlsPeer(server.port) as open_peer:
            silent = tls_peers.tcp_connect(server.port)
            open_peer.exchange(b"a message", DEFAULT_REPLY)
            with TlsPeer(server.port) as later:  # whoever came before is in the server's hands
                later.finish()
            server.send_signal(signal.SIGTERM)
            self.assertEqual(tls_peers.raw_receive_all(silent), b"")
            silent.close()
            self.assertEqual(open_peer.receive_all(), b"")
            open_peer.socket.close()
            self.assertEqual(server.wait(), 0)

    def test_nobody_is_accepted_while_draining(self):
        """A deaf peer keeps the server draining; a new connection is refused at once."""
        reply = "r" * 1024
        with Server("--reply", reply, "--workers", "2", "--drain-timeout", "4s") as server:
            with TlsPeer(server.port, receive_buffer_bytes=4096) as deaf:
                send_until_full(deaf)
                server.send_signal(signal.SIGTERM)
                begin = time.monotonic()
                server.wait_log("stopping signal=Terminated")
                processes.wait_until(server, lambda: is_refused(server.port), "a refused connection")
                self.assertLess(time.monotonic() - begin, 2 * processes.SCALE)
                self.assertTrue(server.is_running())
                self.assertEqual(server.wait(), 0)

    def test_at_the_drain_timeout_peers_are_cut(self):
        reply = "r" * 1024
        with Server("--reply", reply, "--workers", "2", "--drain-timeout", "1s") as server:
            deaf = [TlsPeer(server.port, receive_buffer_bytes=4096) for _ in range(3)]
            for peer in deaf:
                send_until_full(peer)
            begin = time.monotonic()
            server.stop()
            took_s = time.monotonic() - begin
            self.assertGreaterEqual(took_s, 0.95)
            self.assertLess(took_s, 1 + WIDE_S)
            warnings = [line for line in server.stderr.lines if " warning connections cut " in line]
            self.assertEqual(len(warnings), 1, warnings)
            self.assertRegex(
                warnings[0], r" warning connections cut at the end of the drain timeout connections=3$"
            )
            ends = [line for line in server.stderr.lines if "reason=interrupted" in line]
            self.assertEqual(len(ends), 3)
            for peer in deaf:
                peer.socket.close()

    def test_a_reload_while_draining_is_ignored(self):
        reply = "r" * 1024
        with Server("--reply", reply, "--drain-timeout", "1s") as server:
            with TlsPeer(server.port, receive_buffer_bytes=4096) as deaf:
                send_until_full(deaf)
                server.send_signal(signal.SIGTERM)
                server.wait_log("stopping")
                server.send_signal(signal.SIGHUP)
                self.assertEqual(server.wait(), 0)
            self.assertFalse([line for line in server.stderr.lines if "reload" in line])


def send_until_full(peer, message=b"x"):
    """Until the server takes no more: its replies, or its own output, are not read."""
    rest = b""
    while select.select([], [peer.socket], [], 0.5)[1]:
        rest = rest or b"".join(peer.seal(message) for _ in range(RECORDS_AT_ONCE))
        rest = rest[peer.socket.send(rest, socket.MSG_DONTWAIT) :]


def is_refused(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=processes.DEADLINE_S):
            return False
    except OSError as failure:
        return failure.errno in (errno.ECONNREFUSED, errno.ECONNRESET)


class Stuck(unittest.TestCase):
    """Nobody reads the server's standard output."""

    def test_what_was_read_is_answered_when_output_goes_on(self):
        """Also for a peer that was paused because others hold all of --max-pending-total."""
        options = ("--max-pending-total", "64KiB", "--workers", "2")
        with Server(*options) as server:
            peers = [TlsPeer(server.port) for _ in range(6)]
            for peer in peers:
                peer.exchange(b"early", DEFAULT_REPLY)
            server.stdout.hold()
            full = TlsPeer(server.port)
            send_until_full(full, b"x" * MESSAGE_BYTES)
            for peer in peers:
                peer.send(b"in time")
            processes.wait_until(server, lambda: all(is_taken(peer) for peer in peers), "messages")
            server.send_signal(signal.SIGTERM)
            server.wait_log("stopping")
            begin = time.monotonic()
            server.stdout.release()
            for peer in peers:
                self.assertEqual(peer.receive_all(), DEFAULT_REPLY)
                peer.socket.close()
            full.receive_all()
            full.socket.close()
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - begin, WIDE_S)
            self.assertEqual(server.received().count("in time"), len(peers))
            self.assertFalse([line for line in server.stderr.lines if " cut " in line])

    def _stuck_server(self, *options):
        server = Server(*options, environment=ENDED_BY_FORCE)
        peer = TlsPeer(server.port)
        peer.exchange(b"early", DEFAULT_REPLY)
        server.stdout.hold()
        for _ in range(PIPE_FULL_MESSAGES):
            peer.send(b"x" * MESSAGE_BYTES)
        processes.wait_until(server, lambda: is_taken(peer), "messages")
        return server, peer

    def test_it_ends_by_force(self):
        """Two seconds after --drain-timeout, with status 1 and a line that says why."""
        server, peer = self._stuck_server("--drain-timeout", "1s")
        with server, peer:
            begin = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.stderr.wait_end()
            took_s = time.monotonic() - begin
            server.stdout.release()
            self.assertEqual(server.wait(), 1)
            self.assertGreaterEqual(took_s, 2.95)
            self.assertLess(took_s, 3 + WIDE_S)
            self.assertRegex(
                server.stderr.lines[-1],
                r" error ended with messages that could not be handed on, unacknowledged "
                r'reason="nobody reads standard output"$',
            )

    def _end_at_once(self, first, second, word):
        server, peer = self._stuck_server()
        with server, peer:
            server.send_signal(first)
            server.wait_log("stopping")
            begin = time.monotonic()
            server.send_signal(second)
            server.stderr.wait_end()
            self.assertLess(time.monotonic() - begin, 2 * processes.SCALE)
            server.stdout.release()
            self.assertEqual(server.wait(), 128 + second)
            self.assertRegex(server.stderr.lines[-1], rf" warning ended at once signal={word}$")

    def test_a_second_signal_ends_it_now(self):
        self._end_at_once(signal.SIGTERM, signal.SIGTERM, "Terminated")

    def test_a_second_interrupt_ends_it_now(self):
        self._end_at_once(signal.SIGTERM, signal.SIGINT, "Interrupt")


def is_taken(peer):
    """Whether the server's process has read all that we have sent: our kernel has nothing left to send
    and the server's nothing to be read, as /proc/net/tcp shows them."""
    port = f":{peer.socket.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            _, local, remote, _, queues, *_ = line.split()
            if ":" not in queues:  # the heading
                continue
            to_send, to_read = queues.split(":")
            if local.endswith(port) and int(to_send, 16) or remote.endswith(port) and int(to_read, 16):
                return False
    return True


if __name__ == "__main__":
    unittest.main()
