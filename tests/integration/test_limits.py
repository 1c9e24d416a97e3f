"""Bounds of what peers can take: connections, places per address, handshakes, pending bytes, descriptors.

Every 127.x.y.z is an address of its own here, so that one test can show that what one address has used
up is still there for another. One case alone: ctest --preset dev -R 'integration.limits.at_the_limit'
"""

import contextlib
import json
import re
import resource
import select
import signal
import socket
import ssl
import struct
import threading
import time
import unittest

import admin
import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server, run_certpostd
from scene import MEBIBYTE, MEMORY_SCALE, SILENCE_S, scene
from tls_peers import TlsPeer

FULL = "all places for connections are taken; new ones wait"
NO_PLACE = "connection refused: its address has all its places"
GIVES_WAY = "too many handshakes at once; the oldest gave way to a new one"
MOMENT_S = 0.2  # so long nothing must come where nothing may come


def in_parallel(count, work):
    """Runs work(0) to work(count - 1) in threads of their own; the first failure fails all."""
    failures = []

    def run(number):
        try:
            work(number)
        except Exception as failure:  # noqa: BLE001 - handed on to the test
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, failures


def join(threads, failures):
    for thread in threads:
        thread.join(processes.DEADLINE_S)
        if thread.is_alive():
            raise AssertionError("a client has not been served")
    if failures:
        raise failures[0]


def has_answer(peer, within_s=MOMENT_S):
    return bool(select.select([peer.socket], [], [], within_s)[0])


def begin_handshake(peer):
    """Sends the ClientHello."""
    try:
        peer.tls.do_handshake()
    except ssl.SSLWantReadError:
        peer.send_raw(peer.outgoing.read())


def lines_with(server, text):
    return [line for line in server.stderr.lines if text in line]


class Connections(unittest.TestCase):
    """--max-connections: others wait in the kernel's queue."""

    def test_at_the_limit_others_wait(self):
        with Server("--workers", "1", "--max-connections", "3") as server:
            inside = [TlsPeer(server.port) for _ in range(3)]
            waiting = [TlsPeer(server.port, handshake=False) for _ in range(4)]
            for peer in waiting:
                begin_handshake(peer)
            server.wait_log(FULL)
            for peer in inside:
                peer.exchange(b"inside", DEFAULT_REPLY)
            self.assertFalse(any(has_answer(peer, 0) for peer in waiting))
            self.assertEqual(len(lines_with(server, FULL)), 1)
            for leaving, entering in zip(inside, waiting):
                leaving.finish()
                entering.handshake()
                entering.exchange(b"at last", DEFAULT_REPLY)
            self.assertFalse(has_answer(waiting[3]))
            waiting[0].finish()
            waiting[3].handshake()
            waiting[3].exchange(b"at very last", DEFAULT_REPLY)
            for peer in waiting[1:]:
                peer.finish()

    def test_a_waiting_one_that_leaves_takes_no_place(self):
        with Server("--workers", "1", "--max-connections", "1") as server:
            with TlsPeer(server.port) as inside:
                tls_peers.reset(tls_peers.tcp_connect(server.port))
                tls_peers.tcp_connect(server.port).close()
                server.wait_log(FULL)
                inside.finish()
            with TlsPeer(server.port) as peer:
                peer.exchange(b"served", DEFAULT_REPLY)
                peer.finish()

    def test_several_workers_share_the_places(self):
        """Whichever worker's queue a connection waits in, a place that any other gives back wakes it."""
        with Server("--workers", "4", "--max-connections", "2") as server:

            def visit(number):
                with TlsPeer(server.port) as peer:
                    peer.exchange(b"visitor %d" % number, DEFAULT_REPLY)
                    peer.finish()

            join(*in_parallel(40, visit))
            server.stop()
            self.assertEqual(sorted(server.received()), sorted(f"visitor {n}" for n in range(40)))

    def test_waiting_costs_no_time(self):
        with Server("--workers", "2", "--max-connections", "2") as server:
            inside = [TlsPeer(server.port) for _ in range(2)]
            waiting = [tls_peers.tcp_connect(server.port) for _ in range(20)]
            server.wait_log(FULL)
            check_not_spinning(server)
            for connection in waiting:
                connection.close()
            for peer in inside:
                peer.finish()


