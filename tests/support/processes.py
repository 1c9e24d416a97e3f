"""Programs under test: started, listened to, and ended without a trace.

Used by all integration tests. Waiting here always means waiting for an event (bytes from a pipe, the
end of a process) with a deadline; nothing sleeps, nothing is tried again. What was started is ended
by its own process id, and dies with the test should the test be killed.
"""

import errno
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

SANITIZER = os.environ.get("CERTPOST_SANITIZE", "")
# Sanitizers cost a factor of two to four, and a factor more of memory.
SCALE = 4 if SANITIZER else 1
DEADLINE_S = 30 * SCALE

SKIPPED_STATUS = 77  # what ctest's SKIP_RETURN_CODE is set to
REPORT_LINES = 60


def skip(reason):
    """Ends the test as skipped, loudly; before anything has been started."""
    print(f"SKIPPED: {reason}", flush=True)
    sys.stdout.flush()
    os._exit(SKIPPED_STATUS)


def allow_descriptors(count):
    """Raises this process's own limit, which the server inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        skip(f"needs {count} descriptors, the hard limit is {hard}")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def need_localhost():
    """A machine without /etc/hosts, such as a fresh root, may not know the name."""
    try:
        socket.getaddrinfo("localhost", None)
    except OSError:
        skip("the name localhost has no address on this machine")


def need_program(name):
    """The path of a program, or a skipped test."""
    path = shutil.which(name)
    if path is None:
        skip(f"{name} is not installed")
    return path


def show(data):
    """Bytes for a person: what is not printable ASCII is escaped."""
    return data.decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii")


class Output:
    """All that one pipe has brought. A thread reads it, so that the writer never has to wait."""

    def __init__(self, pipe, name):
        self.name = name
        self.data = bytearray()
        self.ended = False
        self._lines = []  # text of each complete line
        self._unclaimed = []  # those that wait_line has not handed out
        self._rest = b""
        self._changed = threading.Condition()
        self._pipe = pipe
        self._may_read = threading.Event()
        self._may_read.set()
        self._abandon_read, self._abandon_write = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            ready = select.select([self._pipe, self._abandon_read], [], [])[0]
            if self._abandon_read in ready:
                return
            self._may_read.wait()
            piece = os.read(self._pipe.fileno(), 1 << 16)
            with self._changed:
                self.data += piece
                self.ended = not piece
                *lines, self._rest = (self._rest + piece).split(b"\n")
                texts = [line.decode("utf-8", "surrogateescape") for line in lines]
                self._lines += texts
                self._unclaimed += texts
                self._changed.notify_all()
            if not piece:
                return

    @property
    def lines(self):
        with self._changed:
            return list(self._lines)

    def wait(self, condition, what, timeout_s=None):
        """Waits until condition() is true and returns its value; it is asked at each arrival."""
        deadline = time.monotonic() + (timeout_s or DEADLINE_S)
        with self._changed:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "it ended" if self.ended else "time is up"
                    raise AssertionError(f"{self.name}: waiting for {what}: {why}; {self.tail()}")
                self._changed.wait(left)

    def wait_line(self, pattern, timeout_s=None):
        """Waits for a line that matches as a whole; each line is handed out once."""
        matcher = re.compile(pattern)

        def claim():
            for index, line in enumerate(self._unclaimed):
                match = matcher.fullmatch(line)
                if match:
                    del self._unclaimed[index]
                    return match
            return None

        return self.wait(claim, f"a line like {pattern!r}", timeout_s)

    def follow(self, timeout_s=None):
        """All lines that nobody has claimed, as they come, until the end; each may take `timeout_s`."""
        while True:
            try:
                self.wait(lambda: self._unclaimed, "a line", timeout_s)
            except AssertionError:
                if not self.ended:
                    raise
            with self._changed:
                lines, self._unclaimed = self._unclaimed, []
            if not lines:
                return
            yield from lines

    def wait_bytes(self, wanted, count=1, timeout_s=None):
        """Waits until the bytes `wanted` have come `count` times."""
        self.wait(lambda: self.data.count(wanted) >= count, f"{count} times {wanted!r}", timeout_s)

    def wait_end(self, timeout_s=None):
        """Waits until the other end of the pipe is closed; returns all that has come."""
        self.wait(lambda: self.ended, "its end", timeout_s)
        return bytes(self.data)

    def stays_silent(self, interval_s):
        """Waits for bytes that must not come: the one wait here whose time runs out when all is well."""
        with self._changed:
            before = len(self.data)
            came = self._changed.wait_for(lambda: len(self.data) > before, interval_s)
        if came:
            raise AssertionError(f"{self.name}: not silent; {self.tail()}")

    def settle(self, quiet_s):
        """Returns when nothing has come for `quiet_s`: what was under way has arrived."""
        deadline = time.monotonic() + DEADLINE_S
        with self._changed:
            while self._changed.wait(quiet_s):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{self.name}: never quiet; {self.tail()}")

    def pause(self, most_s):
        """Returns at the next arrival, or after `most_s`; for `wait_until` only."""
        with self._changed:
            self._changed.wait(most_s)

    def tail(self):
        """The last lines, for a report."""
        lines = bytes(self.data).split(b"\n")[-REPORT_LINES:]
        shown = "\n".join(f"    {show(line)[:400]}" for line in lines)
        return f"{self.name} said ({len(self.data)} bytes):\n{shown}"

    def hold(self):
        """Stops reading, so that the pipe fills up; `release` reads on."""
        self._may_read.clear()

    def release(self):
        self._may_read.set()

    def abandon(self):
        """Takes the reader away: the program's next write here fails (EPIPE)."""
        os.write(self._abandon_write, b"x")
        self._thread.join(DEADLINE_S)
        self._pipe.close()
        self.ended = True

    def close(self):
        """To be called when the writer has gone, and with it all that it could still write."""
        self.release()
        self._thread.join(DEADLINE_S)
        self._pipe.close()
        os.close(self._abandon_read)
        os.close(self._abandon_write)


