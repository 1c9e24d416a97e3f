"""tests/support/faulty_proxy.py itself: each fault happens, and none happens that was not asked for.

Behind the proxy is a server that sends back what it gets, so both directions can be seen.
"""

import os
import select
import socket
import ssl
import threading
import time
import unittest

import processes
from certpost_server import Server
from faulty_proxy import MODES, FaultyProxy, Settings
from tls_peers import TlsPeer

WAIT_S = 20


class EchoServer:
    """Sends back what each connection brings; remembers how each ended."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.ends = []  # "end" or "reset", with the bytes that came before
        self._changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(peer,), daemon=True).start()

    def _echo(self, peer):
        data, end = bytearray(), "end"
        with peer:
            peer.settimeout(WAIT_S)
            try:
                while piece := peer.recv(1 << 16):
                    data += piece
                    peer.sendall(piece)
            except ConnectionError:
                end = "reset"
        with self._changed:
            self.ends.append((end, bytes(data)))
            self._changed.notify_all()

    def wait_end(self, count=1):
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.ends) >= count, WAIT_S):
                raise AssertionError(f"{count} connections do not end: {self.ends}")
            return self.ends[count - 1]

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Client:
    """One connection through the proxy; notes what comes back and how it ends."""

    def __init__(self, proxy):
        self._socket = socket.create_connection(("127.0.0.1", proxy.port), WAIT_S)

    def send(self, data):
        self._socket.sendall(data)

    def end(self):
        self._socket.shutdown(socket.SHUT_WR)

    def receive(self, count):
        """Exactly `count` bytes, fewer if the connection ends."""
        data = b""
        while len(data) < count and (piece := self._socket.recv(count - len(data))):
            data += piece
        return data

    def receive_all(self):
        """("end" or "reset", all the bytes that come before)."""
        data = b""
        try:
            while piece := self._socket.recv(1 << 16):
                data += piece
        except ConnectionError:
            return "reset", data
        return "end", data

    def is_silent(self, interval_s):
        return not select.select([self._socket], [], [], interval_s)[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._socket.close()


class ProxyCase(unittest.TestCase):
    def setUp(self):
        self.server = EchoServer()
        self.addCleanup(self.server.close)

    def proxy(self, mode, direction=None, seed=None, **settings):
        """A proxy whose first connection has this mode, and this direction."""
        settings.setdefault("after_bytes_max", 1000)
        if seed is None:
            seed = next(seed for seed in range(1000) if self.fits(seed, mode, direction, settings))
        proxy = FaultyProxy(self.server.address, seed, modes=(mode,), **settings)
        self.addCleanup(proxy.stop)
        return proxy

    @staticmethod
    def fits(seed, mode, direction, settings):
        plan = Settings(modes=(mode,), **settings).plan(seed, 0)
        return direction in (None, plan.direction) and 20 < plan.after_bytes < 900

    def plan(self, proxy):
        proxy.wait_for("connections")
        return proxy.plans[0]


DATA = bytes(range(256)) * 8


class Faults(ProxyCase):
    def test_none_passes_everything_both_ways(self):
        proxy = self.proxy("none")
        data = os.urandom(1 << 20)
        with Client(proxy) as client:
            sender = threading.Thread(target=lambda: (client.send(data), client.end()))
            sender.start()
            self.assertEqual(client.receive_all(), ("end", data))
            sender.join(WAIT_S)
        self.assertEqual(self.server.wait_end(), ("end", data))
        proxy.wait_for("ended")
        counts = {what: count for what, count in proxy.counts.items() if not what.startswith("sends_")}
        self.assertEqual(
            counts,
            {"connections": 1, "ended": 1, "bytes_to_server": len(data), "bytes_to_client": len(data)})

    def test_none_lets_one_side_end_before_the_other(self):
        proxy = self.proxy("none")
        with Client(proxy) as client:
            client.send(b"x")
            client.end()
            self.assertEqual(client.receive_all(), ("end", b"x"))

    def test_none_passes_a_reset_on(self):
        proxy = self.proxy("none")
        with Client(proxy) as client:
            client.send(b"x")
            self.assertEqual(client.receive(1), b"x")
            proxy.cut_all()
            self.assertEqual(client.receive_all(), ("reset", b""))
        self.assertEqual(self.server.wait_end(), ("reset", b"x"))

    def test_cut_rst(self):
        proxy = self.proxy("cut_rst", "to_server")
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive_all()[0], "reset")
        end, data = self.server.wait_end()
        self.assertEqual(end, "reset")
        self.assertTrue(DATA.startswith(data))
        self.assertLessEqual(len(data), self.plan(proxy).after_bytes)
        self.assertEqual(proxy.counts["cut_rst"], 1)
        self.assertEqual(proxy.counts["bytes_to_server"], self.plan(proxy).after_bytes)

    def test_cut_fin(self):
        proxy = self.proxy("cut_fin", "to_server")
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive_all()[0], "end")
        self.assertEqual(self.server.wait_end(), ("end", DATA[: self.plan(proxy).after_bytes]))
        self.assertEqual(proxy.counts["cut_fin"], 1)

    def test_half_close_to_the_server(self):
        """The server sees an end; what it still sends arrives."""
        proxy = self.proxy("half_close", "to_server")
        with Client(proxy) as client:
            client.send(DATA)
            passed = DATA[: self.plan(proxy).after_bytes]
            self.assertEqual(client.receive_all(), ("end", passed))
        self.assertEqual(self.server.wait_end(), ("end", passed))
        self.assertEqual(proxy.counts["half_close"], 1)

    def test_half_close_to_the_client(self):
        """The client sees an end; what it still sends arrives."""
        proxy = self.proxy("half_close", "to_client")
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive_all(), ("end", DATA[: self.plan(proxy).after_bytes]))
            client.send(b"more")
            client.end()
            self.assertEqual(self.server.wait_end(), ("end", DATA + b"more"))

    def test_stall_goes_on(self):
        proxy = self.proxy("stall", "to_client", stall_max_s=1)
        with Client(proxy) as client:
            client.send(DATA)
            plan = self.plan(proxy)
            start = time.monotonic()
            self.assertEqual(client.receive(plan.after_bytes), DATA[: plan.after_bytes])
            self.assertTrue(client.is_silent(plan.duration_s / 4))
            self.assertEqual(client.receive(len(DATA) - plan.after_bytes), DATA[plan.after_bytes :])
            self.assertGreater(time.monotonic() - start, plan.duration_s / 4)
        self.assertEqual(proxy.counts["stall"], 1)

    def test_stall_of_one_direction_leaves_the_other(self):
        proxy = self.proxy("stall", "to_client", stall_max_s=60)
        with Client(proxy) as client:
            client.send(DATA)
            proxy.wait_for("stall")
            client.send(b"more")
            proxy.wait_for("bytes_to_server", len(DATA) + 4)

    def test_stall_cut(self):
        proxy = self.proxy("stall_cut", "to_client", stall_max_s=0.3)
        with Client(proxy) as client:
            client.send(DATA)
            end, data = client.receive_all()
            self.assertEqual(end, "reset")
            self.assertLessEqual(len(data), self.plan(proxy).after_bytes)
        self.assertEqual(self.server.wait_end()[0], "reset")
        self.assertEqual(proxy.counts["stall_cut"], 1)

    def test_fragment(self):
        proxy = self.proxy("fragment", piece_max_bytes=3)
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive(len(DATA)), DATA)
        # What the kernel makes of them on the way to a receiver is its own affair.
        self.assertGreaterEqual(proxy.counts["sends_to_client"], len(DATA) / 3)
        self.assertEqual(proxy.counts["fragment"], 1)

    def test_flip(self):
        for direction in ("to_server", "to_client"):
            proxy = self.proxy("flip", direction)
            with Client(proxy) as client:
                client.send(DATA)
                received = client.receive(len(DATA))
                plan = self.plan(proxy)
                expected = bytearray(DATA)
                expected[plan.after_bytes] ^= 1 << plan.bit
                self.assertEqual(received, expected)
            self.assertEqual(proxy.counts["flip"], 1)
            proxy.wait_for("ended")

    def test_flip_is_caught_by_tls(self):
        """In the middle of a record: a message that was altered is neither taken nor answered."""
        seed = next(seed for seed in range(10000) if self.is_in_a_long_record(Settings(("flip",), 8000).plan(seed, 0)))
        with Server() as server:
            with FaultyProxy(server.address, seed, modes=("flip",), after_bytes_max=8000) as proxy:
                with TlsPeer(proxy.port) as peer, self.assertRaises((ssl.SSLError, ConnectionError)):
                    peer.send(b"m" * 8000)
                    peer.receive_all()
                self.assertEqual(proxy.counts["flip"], 1)
            server.stderr.wait_line(r".*bad record mac.*|.*decryption failed.*|.*altered.*")
            self.assertFalse([line for line in server.stdout.lines if line.startswith("Received")])

    @staticmethod
    def is_in_a_long_record(plan):
        return plan.direction == "to_server" and 4000 < plan.after_bytes < 7000

    def test_delay(self):
        proxy = self.proxy("delay", "to_client", delay_max_s=0.05)
        with Client(proxy) as client:
            for _ in range(5):
                client.send(DATA)
                self.assertEqual(client.receive(len(DATA)), DATA)
        self.assertEqual(proxy.counts["delay"], 1)

    def test_delay_holds_pieces_back(self):
        proxy = self.proxy("delay", "to_client", delay_max_s=60)
        with Client(proxy) as client:
            client.send(b"first")
            self.assertEqual(client.receive(5), b"first")
            proxy.wait_for("delay")
            client.send(b"second")
            proxy.wait_for("bytes_to_server", 11)
            self.assertTrue(client.is_silent(0.1))


class Schedule(ProxyCase):
    def test_a_seed_repeats_and_another_differs(self):
        plans = lambda seed: [Settings().plan(seed, number) for number in range(200)]
        self.assertEqual(plans(1), plans(1))
        self.assertNotEqual(plans(1), plans(2))
        self.assertEqual({plan.mode for plan in plans(1)}, set(MODES))

    def test_places_are_within_their_bounds(self):
        settings = Settings(after_bytes_max=5000, stall_max_s=2)
        plans = [settings.plan(3, number) for number in range(2000)]
        self.assertLess(max(plan.after_bytes for plan in plans), 5001)
        self.assertEqual(min(plan.after_bytes for plan in plans), 0)
        self.assertGreater(max(plan.after_bytes for plan in plans), 4000)
        self.assertTrue(all(0.2 <= plan.duration_s <= 2 for plan in plans))

    def test_an_unknown_mode_is_refused(self):
        with self.assertRaises(ValueError):
            Settings(modes=("cut",))

    def test_many_connections_of_all_modes_end(self):
        proxy = FaultyProxy(self.server.address, 11, after_bytes_max=2000, stall_max_s=0.1)
        self.addCleanup(proxy.stop)

        def play():
            try:
                with Client(proxy) as client:
                    try:
                        client.send(DATA)
                        client.end()
                    finally:
                        client.receive_all()
            except ConnectionError:
                pass  # cut already

        players = [threading.Thread(target=play) for _ in range(60)]
        for player in players:
            player.start()
        for player in players:
            player.join(WAIT_S)
            self.assertFalse(player.is_alive(), proxy.report())
        proxy.wait_for("ended", 60)
        for mode in set(MODES) - {"none"}:
            planned = sum(plan.mode == mode for plan in proxy.plans)
            self.assertGreater(planned, 0, mode)
            self.assertEqual(proxy.counts[mode], planned, f"{mode}\n{proxy.report()}")

    def test_heal(self):
        proxy = self.proxy("cut_rst", "to_server")
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive_all()[0], "reset")
        proxy.heal()
        with Client(proxy) as client:
            client.send(DATA)
            self.assertEqual(client.receive(len(DATA)), DATA)

    def test_a_target_that_is_not_there_and_then_is(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = closed.getsockname()
        with FaultyProxy(address, 1, modes=("none",)) as proxy:
            with self.assertRaises(ConnectionError):  # at once, or when it reads
                with Client(proxy) as client:
                    if client.receive_all() == ("reset", b""):
                        raise ConnectionResetError
            proxy.wait_for("refused")
            proxy.set_target(f"{self.server.address[0]}:{self.server.address[1]}")
            with Client(proxy) as client:
                client.send(b"x")
                self.assertEqual(client.receive(1), b"x")

    def test_stop_leaves_nothing(self):
        descriptors = processes.descriptor_count("self")
        threads = threading.active_count()
        proxy = FaultyProxy(self.server.address, 1, modes=("none",))
        with Client(proxy) as client:
            client.send(b"x")
            self.assertEqual(client.receive(1), b"x")
            proxy.stop()
            self.assertEqual(client.receive_all(), ("reset", b""))
        proxy.stop()
        self.server.wait_end()
        self.assertEqual(processes.descriptor_count("self"), descriptors)
        self.assertEqual(threading.active_count(), threads)

    def test_waiting_in_vain_is_told(self):
        proxy = self.proxy("none")
        with self.assertRaisesRegex(AssertionError, "waiting for 1 flip: time is up; proxy with seed"):
            proxy.wait_for("flip", timeout_s=0.05)


if __name__ == "__main__":
    unittest.main()