def check_not_spinning(server, most_ticks=2):
    server.stderr.settle(SILENCE_S / 2)
    before = processes.cpu_ticks(server.pid)
    server.stdout.stays_silent(SILENCE_S)
    used = processes.cpu_ticks(server.pid) - before
    if used > most_ticks:
        raise AssertionError(f"{used} ticks of processor time in {SILENCE_S} s of silence")


class PerAddress(unittest.TestCase):
    """--max-connections-per-address: its own others are refused, nobody else's."""

    def _check_refused(self, server, host, source):
        connection = tls_peers.tcp_connect(server.port, host=host, source=source)
        address = connection.getsockname()
        self.assertEqual(tls_peers.raw_receive_all(connection), b"")
        shown = f"[{address[0]}]:{address[1]}" if ":" in host else f"{address[0]}:{address[1]}"
        connection.close()
        line = server.wait_log(re.escape(f"{NO_PLACE} peer={shown}")).group(0)
        self.assertIn(" warning ", line)

    def test_others_of_the_address_are_refused(self):
        with Server("--max-connections-per-address", "2") as server:
            inside = [TlsPeer(server.port, source="127.0.0.2") for _ in range(2)]
            for _ in range(3):
                self._check_refused(server, "127.0.0.1", "127.0.0.2")
            for last in (1, 3, 4):
                with TlsPeer(server.port, source=f"127.0.0.{last}") as other:
                    other.exchange(b"another address", DEFAULT_REPLY)
                    other.finish()
            leaving = inside.pop()
            leaving.finish()
            server.wait_log(f"connection ended peer={leaving.address} ")
            with TlsPeer(server.port, source="127.0.0.2") as successor:
                successor.exchange(b"there is a place again", DEFAULT_REPLY)
                successor.finish()
            inside[0].exchange(b"never disturbed", DEFAULT_REPLY)
            inside[0].finish()

    def test_ipv6(self):
        with Server("--max-connections-per-address", "2", listen=("[::1]:0", "127.0.0.1:0")) as server:
            inside = [TlsPeer(server.port, host="::1") for _ in range(2)]
            self._check_refused(server, "::1", None)
            port = int(server.addresses[1].rpartition(":")[2])
            with TlsPeer(port) as other:
                other.exchange(b"IPv4", DEFAULT_REPLY)
                other.finish()
            for peer in inside:
                peer.exchange(b"IPv6", DEFAULT_REPLY)
                peer.finish()

    def test_refused_ones_do_not_use_up_the_handshake_rate(self):
        """An address without places connects 60 times; at 4 a second these would take 15 s."""
        options = ("--workers", "1", "--max-connections-per-address", "1", "--max-handshake-rate", "4")
        with Server(*options) as server, TlsPeer(server.port, source="127.0.0.2") as inside:
            refused = [tls_peers.tcp_connect(server.port, source="127.0.0.2") for _ in range(60)]
            begin = time.monotonic()
            with TlsPeer(server.port, source="127.0.0.3") as other:
                other.exchange(b"not my fault", DEFAULT_REPLY)
                self.assertLess(time.monotonic() - begin, 5 * processes.SCALE)
                other.finish()
            self.assertTrue(lines_with(server, NO_PLACE))
            for connection in refused:
                self.assertEqual(tls_peers.raw_receive_all(connection), b"")
                connection.close()
            inside.finish()


