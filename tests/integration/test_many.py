"""Very many clients at once on two workers; then, what an idle server costs, and what it gives back.

One case alone: ctest --preset dev -R 'integration.many.thousand_clients'
"""

import collections
import unittest

import processes
import swarm
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server
from tls_peers import TlsPeer

CLIENTS = 1000
MESSAGES_EACH = 100
# The load proper, twice; then more connections, so that what each leaves behind adds up.
LOADS = (MESSAGES_EACH, MESSAGES_EACH, 1, 1)
WARM_UP_CLIENTS = 20
MEBIBYTE = 1 << 20
# A buffer or an arena of the allocator may be new in one load or another, but what is lost with each
# connection grows in every one of them: 1 KiB for each of 1,000 is over the first bound.
LEAK_BYTES = MEBIBYTE // 2 * (8 if processes.SANITIZER else 1)
GROWTH_BYTES = 8 * MEBIBYTE * (8 if processes.SANITIZER else 1)
IDLE_S = 2.0


class Many(unittest.TestCase):
    def _load(self, server, clients, messages_each, descriptors):
        """One load; while all are connected, the server has a descriptor for each."""

        def look():
            processes.wait_until(
                server,
                lambda: processes.descriptor_count(server.pid) == descriptors + clients,
                f"{clients} connections",
            )

        return swarm.run(server, clients, messages_each, DEFAULT_REPLY, look)

    def _check_received(self, messages):
        """Every message of every client, once per load, each client's in its order."""
        expected = [number for messages_each in LOADS for number in range(messages_each)]
        of_client = collections.defaultdict(list)
        for message in messages:
            client, number = message.removeprefix("client ").split(" message ")
            of_client[int(client)].append(int(number))
        self.assertEqual(sorted(of_client), list(range(CLIENTS)))
        for client, numbers in of_client.items():
            self.assertEqual(numbers, expected, f"client {client}")

    def test_thousand_clients(self):
        """1,000 × 100 messages, and again: no error, none lost, none doubled, nothing kept."""
        processes.allow_descriptors(4 * CLIENTS)
        with Server("--workers", "2", environment=SMALL_QUARANTINE) as server:
            settled = self._settled_descriptors(server)
            resident = []
            for messages_each in LOADS:
                took_s = self._load(server, CLIENTS, messages_each, settled)
                self._wait_descriptors(server, settled)
                resident.append(processes.resident_bytes(server.pid))
                print(f"{CLIENTS * messages_each / took_s:.0f} messages/s, resident {resident[-1]} bytes")
            steps = [after - before for before, after in zip(resident, resident[1:])]
            self.assertLess(min(steps), LEAK_BYTES, steps)
            self.assertLess(sum(steps), GROWTH_BYTES, steps)
            server.stop()
            self._check_received(server.received()[WARM_UP_CLIENTS:])

    def _settled_descriptors(self, server):
        """The descriptors of a server that serves nobody, after each of its workers has served: a
        loop of libuv opens one for itself with its first connection."""
        peers = [TlsPeer(server.port) for _ in range(WARM_UP_CLIENTS)]
        for peer in peers:
            peer.exchange(b"warm-up", DEFAULT_REPLY)
        settled = processes.descriptor_count(server.pid) - WARM_UP_CLIENTS
        for peer in peers:
            peer.finish()
        self._wait_descriptors(server, settled)
        return settled

    def _wait_descriptors(self, server, count):
        processes.wait_until(
            server, lambda: processes.descriptor_count(server.pid) == count, f"{count} descriptors"
        )

    def _check_idle(self, server):
        server.stdout.settle(IDLE_S / 4)
        ticks, wakeups = processes.cpu_ticks(server.pid), processes.wakeups(server.pid)
        # Nothing must come: the wait is for time to pass in which the server does nothing.
        server.stdout.stays_silent(IDLE_S)
        self.assertLessEqual(processes.cpu_ticks(server.pid) - ticks, 1)
        if not processes.SANITIZER:  # some sanitizers have a thread of their own
            self.assertEqual(processes.wakeups(server.pid) - wakeups, 0)

    def test_idle_before_the_first_client(self):
        with Server("--workers", "2") as server:
            self._check_idle(server)

    def test_idle_with_clients_connected(self):
        with Server("--workers", "2") as server:
            peers = [TlsPeer(server.port) for _ in range(20)]
            self._check_idle(server)
            for peer in peers:
                peer.exchange(b"awake", DEFAULT_REPLY)
                peer.finish()
                peer.socket.close()

    def test_idle_after_the_last_client(self):
        with Server("--workers", "2") as server:
            settled = self._settled_descriptors(server)
            swarm.run(server, 100, 10, DEFAULT_REPLY)
            self._wait_descriptors(server, settled)
            self._check_idle(server)
