"""`certpost send -l --json` under load, and what kills, cuts and restarts around it must not change.

A `LineSender` feeds numbered lines to its client, as many as the window lets it be ahead of the
acknowledgements, until it is told to end: so it is still sending whenever the last fault strikes,
however fast or slow the machine. A `Tally` counts what all of them do and lets a test strike after a
random number of such events, which spreads the moments over the whole run.
"""

import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import threading

import certificates as certs
import certpost_client
import processes
from certpost_server import Server
from store_check import StoreCheck

PATIENCE_S = 4 * processes.DEADLINE_S
RETRY_FOR = f"{PATIENCE_S}s"
AHEAD_LINES = 200
BURST_LINES_MAX = 60
LINE_MAX_BYTES = 600

_addresses = itertools.count()


def pick_seed():
    """A new seed for each run, or that of the environment; shown, so that a run can be repeated as
    far as the schedulers of the machine allow."""
    seed = int(os.environ.get("CERTPOST_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"CERTPOST_TEST_SEED={seed}", flush=True)
    return seed


def own_address():
    """An address that no other test uses: a port of it stays free while the server is down."""
    number = os.getpid() * 8 + next(_addresses)
    return f"127.{64 + (number >> 14) % 128}.{(number >> 7) % 128}.{1 + number % 128}"


class Tally:
    """Counts of what happened, by name, and of all together."""

    def __init__(self):
        self.counts = {}
        self._changed = threading.Condition()
        self._failure = None
        self._marked = {}

    def add(self, name, more=1):
        with self._changed:
            self.counts[name] = self.counts.get(name, 0) + more
            self._changed.notify_all()

    def get(self, name):
        with self._changed:
            return self.counts.get(name, 0)

    def mark(self):
        """To be called before what is waited for can happen, however slow the test itself is."""
        with self._changed:
            self._marked = dict(self.counts)

    def fail(self, failure):
        """Whoever waits must not wait for a thread that has died."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def check(self):
        if self._failure is not None:
            raise AssertionError("a thread of the test failed") from self._failure

    def wait(self, condition, what):
        with self._changed:
            come = self._changed.wait_for(lambda: self._failure is not None or condition(), PATIENCE_S)
            found = dict(self.counts)
        self.check()
        if not come:
            raise AssertionError(f"waiting for {what}: time is up; {found}")

    def wait_more(self, name, more):
        """Until `name` has happened so many times since the last mark, or a client has given up."""
        wanted, failed = self._marked.get(name, 0) + more, self._marked.get("failed", 0)
        self.wait(lambda: self.counts.get(name, 0) >= wanted or self.counts.get("failed", 0) > failed,
                  f"{more} more of {name}")


class Lines:
    """The lines of one stream: the n-th depends on the seed, the name and n alone."""

    def __init__(self, seed, name):
        self.name = name
        self._draw = random.Random(f"{seed}/{name}")
        self.made = []

    def get(self, number):
        """Line `number`, the first being 1."""
        while len(self.made) < number:
            length = int(LINE_MAX_BYTES ** self._draw.random())
            self.made.append(b"%s %d " % (self.name.encode(), len(self.made) + 1) + b"x" * length)
        return self.made[number - 1]


class LineSender:
    """One client, its feeder and the reader of its events; a thread each for the latter two.

    With `spool` the lines begin behind those that the client finds in it. `acked` is what an earlier
    client of the stream has said.
    """

    def __init__(self, tally, lines, address, *options, spool=None, acked=0):
        self.tally = tally
        self.lines = lines
        self.name = lines.name
        self.fed = 0  # lines that were written to the pipe, by this run and others; a killed client may
        self.acked = acked  # not have read them. Highest number that a client said is acknowledged,
        self.first_spooled = self.spooled = None  # and is safe in the spool
        self.done = None
        self.events = []  # those that are rare
        self._burst = random.Random(f"{lines.name}/{acked}")
        self._room = threading.Condition()
        self._ending = self._killed = False
        self.process = processes.Process(
            [certpost_client.BINARY, "send", "-l", "--json", "--cacert", certs.path("ca.crt"), "--servername",
             "localhost", "--stream", self.name, "--retry-for", RETRY_FOR, *(["--spool", spool] if spool else []),
             *options, address],
            name=f"certpost {self.name}", environment={"SSLKEYLOGFILE": ""})
        self._is_spooling = spool is not None
        self._may_feed = not self._is_spooling
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                         for work in (self._feed, self._follow)]
        for thread in self._threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except Exception as failure:  # told by whoever waits for the tally
            self.tally.fail(failure)

    def _has_room(self):
        return self._may_feed and self.fed - self.acked < AHEAD_LINES

    def _feed(self):
        while True:
            with self._room:
                self._room.wait_for(lambda: self._ending or self._has_room())
                if self._ending:
                    break
            count = self._burst.randint(1, BURST_LINES_MAX)
            numbers = range(self.fed + 1, self.fed + 1 + count)
            self.fed += count
            try:
                self.process.write(b"".join(self.lines.get(number) + b"\n" for number in numbers), PATIENCE_S)
            except BrokenPipeError:  # it was killed
                return
            self.tally.add("fed", count)
        self.process.close_stdin()

    def _follow(self):
        for line in self.process.stdout.follow(PATIENCE_S):
            self._take(json.loads(line))
        if not (self._ending or self._killed or self._may_end()):
            raise AssertionError(f"{self.name} has ended\n{self.process.report()}")

    def _may_end(self):
        """A client that was never connected takes three damaged handshakes in a row for settings that
        differ. With a spool nothing is lost, and the next one goes on."""
        kinds = [event["event"] for event in self.events]
        return self._is_spooling and kinds[-1:] == ["failed"] and "connected" not in kinds and (
            self.events[-1]["status"] == "handshake")

    def _take(self, event):
        kind = event["event"]
        if kind == "acked":
            more = event["seq"] - self.acked
            with self._room:
                self.acked = event["seq"]
                self._room.notify_all()
            self.tally.add("acked", more)
            return
        if kind == "spooled":
            self._take_spooled(event["seq"])
        elif kind == "done":
            self.done = event
        else:
            self.events.append(event)
        self.tally.add(kind)

    def _take_spooled(self, seq):
        with self._room:
            if not self._may_feed:
                self.fed = self.first_spooled = seq
            self.spooled = seq
            self._may_feed = True
            self._room.notify_all()

    def end_input(self):
        with self._room:
            self._ending = True
            self._room.notify_all()

    def finish(self):
        """No line follows; the client must deliver all and end well."""
        self.end_input()
        status = self.process.wait(PATIENCE_S)
        self.join()
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status}; {self.events[-10:]}\n{self.process.report()}")

    def kill(self):
        """SIGKILL; everything that the client had said before is known when this returns."""
        self._killed = True
        self.process.send_signal(signal.SIGKILL)
        self.end_input()
        self.process.wait(PATIENCE_S)
        self.join()
        self.process.kill()

    def join(self):
        for thread in self._threads:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                raise AssertionError(f"{self.name}: a thread hangs\n{self.process.report()}")

    def close(self):
        self._killed = True
        self.end_input()
        self.process.kill()


class StoringServer:
    """certpostd with a store, on one address from start to start."""

    def __init__(self, *options, store=None, **process):
        self._folder = tempfile.mkdtemp()
        self.store = store or os.path.join(self._folder, "store.db")
        self._options = options
        self._process = process
        self.starts = 0
        self.server = None
        self.address = f"{own_address()}:0"
        self.start()
        self.address = self.server.address

    def start(self):
        self.server = Server("--store", self.store, *self._options, listen=(self.address,), **self._process)
        self.starts += 1

    def kill(self):
        """SIGKILL."""
        self.server.kill()

    def check_copy(self, check):
        """Calls check(StoreCheck) on a copy of the dead server's files, so that looking changes nothing."""
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("", "-wal"):
                if os.path.exists(self.store + suffix):
                    shutil.copy(self.store + suffix, os.path.join(folder, "copy" + suffix))
            with StoreCheck(pathlib.Path(folder, "copy")) as store:
                check(store)

    def close(self):
        self.server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def verify(store):
    """`certpost verify` finds nothing wrong."""
    status, said, complained = processes.run([certpost_client.BINARY, "verify", store], PATIENCE_S)
    if status != 0:
        raise AssertionError(f"certpost verify ended with {status}\n{said}\n{complained}")