class Handshakes(unittest.TestCase):
    def test_the_oldest_gives_way(self):
        with scene("--max-handshakes", "5") as stage:
            silent = [tls_peers.tcp_connect(stage.port) for _ in range(5)]
            stage.check_served()
            self.assertFalse(select.select(silent, [], [], MOMENT_S)[0])
            for number in range(4):
                oldest = silent.pop(0)
                silent.append(tls_peers.tcp_connect(stage.port))
                self.assertEqual(tls_peers.raw_receive_all(oldest), b"", number)
                stage.server.wait_log(
                    f'peer=127.0.0.1:{oldest.getsockname()[1]} reason=limit detail="{GIVES_WAY}"'
                )
                oldest.close()
                stage.check_newcomer_served()
                silent = [s for s in silent if not select.select([s], [], [], 0)[0]]
                while len(silent) < 5:
                    silent.append(tls_peers.tcp_connect(stage.port))
                    stage.check_served()
                # The newest is in the server's hands once it has dealt with all before it.
                stage.check_served()
            for connection in silent:
                connection.close()

    def test_above_the_rate_others_wait(self):
        """Of 16 at once, one second's worth (5) begins at once and the others at 5 a second."""
        with Server("--workers", "1", "--max-handshake-rate", "5") as server:
            begin = time.monotonic()

            def visit(number):
                with TlsPeer(server.port) as peer:
                    peer.exchange(b"visitor %d" % number, DEFAULT_REPLY)
                    peer.finish()

            join(*in_parallel(16, visit))
            took_s = time.monotonic() - begin
            self.assertGreater(took_s, (16 - 5 - 1) / 5)
            self.assertLess(took_s, 10 * processes.SCALE)
            server.stop()
            self.assertEqual(len(server.received()), 16)

    def test_the_rate_is_no_bound_for_messages(self):
        with Server("--workers", "1", "--max-handshake-rate", "1") as server, TlsPeer(server.port) as peer:
            for number in range(50):
                peer.exchange(b"%d" % number, DEFAULT_REPLY)
            peer.finish()


class _Sender:
    """One peer that sends numbered messages without reading, as far as the server lets it."""

    SIZE = 8192

    def __init__(self, port, name):
        self.peer = TlsPeer(port)
        self.name = name
        self.messages = []
        self.rest = b""

    def fill(self):
        """Sends all that goes without waiting."""
        while True:
            if not self.rest:
                text = f"{self.name} {len(self.messages)} ".ljust(self.SIZE, "x")
                self.messages.append(text)
                self.rest = self.peer.seal(text.encode())
            if not select.select([], [self.peer.socket], [], 0)[1]:
                return
            self.rest = self.rest[self.peer.socket.send(self.rest, socket.MSG_DONTWAIT) :]

    def finish(self):
        """Sends the rest of the last message, and expects a reply to each."""
        if self.rest:
            self.peer.send_raw(self.rest)
        self.peer.receive_until(DEFAULT_REPLY, count=len(self.messages))
        self.peer.finish()


def fill_until_blocked(senders):
    """Until none of them has been able to send anything for a second."""
    while True:
        ready = select.select([], [sender.peer.socket for sender in senders], [], 1.0)[1]
        if not ready:
            return
        for sender in senders:
            if sender.peer.socket in ready:
                sender.fill()


