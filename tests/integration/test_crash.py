"""certpostd and certpost killed at random moments, and a network that does what networks do.

Whatever is killed or cut, and how often: at the end the store holds every line once, in order and
unaltered, and at no time less than what a client has said was acknowledged. The seed is printed, and
CERTPOST_TEST_SEED repeats it as far as the schedulers allow.

One case alone: ctest --preset dev -R 'integration.crash.server_is_killed_under_load'
"""

import contextlib
import json
import os
import random
import sqlite3
import tempfile
import unittest

import certificates as certs
import certpost_client
import processes
import stream_load
from faulty_proxy import MODES, FaultyProxy
from store_check import StoreCheck
from stream_load import Lines, LineSender, StoringServer, Tally

CLIENTS = 8
KILLS = 20 if processes.SANITIZER else 50  # a server with a sanitizer takes long to start
CUTS = 25
CHECK_EVERY = 10
EVENTS_MAX = 150  # acknowledgements or lines between two strikes
FAULTS = tuple(mode for mode in MODES if mode != "none")


class CrashCase(unittest.TestCase):
    reconnects = 1  # how many connections each strike is followed by, at least

    def setUp(self):
        self.seed = stream_load.pick_seed()
        self.draw = random.Random(self.seed)
        self.tally = Tally()
        self.post = StoringServer()
        self.addCleanup(self.post.close)
        self.address = self.post.address
        self.senders = []
        self.proxy = None

    def start_proxy(self):
        """From now on between all senders and the server."""
        self.proxy = FaultyProxy(self.post.address, self.seed, modes=FAULTS, after_bytes_max=1 << 18, stall_max_s=0.2)
        self.addCleanup(self.proxy.stop)
        self.address = self.proxy.address

    def start_senders(self, count):
        for number in range(count):
            sender = LineSender(self.tally, Lines(self.seed, f"s{number}"), self.address)
            self.addCleanup(sender.close)
            self.senders.append(sender)

    def wait_random_moment(self, *also):
        """Some strike while all goes well, some just after an acknowledgement, some during the return."""
        what = self.draw.choice(("acked", "fed", "fed", "connected", "nothing", *also))
        if what == "connected":
            self.tally.wait_more("connected", self.draw.randint(1, self.reconnects))
        elif what != "nothing":
            self.tally.wait_more(what, self.draw.randint(1, EVENTS_MAX))
        self.tally.mark()

    def kill_server(self, check=False):
        self.post.kill()
        said = {sender.name: sender.acked for sender in self.senders}
        if check:
            self.post.check_copy(lambda store: self.check_store(store, said))
        self.post.start()

    def check_store(self, store, said):
        """`said`: how many of each stream are acknowledged; None: all that were sent."""
        store.check()
        for sender in self.senders:
            store.check_sent(("", sender.name), sender.lines.made, said[sender.name] if said else None)

    def end_senders(self):
        """No more lines: what was fed must be acknowledged, and each client ends with 0."""
        if self.proxy is not None:
            self.proxy.heal()
        for sender in self.senders:
            sender.end_input()
        for sender in self.senders:
            sender.finish()
            self.assertEqual((sender.acked, sender.done["acked"]), (sender.fed, sender.fed))
            del sender.lines.made[sender.fed:]

    def check_end(self):
        if self.proxy is not None:
            self.proxy.stop()
            print(self.proxy.report())
        print(f"{self.post.starts} starts of the server, {self.tally.counts}", flush=True)
        self.post.server.stop()
        with StoreCheck(self.post.store) as store:
            self.assertEqual(set(store.keys), {("", sender.name) for sender in self.senders})
            self.check_store(store, None)
        stream_load.verify(self.post.store)