class Process:
    """A program under test. Use it in a `with`: leaving it kills the program if it still runs."""

    def __init__(self, arguments, name=None, environment=None, cwd=None, without_capabilities=(), descriptors=None,
                 passed=()):
        self.name = name or os.path.basename(str(arguments[0]))
        self.returncode = None
        self._popen = subprocess.Popen(
            [*self._wrapper(without_capabilities, descriptors), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            cwd=cwd,
            pass_fds=passed,
            bufsize=0,
        )
        self.pid = self._popen.pid
        self._ended = os.pidfd_open(self.pid)
        os.set_blocking(self._popen.stdin.fileno(), False)
        self.stdout = Output(self._popen.stdout, f"{self.name} stdout")
        self.stderr = Output(self._popen.stderr, f"{self.name} stderr")

    @staticmethod
    def _wrapper(without_capabilities, descriptors):
        """setpriv becomes the program (same process id), which then dies together with the test."""
        limited = []
        if descriptors is not None:
            limited = [need_program("prlimit"), f"--nofile={descriptors}:{descriptors}", "--"]
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            return limited
        wrapper = [setpriv, "--pdeathsig", "KILL"]
        if without_capabilities and os.geteuid() == 0:
            wrapper += ["--bounding-set", ",".join(f"-{name}" for name in without_capabilities)]
        return [*wrapper, "--", *limited]

    def write(self, data, timeout_s=None):
        """Writes all of `data` to standard input."""
        descriptor = self._popen.stdin.fileno()
        deadline = time.monotonic() + (timeout_s or DEADLINE_S)
        view = memoryview(data)
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [descriptor], [], left)[1]:
                raise AssertionError(f"{self.name} does not read its input\n{self.report()}")
            view = view[os.write(descriptor, view[: select.PIPE_BUF]) :]

    def close_stdin(self):
        self._popen.stdin.close()

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def is_running(self):
        return self.returncode is None and not select.select([self._ended], [], [], 0)[0]

    def wait(self, timeout_s=None):
        """Waits for the end of the process and of its output; returns the exit status."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout_s or DEADLINE_S)[0]:
                raise AssertionError(f"{self.name} does not end\n{self.report()}")
            self.returncode = self._popen.wait()
            self.stdout.wait_end()
            self.stderr.wait_end()
        return self.returncode

    def report(self):
        status = "running" if self.returncode is None else f"status {self.returncode}"
        return f"{self.name} ({status})\n  {self.stdout.tail()}\n  {self.stderr.tail()}"

    def kill(self):
        """Ends the process, whatever its state, and releases all that belongs to it."""
        if self._ended is None:
            return
        if self.returncode is None:
            if self.is_running():
                os.kill(self.pid, signal.SIGKILL)
            self.returncode = self._popen.wait()
        try:
            self._popen.stdin.close()
        except OSError as failure:  # unflushed input for a program that has gone
            if failure.errno != errno.EPIPE:
                raise
        self.stdout.close()
        self.stderr.close()
        os.close(self._ended)
        self._ended = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.report(), file=sys.stderr, flush=True)
        self.kill()


def run(arguments, timeout_s=None, **options):
    """Runs a program with no input to its end; returns (status, standard output, standard error)."""
    with Process(arguments, **options) as process:
        process.close_stdin()
        status = process.wait(timeout_s)
        return status, bytes(process.stdout.data).decode(), bytes(process.stderr.data).decode()


# ---- what the kernel knows about a process ---------------------------------------------------------


def status_fields(pid, thread=None):
    """The lines of /proc/PID/status, or of one of its threads, as a dictionary."""
    path = f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status"
    with open(path, encoding="utf-8", errors="replace") as status:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in status)}


def of_session(session):
    """The live processes of a session: field 6 of stat, counted behind the name's last bracket."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text(errors="replace").rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def may_look_inside():
    """Whether this test may see the descriptors and the memory of a process that is not dumpable."""
    cap_sys_ptrace = 19
    return bool(int(status_fields("self")["CapEff"], 16) >> cap_sys_ptrace & 1)


def descriptor_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid):
    """Memory that the process holds now; from smaps_rollup, because statm is only roughly right."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("smaps_rollup has no Rss line")


def cpu_ticks(pid):
    """Processor time in clock ticks (10 ms), user and system, of all threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        # The program's name, in parentheses, may hold anything: count from its end.
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wakeups(pid):
    """How often the threads of the process have gone to sleep; a thread that runs on counts nothing."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total


def wait_until(process, condition, what, timeout_s=None):
    """Waits for a change that the kernel does not announce, such as a descriptor of another process
    being closed: looks again whenever the process writes something, and every 20 ms."""
    deadline = time.monotonic() + (timeout_s or DEADLINE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline or not process.is_running():
            raise AssertionError(f"waiting for {what}: time is up\n{process.report()}")
        process.stderr.pause(0.02)