class Pending(unittest.TestCase):
    """--max-pending, --max-pending-total: with a standard output that stands still, peers wait."""

    def _stand_still(self, options, count, bound_bytes):
        with Server(*options, "--workers", "2", environment=SMALL_QUARANTINE) as server:
            with TlsPeer(server.port) as early:
                early.exchange(b"early", DEFAULT_REPLY)
                server.stdout.hold()
                resident = processes.resident_bytes(server.pid)
                senders = [_Sender(server.port, f"sender {number}") for number in range(count)]
                fill_until_blocked(senders)
                grown = processes.resident_bytes(server.pid) - resident
                print(f"grown by {grown} bytes with {count} senders")
                self.assertLess(grown, bound_bytes * MEMORY_SCALE)
                # New handshakes and other bounds are not concerned.
                with TlsPeer(server.port) as late:
                    late.send(b"late")
                    self.assertFalse(has_answer(late))
                    ticks = processes.cpu_ticks(server.pid)
                    self.assertFalse(has_answer(late, SILENCE_S))
                    self.assertLessEqual(processes.cpu_ticks(server.pid) - ticks, 2)
                    server.stdout.release()
                    self.assertEqual(late.receive(len(DEFAULT_REPLY)), DEFAULT_REPLY)
                    for sender in senders:
                        sender.finish()
                    early.exchange(b"goes on", DEFAULT_REPLY)
            server.stop()
            received = server.received()
            for sender in senders:
                mine = [line for line in received if line.startswith(f"{sender.name} ")]
                self.assertEqual(mine, sender.messages)

    def test_per_connection(self):
        self._stand_still(("--max-pending", "64KiB"), 4, 4 * MEBIBYTE)

    def test_of_all_connections(self):
        """Sixteen peers may hold 1 MiB each, but together no more than 512 KiB."""
        self._stand_still(("--max-pending-total", "512KiB"), 16, 8 * MEBIBYTE)


    def test_unfinished_lines(self):
        """Lines without an end have a budget of their own: whoever would pass it is refused, whole lines
        are served on, and what a peer held is free again when it has left."""
        options = ("--max-pending-total", "64KiB", "--framing", "line", "--workers", "1")
        begun = b"x" * (12 * 1024)
        with Server(*options) as server, TlsPeer(server.port) as honest:
            holders = [TlsPeer(server.port) for _ in range(4)]
            for holder in holders:
                holder.send(begun)
                holder.send(begun)  # 24 KiB of a line in two records: 20 KiB count
                honest.exchange(b"whole\n", DEFAULT_REPLY + b"\n")
            self.assertRegex(holders[3].receive_all(), rb"^Message refused: .*unfinished")
            holders[3].socket.close()
            holders[0].send(b"\n")
            self.assertEqual(holders[0].receive(len(DEFAULT_REPLY) + 1), DEFAULT_REPLY + b"\n")
            holders[1].vanish()
            server.wait_log(f"peer={holders[1].address} ")
            with TlsPeer(server.port) as later:
                later.send(begun)
                later.send(begun)
                later.exchange(b"\n", DEFAULT_REPLY + b"\n")
            holders[2].socket.close()