class SpoolingClient:
    """A stream whose client is killed and started again on the same spool."""

    def __init__(self, case, name):
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        self.case = case
        self.lines = Lines(case.seed, name)
        self.name = name
        self.spool = os.path.join(folder.name, "spool")
        self.fed = 0  # the highest number that was ever written to a client
        self.acked = 0
        self.safe = 0  # the highest number that was said to be in the spool
        self.kills = 0
        self.sender = None

    def start(self):
        self.sender = LineSender(self.case.tally, self.lines, self.case.address, spool=self.spool, acked=self.acked)
        self.case.addCleanup(self.sender.close)

    def kill(self):
        """What it has said is remembered; what it has not is found out by the next."""
        self.sender.kill()
        self.kills += 1
        self._learn(self.sender.first_spooled, self.sender.spooled)
        self.acked = max(self.acked, self.sender.acked)
        self.fed = max(self.fed, self.sender.fed)

    def restart(self):
        self.kill()
        self.start()

    def _learn(self, first, last):
        """The first thing that a client says is what it has found in the spool."""
        if first is None:
            return
        self.case.assertLessEqual(self.safe, first, "what was in the spool has gone")
        self.case.assertLessEqual(first, self.fed, "the spool has what it was never given")
        self.safe = last

    def drain(self):
        """A run without input delivers what is left, and leaves the spool empty."""
        status, said, complained = processes.run(
            [certpost_client.BINARY, "send", "--json", "--cacert", certs.path("ca.crt"), "--servername", "localhost",
             "--retry-for", stream_load.RETRY_FOR, "--spool", self.spool, self.case.address],
            stream_load.PATIENCE_S, environment={"SSLKEYLOGFILE": ""})
        self.case.assertEqual(status, 0, complained)
        events = [json.loads(line) for line in said.splitlines()]
        found = [event["seq"] for event in events if event["event"] == "spooled"]
        self._learn(found[0], found[-1])
        self.case.assertEqual(events[-1]["spooled"], 0)
        self.case.assertEqual(len(set(found)), 1)
        self.acked = self.safe
        del self.lines.made[self.safe:]
        with contextlib.closing(sqlite3.connect(self.spool)) as database:
            self.case.assertEqual(database.execute("SELECT count(*) FROM messages").fetchone(), (0,))


class Network(CrashCase):
    """A proxy between the clients and the server does to each connection what a network may do."""

    def test_network_of_senders_is_faulty(self):
        self.reconnects = CLIENTS // 2
        self.start_proxy()
        self.start_senders(CLIENTS)
        cuts = 0
        while cuts < CUTS or self.missing_faults():
            self.wait_random_moment()
            self.proxy.cut_all()
            cuts += 1
        self.end_senders()
        self.check_end()

    def test_network_of_a_spooling_client_is_faulty(self):
        self.start_proxy()
        client = SpoolingClient(self, "spooled")
        for _ in range(CUTS):
            client.start()
            self.wait_random_moment("spooled")
            self.proxy.cut_all()
            self.wait_random_moment("spooled")
            client.kill()
        self.proxy.heal()
        client.drain()
        self.senders.append(client)
        self.check_end()

    def missing_faults(self):
        return [mode for mode in FAULTS if self.proxy.counts[mode] == 0]


class Everything(CrashCase):
    def test_server_clients_and_network_all_fail(self):
        """The server is killed, the network cut, and spooling clients killed, in any order."""
        self.start_proxy()
        self.start_senders(CLIENTS - 2)
        clients = [SpoolingClient(self, f"spooled{number}") for number in range(2)]
        for client in clients:
            client.start()
        for _ in range(CUTS):
            self.wait_random_moment("spooled")
            self.draw.choice((self.kill_server, self.proxy.cut_all, *(client.restart for client in clients)))()
        self.end_senders()
        for client in clients:
            client.kill()
            client.drain()
        self.senders += clients
        self.check_end()


class Kill(CrashCase):
    def test_server_is_killed_under_load(self):
        self.reconnects = CLIENTS // 2
        self.start_senders(CLIENTS)
        for number in range(1, KILLS + 1):
            self.wait_random_moment()
            self.kill_server(check=number % CHECK_EVERY == 0)
        self.end_senders()
        self.check_end()
        self.assertEqual(self.post.starts, KILLS + 1)
        self.assertGreater(self.tally.get("disconnected"), KILLS)

    def test_spooling_client_is_killed_while_it_is_fed(self):
        client = SpoolingClient(self, "spooled")
        for _ in range(KILLS):
            client.start()
            self.wait_random_moment("spooled")
            client.kill()
        client.drain()
        self.senders.append(client)
        self.check_end()
        self.assertGreater(client.safe, KILLS)
        print(f"{client.safe} lines, {client.kills} kills")


if __name__ == "__main__":
    unittest.main()
