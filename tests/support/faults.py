"""Calls that fail: certpostd_faulty and certpost_faulty, and the page of memory that steers them.

The programs are the real ones with tests/support/fault_shim.h linked in. A Page arms one kind of call,
from any moment on, while the program runs: the n-th of them fails in one way. `Points` says which n to
try, and sees to it that something was tried at all.

Not every n of thousands is another case: most allocations of a TLS handshake fail in the same way as
their neighbour. A first run without a fault notes the stack of each call; what is tried is the first
call of each stack, thinned evenly where those are too many. CERTPOST_FAULT_POINTS is the number to try
per test; "all" tries every n.
"""

import mmap
import os
import pathlib
import struct

import processes

BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "bin"
SERVER = str(BINARY_DIR / "certpostd_faulty")
CLIENT = str(BINARY_DIR / "certpost_faulty")

KINDS = (
    "none memory growth socket_read socket_write accept open file_read file_change sync file_lock file_map "
    "file_status output random thread loop_made loop_add wait wake socket name clock_real clock_monotonic"
).split()
SHORT = 0  # in place of an errno: less is done than was asked for
TRACE_MAX = 1 << 18
FIELDS = "kind first last way count hits trace real_s monotonic_s".split()
HEADER_BYTES = 256
FIELD_BYTES = 8

WANTED = os.environ.get("CERTPOST_FAULT_POINTS", "")
DEFAULT_POINTS = 12 if processes.SANITIZER else 32


class Page:
    """What a program under test and the test have in common; see struct fault_page."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "faults")
        size = HEADER_BYTES + TRACE_MAX * 4
        with open(self.path, "wb") as file:
            file.truncate(size)
        with open(self.path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)
        self._kind = None

    @property
    def environment(self):
        return {"CERTPOST_FAULT_PAGE": self.path}

    def _put(self, field, value):
        struct.pack_into("=q", self._memory, FIELDS.index(field) * FIELD_BYTES, value)

    def _get(self, field):
        return struct.unpack_from("=q", self._memory, FIELDS.index(field) * FIELD_BYTES)[0]

    def arm(self, kind, number, way, times=1, trace=False):
        """From now on calls of the kind are counted; the number-th fails, and the times - 1 after it."""
        self._put("kind", 0)
        self._put("count", 0)
        self._put("hits", 0)
        self._put("first", number)
        self._put("last", number + times - 1)
        self._put("way", way)
        self._put("trace", trace)
        self._kind = kind
        self._put("kind", KINDS.index(kind))

    def watch(self, kind):
        """Counts, and notes stacks; nothing fails."""
        self.arm(kind, 1, 0, times=0, trace=True)

    def disarm(self):
        """No more faults. Returns whether there was one. The calendar is right again."""
        self._put("kind", 0)
        self._put("real_s", 0)
        return self._get("hits") > 0

    def pause(self):
        """No more faults; what was counted so far stays to be asked for."""
        self._put("kind", 0)

    def set_calendar(self, forwards_s):
        """Sets the calendar's clock, until `disarm`."""
        self._put("real_s", forwards_s)

    def pass_time(self, seconds):
        """Sets the monotonic clock forwards, for good. Who waits for a time notices at its next wake-up."""
        self._put("monotonic_s", self._get("monotonic_s") + seconds)

    @property
    def count(self):
        """Calls of the kind since it was armed."""
        return self._get("count")

    def stacks(self):
        """Of the calls that were watched: {hash of the stack: number of its first call}. A stack has
        the same hash in each run of a program."""
        count = min(self.count, TRACE_MAX)
        hashes = struct.unpack_from(f"={count}I", self._memory, HEADER_BYTES)
        seen = {}
        for number, value in enumerate(hashes, 1):
            seen.setdefault(value, number)
        return seen

    def close(self):
        self._memory.close()


class Points:
    """Which calls of one kind to make fail in one scenario, and the record of what came of it."""

    def __init__(self, page, kind, most=None, known=()):
        """To be made after a watched run of the scenario. Stacks that are `known` from a run of another
        are not tried again."""
        self.kind = kind
        self.total = page.count
        self.tried = 0
        self.hit = 0
        self._last_hit = True
        stacks = [number for value, number in page.stacks().items() if value not in known]
        self.stacks = len(stacks)
        most = int(WANTED) if WANTED.isdigit() else most or DEFAULT_POINTS
        self._every = not known and (WANTED == "all" or self.total <= most)
        self._numbers = self._thin(stacks, most)

    @staticmethod
    def _thin(numbers, most):
        if len(numbers) <= most:
            return numbers
        return [numbers[index * len(numbers) // most] for index in range(most)]

    def _every_number(self):
        """1, 2, 3 … until a fault does not happen any more: there are no more calls than that. Threads
        take turns differently each time, so one that is missed among those that were counted is no end."""
        number = 0
        while number < self.total or (self._last_hit and number < 2 * self.total):
            number += 1
            yield number

    def __iter__(self):
        for number in self._every_number() if self._every else self._numbers:
            self.tried += 1
            yield number

    def note(self, hit):
        """To be told after each point whether its fault has happened."""
        self._last_hit = hit
        self.hit += hit

    def report(self, scenario, way):
        """One line for the log of the test; fails where nothing was made to fail."""
        print(
            f"fault points: {scenario} {self.kind} {way}: {self.total} calls, {self.stacks} stacks, "
            f"{self.tried} tried, {self.hit} hit",
            flush=True,
        )
        if self.hit == 0:
            raise AssertionError(f"{scenario} {self.kind}: none of {self.tried} faults has happened")