class Descriptors(unittest.TestCase):
    """A machine that runs out of descriptors: no spin, no end of service."""

    LIMIT = 64
    FEWER = (
        r"the limit of descriptors \(RLIMIT_NOFILE\) allows fewer connections than max-connections "
        r"max_connections=10000 allowed=(\d+)"
    )
    EXHAUSTED = 'cannot accept connections now; trying again reason="Too many open files"'

    def _server(self, *options):
        return Server("--workers", "2", *options, descriptors=self.LIMIT)

    def _allowed(self, server, limit=LIMIT):
        line = server.wait_log(self.FEWER).group(0)
        allowed = int(re.search(r"allowed=(\d+)", line).group(1))
        self.assertGreater(allowed, 8)
        self.assertLess(allowed, limit)
        return allowed

    def test_connections_above_the_limit_wait(self):
        with self._server() as server:
            allowed = self._allowed(server)
            inside = [TlsPeer(server.port) for _ in range(allowed)]

            def visit(number):
                with TlsPeer(server.port) as peer:
                    peer.exchange(b"visitor %d" % number, DEFAULT_REPLY)
                    peer.finish()

            visitors = in_parallel(100, visit)
            server.wait_log(FULL)
            check_not_spinning(server)
            for peer in inside:
                peer.exchange(b"inside", DEFAULT_REPLY)
            self.assertLessEqual(processes.descriptor_count(server.pid), self.LIMIT)
            for peer in inside:
                peer.finish()
            join(*visitors)
            self.assertFalse(lines_with(server, "Too many open files"))

    def test_a_reload_under_load_does_not_lower_it(self):
        """Connections that are there already are not counted twice, and files can still be read."""
        with self._server() as server:
            allowed = self._allowed(server)
            inside = [TlsPeer(server.port) for _ in range(allowed - 1)]
            server.send_signal(signal.SIGHUP)
            self.assertEqual(self._allowed(server), allowed)
            server.wait_log(" reloaded")
            with TlsPeer(server.port) as last:
                last.exchange(b"the last place", DEFAULT_REPLY)
                last.finish()
            for peer in inside:
                peer.finish()

    def test_the_admin_endpoint_leaves_room_for_connections(self):
        """It takes less where there is little; full on both sides, neither takes from the other."""
        with Server("--workers", "2", "--admin", "127.0.0.1:0", descriptors=100) as server, \
                contextlib.ExitStack() as held:
            at = admin.address(server)
            allowed = self._allowed(server, 100)
            self.assertGreater(allowed, 30)
            inside = [TlsPeer(server.port) for _ in range(allowed)]
            for _ in range(60):
                held.enter_context(admin.connect(at)).sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            self.assertEqual(admin.get(at, "/readyz").text, "ready\n")
            server.send_signal(signal.SIGHUP)
            server.wait_log(" reloaded")
            for peer in inside:
                peer.exchange(b"inside", DEFAULT_REPLY)
                peer.finish()
            self.assertFalse(lines_with(server, "Too many open files"))

    def test_accept_without_descriptors(self):
        """The limit is taken away under a running server: accept itself fails (EMFILE)."""
        with Server("--workers", "2") as server:
            inside = [TlsPeer(server.port) for _ in range(10)]
            open_now = processes.descriptor_count(server.pid)
            hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (open_now, hard))
            waiting = [TlsPeer(server.port, handshake=False) for _ in range(4)]
            for peer in waiting:
                begin_handshake(peer)
            server.wait_log(re.escape(self.EXHAUSTED))
            ticks = processes.cpu_ticks(server.pid)
            server.stdout.stays_silent(2 * SILENCE_S)
            self.assertLessEqual(processes.cpu_ticks(server.pid) - ticks, 6)
            for peer in inside:
                peer.exchange(b"not disturbed", DEFAULT_REPLY)
                peer.finish()
            for peer in waiting:
                peer.handshake()
                peer.exchange(b"at last", DEFAULT_REPLY)
                peer.finish()


def proxy_v1(source, port, family="TCP4", destination="192.0.2.254"):
    return f"PROXY {family} {source} {destination} {port} 443\r\n".encode()


def proxy_v2(source, port, command=0x21, extra=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    address = socket.inet_pton(family, source)
    body = address + bytes(len(address)) + struct.pack("!HH", port, 443) + extra
    code = 0x21 if family == socket.AF_INET6 else 0x11
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, code, len(body)) + body


