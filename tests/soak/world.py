"""What all parts of a long run share: its clock, its end, its faults, its marks, and who said what.

Also the programs that it starts. Unlike a test's, their output is not kept whole, because a run may
take hours: each line is handed to a function, and only the last lines stay, for a report.
"""

import collections
import os
import random
import select
import shutil
import signal
import subprocess
import threading
import time
import zlib

import certpost_server
import processes

PATIENCE_S = 120 * processes.SCALE  # no wait of an honest part takes that long
LINES_KEPT = 30
FAULTS_PRINTED = 40  # summary.json has all
FILLER = bytes(33 + zlib.crc32(b"%d" % at) % 94 for at in range(1 << 16))


def message(stream, number):
    """Message `number` of a stream, from nothing but that: short mostly, sometimes up to 24 KiB."""
    draw = zlib.crc32(f"{stream}/{number}".encode())
    length = draw % 24576 if draw % 509 == 0 else draw % 160
    start = draw % 40000
    return b"%s %d %s" % (stream.encode(), number, FILLER[start : start + length])


class World:
    def __init__(self, seed, folder):
        self.seed = seed
        self.folder = folder
        self.store = folder / "store.db"
        self.began = time.monotonic()
        self.stopping = threading.Event()
        self.is_full = False  # the store has reached its bound: no new messages
        self.address = None  # of the server; the same for all its lives
        self.life = 0  # number of the server that runs, from 1
        self.is_serving = False
        self._lock = threading.Lock()
        self.faults = []
        self.marks = collections.defaultdict(list)  # kind -> [(begin, end)], seconds since the start
        self.counts = collections.Counter()
        self.offered = {}  # stream of certpost/1 -> messages that were handed to a client
        self.acked = {}  # stream of certpost/1 -> highest number that was acknowledged
        self.plain_acked = {}  # plain connection's label -> replies
        self.disturbances = []  # (begin, end or None): times at which a server may refuse and break off

    def draw(self, name):
        """The random numbers of one part: the same for a seed, whatever the others do."""
        return random.Random(f"{self.seed}/{name}")

    def now(self):
        return time.monotonic() - self.began

    def pause(self, seconds):
        """Paces what is to be done; true when the run is over."""
        return self.stopping.wait(seconds)

    def fault(self, text):
        with self._lock:
            self.faults.append(text)
            if len(self.faults) > FAULTS_PRINTED:
                return
        print(f"FAULT at {self.now():.1f} s: {text}", flush=True)

    def count(self, what, more=1):
        with self._lock:
            self.counts[what] += more

    def mark(self, kind, begin, end=None):
        with self._lock:
            self.marks[kind].append((begin, begin if end is None else end))
            self.counts[kind] += 1

    def ack(self, stream, number):
        """An acknowledgement must never go back, nor cover what was not handed over."""
        with self._lock:
            if number < self.acked.get(stream, 0) or number > self.offered.get(stream, 0):
                self.faults.append(f"{stream}: {number} was acknowledged after {self.acked.get(stream, 0)}, "
                                   f"{self.offered.get(stream, 0)} were sent")
            self.acked[stream] = max(number, self.acked.get(stream, 0))

    def total_acked(self):
        with self._lock:
            return sum(self.acked.values()) + sum(self.plain_acked.values())

    # ---- what excuses a broken connection ----------------------------------------------------------

    def disturb(self):
        """From now on until `calm`, and a little longer, the server may fail honestly."""
        with self._lock:
            self.disturbances.append([self.now(), None])
            return self.disturbances[-1]

    def calm(self, disturbance):
        disturbance[1] = self.now()

    def was_disturbed(self, since, grace_s=10.0):
        """Whether anything between `since` and now was disturbed, or had not recovered yet."""
        with self._lock:
            return any(end is None or end + grace_s >= since for _, end in self.disturbances)


def mortal(arguments):
    """A command that dies with the thread that starts it."""
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *map(str, arguments)]


class Child:
    """A program, its input fed with a deadline, its output read by threads."""

    def __init__(self, arguments, on_line=None, on_error=None):
        self.last_lines = collections.deque(maxlen=LINES_KEPT)
        environment = {name: value for name, value in os.environ.items() if name != "SSLKEYLOGFILE"}
        self._popen = subprocess.Popen(mortal(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, bufsize=0, env=environment)
        self.pid = self._popen.pid
        os.set_blocking(self._popen.stdin.fileno(), False)
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, handler, keeps), daemon=True)
            for pipe, handler, keeps in ((self._popen.stdout, on_line, False), (self._popen.stderr, on_error, True))]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe, handler, keeps):
        with os.fdopen(os.dup(pipe.fileno()), "rb", buffering=1 << 16) as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip("\n")
                if keeps:
                    self.last_lines.append(text[:600])
                if handler:
                    handler(text)

    def feed(self, data, most_s):
        """Writes what it can in `most_s`; returns what is left. A program that has gone takes nothing."""
        deadline = time.monotonic() + most_s
        descriptor = self._popen.stdin.fileno()
        view = memoryview(data)
        while view:
            left = deadline - time.monotonic()
            if not select.select([], [descriptor], [], max(0, left))[1]:
                break
            try:
                view = view[os.write(descriptor, view[: 1 << 14]) :]
            except BlockingIOError:
                if left <= 0:
                    break
            except BrokenPipeError:
                break
        return bytes(view)

    def close_input(self):
        try:
            self._popen.stdin.close()
        except BrokenPipeError:
            pass

    def is_running(self):
        return self._popen.poll() is None

    def signal(self, number):
        if self.is_running():
            os.kill(self.pid, number)

    def wait(self, seconds=PATIENCE_S):
        """The exit status, or None if it does not end in time."""
        try:
            status = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def report(self):
        return "\n    ".join(["", *self.last_lines])


class Server(Child):
    """One life of certpostd."""

    LOG_BYTES_MAX = 64 << 20

    def __init__(self, world, certificates, log, options=()):
        self.world = world
        self._log = log
        self._changed = threading.Condition()
        self.listening = None
        self.reload_lines = collections.deque()
        listen = world.address or "127.0.0.1:0"
        sandbox = [] if certpost_server.SANDBOX else ["--no-sandbox"]
        super().__init__(
            [certpost_server.PROGRAM, *sandbox, "--listen", listen, "--store", world.store, "--cert",
             certificates / "server.crt", "--key", certificates / "server.key", *options],
            on_line=self._on_line, on_error=self._on_error)

    def _on_line(self, line):
        if line.startswith("Server listening on "):
            with self._changed:
                self.listening = line.split()[-1]
                self._changed.notify_all()

    def _on_error(self, line):
        if self._log.tell() < self.LOG_BYTES_MAX:
            self._log.write(line + "\n")
        if " reload failed" in line or line.endswith(" info reloaded"):
            with self._changed:
                self.reload_lines.append(line)
                self._changed.notify_all()
        if certpost_server.SANITIZER_REPORT.search(line.encode()):
            self.world.fault(f"certpostd: {line}")

    def wait_listening(self):
        """Its address; None if it does not come up."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while not self.listening and self.is_running() and time.monotonic() < deadline:
                self._changed.wait(0.05)  # its end is not announced
            return self.listening

    def reload(self):
        """SIGHUP; the line that says how it went, or None."""
        with self._changed:
            self.reload_lines.clear()
            self.signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE_S
            while not self.reload_lines and self.is_running() and time.monotonic() < deadline:
                self._changed.wait(0.05)
            return self.reload_lines.popleft() if self.reload_lines else None