class Proxy(unittest.TestCase):
    """--proxy-from: the balancer says who the client is."""

    MISSING = "no PROXY header from an address of proxy-from; is the balancer set up to send it?"

    def _serve(self, port, header, bytewise=False, **tcp):
        with TlsPeer(port, handshake=False, bytewise=bytewise, **tcp) as peer:
            peer.send_raw(header)
            peer.handshake()
            peer.exchange(b"through the balancer", DEFAULT_REPLY)
            peer.finish()

    def _check_served_as(self, server, header, shown, **options):
        self._serve(server.port, header, **options)
        server.wait_line(re.escape(f"Connected by {shown}"))
        server.wait_log(re.escape(f"connection ended peer={shown} "))

    def test_the_claimed_address_is_shown(self):
        with Server("--proxy-from", "127.0.0.0/8") as server:
            self._check_served_as(server, proxy_v1("192.0.2.7", 5001), "192.0.2.7:5001")
            self._check_served_as(
                server, proxy_v1("2001:db8::7", 5002, "TCP6", "2001:db8::1"), "[2001:db8::7]:5002"
            )
            self._check_served_as(server, proxy_v2("192.0.2.8", 5003), "192.0.2.8:5003")
            self._check_served_as(server, proxy_v2("2001:db8::8", 5004), "[2001:db8::8]:5004")
            extra = b"\x04" + struct.pack("!H", 300) + bytes(300)
            self._check_served_as(server, proxy_v2("192.0.2.9", 5005, extra=extra), "192.0.2.9:5005")

    def test_without_a_source_the_balancer_is_shown(self):
        """UNKNOWN, and LOCAL, which is a balancer's own health check."""
        with Server("--proxy-from", "127.0.0.1") as server:
            self._serve(server.port, b"PROXY UNKNOWN\r\n")
            server.wait_line(r"Connected by 127\.0\.0\.1:\d+")
            self._serve(server.port, proxy_v2("192.0.2.8", 1, command=0x20))
            server.wait_line(r"Connected by 127\.0\.0\.1:\d+")

    PROBES = {
        "nothing": b"",
        "version 1": b"PROXY UNKNOWN\r\n",
        "version 2": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
    NEWS = {
        "a header of a client": proxy_v1("192.0.2.7", 5001),
        "no whole header": b"PROXY UNK",
        "more than a header": b"PROXY UNKNOWN\r\n\x16",
    }

    @staticmethod
    def _visit(server, said, leave):
        """One connection that says so much; the level of the line of its end."""
        with tls_peers.tcp_connect(server.port) as visitor:
            port = visitor.getsockname()[1]
            visitor.sendall(said)
            leave(visitor)
        end = rf"(\w+) connection ended peer=(?:127\.0\.0\.1:{port}|192\.0\.2\.7:5001) reason=(?:truncated|reset)"
        return server.wait_log(end).group(0).split(" ")[1]

    def test_health_checks_of_a_balancer_are_no_news(self):
        """They are at the level debug, and not among the refusals that the status page shows."""
        options = ("--proxy-from", "127.0.0.1", "--log-level", "debug", "--admin", "127.0.0.1:0")
        with Server(*options) as server:
            at = admin.address(server)
            for leave in (tls_peers.reset, lambda visitor: visitor.shutdown(socket.SHUT_WR)):
                for name, said in self.PROBES.items():
                    self.assertEqual(self._visit(server, said, leave), "debug", name)
            for name, said in self.NEWS.items():
                self.assertEqual(self._visit(server, said, leave), "info", name)

            def refusals():
                return json.loads(admin.get(at, "/status.json").text)["refusals"]

            processes.wait_until(server, lambda: len(refusals()) >= len(self.NEWS), "the refusals")
            self.assertEqual(len(refusals()), len(self.NEWS))

    def test_a_health_check_that_is_kept_waiting_is_news(self):
        with Server("--proxy-from", "127.0.0.1", "--handshake-timeout", "300ms") as server:
            for said in self.PROBES.values():
                with tls_peers.tcp_connect(server.port) as visitor:
                    visitor.sendall(said)
                    self.assertEqual(tls_peers.raw_receive_all(visitor), b"")
                server.wait_log('info connection ended .*reason="timeout: handshake"')

    def test_byte_by_byte(self):
        with Server("--proxy-from", "127.0.0.1") as server:
            for header in (proxy_v1("192.0.2.7", 5001), proxy_v2("192.0.2.7", 5001)):
                self._check_served_as(server, header, "192.0.2.7:5001", bytewise=True)

    def test_in_one_piece_with_the_client_hello(self):
        with Server("--proxy-from", "127.0.0.1") as server:
            with TlsPeer(server.port, handshake=False) as peer:
                try:
                    peer.tls.do_handshake()
                except ssl.SSLWantReadError:
                    peer.send_raw(proxy_v2("192.0.2.7", 5001) + peer.outgoing.read())
                peer.handshake()
                peer.exchange(b"at once", DEFAULT_REPLY)
                peer.finish()

    def test_a_missing_header_is_refused(self):
        with Server("--proxy-from", "127.0.0.2") as server:
            with self.assertRaises((tls_peers.Truncated, ConnectionResetError, ssl.SSLError)):
                TlsPeer(server.port, source="127.0.0.2")
            line = server.wait_log(re.escape(self.MISSING)).group(0)
            self.assertRegex(line, r'peer=127\.0\.0\.2:\d+ reason=protocol detail="no PROXY header')
            self._serve(server.port, proxy_v1("192.0.2.7", 1), source="127.0.0.2")

    def test_a_wrong_header_is_refused(self):
        wrong = (
            b"PROXY TCP4 192.0.2.300 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
            b"PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
            b"PROXY " + b"x" * 200,
            proxy_v2("192.0.2.7", 1, command=0x22),
            proxy_v2("192.0.2.7", 1, extra=bytes(5000)),
        )
        with Server("--proxy-from", "127.0.0.1") as server:
            for header in wrong:
                connection = tls_peers.tcp_connect(server.port)
                connection.sendall(header)
                self.assertEqual(tls_peers.raw_receive_all(connection), b"", header)
                connection.close()
                server.wait_log(re.escape(self.MISSING))
            self.assertFalse([line for line in server.stdout.lines if line.startswith("Connected")])

    def test_no_header_in_time(self):
        with Server("--proxy-from", "127.0.0.1", "--handshake-timeout", "300ms") as server:
            with tls_peers.tcp_connect(server.port) as silent:
                silent.sendall(b"PROXY TCP4 ")
                self.assertEqual(tls_peers.raw_receive_all(silent), b"")
            server.wait_log('reason="timeout: handshake"')

    def test_from_another_address_it_is_garbage(self):
        """Else anybody could claim any address."""
        with Server("--proxy-from", "127.0.0.2") as server:
            for header in (proxy_v1("192.0.2.7", 5001), proxy_v2("192.0.2.7", 5001)):
                with TlsPeer(server.port, handshake=False, source="127.0.0.3") as peer:
                    peer.send_raw(header)
                    with self.assertRaises((ssl.SSLError, tls_peers.Truncated, ConnectionResetError)):
                        peer.handshake()
                    server.wait_log(f"peer={peer.address} .*(?:TLS|tls)")
            with TlsPeer(server.port, source="127.0.0.3") as peer:
                peer.exchange(b"straight to the server", DEFAULT_REPLY)
                peer.finish()
            self.assertNotIn("192.0.2.7", bytes(server.stderr.data).decode())

    def test_places_are_counted_by_the_claimed_address(self):
        with Server("--proxy-from", "127.0.0.1", "--max-connections-per-address", "2") as server:
            inside = []
            for port in (1, 2):
                for source in ("192.0.2.7", "::ffff:192.0.2.8", "2001:db8::7"):
                    inside.append(TlsPeer(server.port, handshake=False))
                    inside[-1].send_raw(proxy_v2(source, port))
                    inside[-1].handshake()
            # The same IPv4 address in both spellings, the same /64, and others beside them.
            for refused in ("192.0.2.7", "192.0.2.8", "::ffff:192.0.2.7", "2001:db8::ffff:1"):
                with TlsPeer(server.port, handshake=False) as peer:
                    peer.send_raw(proxy_v2(refused, 3))
                    self.assertEqual(tls_peers.raw_receive_all(peer.socket), b"", refused)
                server.wait_log(':3 reason=limit detail="its address has all its places"')
            for served in ("192.0.2.9", "::ffff:192.0.2.10", "2001:db8:0:1::7"):
                self._serve(server.port, proxy_v2(served, 4))
            for peer in inside:
                peer.exchange(b"never disturbed", DEFAULT_REPLY)
                peer.finish()

    def test_wrong_networks_are_refused_at_start(self):
        for network in ("10.0.0.1/8", "10.0.0.0/33", "localhost", "::1/129"):
            pair = ("--cert", certs.path("server.crt"), "--key", certs.path("server.key"))
            status, output, errors = run_certpostd("--listen", "127.0.0.1:0", *pair, "--proxy-from", network)
            self.assertEqual((status, output), (2, ""), errors)
            self.assertEqual(
                errors,
                f"certpostd: --proxy-from: {network} is no address, and no network such as 10.0.0.0/8\n",
            )


if __name__ == "__main__":
    unittest.main()
