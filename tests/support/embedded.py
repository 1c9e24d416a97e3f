"""A program with servers in it (embedded_driver), led line by line. Leaving the `with` frees all of them,
and expects that the program then ends well and without a sanitizer's report."""

import os
import pathlib
import re

import certificates as certs
import processes
from certpost_server import SANITIZER_REPORT

SANITIZER_THREADS = 1 if "thread" in (processes.SANITIZER or "") else 0
BINARIES = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])


class Failed(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class Host(processes.Process):
    def __init__(self, **process):
        super().__init__([BINARIES / "tests" / "embedded_driver"], **process)
        self.slots = set()

    def tell(self, line):
        """Without waiting for the answer, which `hear` brings."""
        self.write(line.encode() + b"\n")

    def hear(self, timeout_s=None):
        """The answer to the oldest line that has none yet."""
        found = self.stdout.wait_line(r"ok (.*)|failed (\S+) (.*)", timeout_s)
        if found.group(2) is not None:
            raise Failed(found.group(2), found.group(3))
        return found.group(1)

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def new(self, slot=0, *options, cert="server.crt", key="server.key"):
        """A server that is not started; options are "NAME VALUE"."""
        self.ask(f"new {slot}")
        self.slots.add(slot)
        for option in (f"cert {certs.path(cert)}", f"key {certs.path(key)}", "listen 127.0.0.1:0", *options):
            self.ask(f"set {slot} {option}")

    def start(self, slot=0):
        """Starts it; returns its port."""
        return int(self.ask(f"start {slot}").rpartition(":")[2])

    def serve(self, *options, slot=0):
        self.new(slot, *options)
        return self.start(slot)

    def wait_seen(self, pattern, slot=0):
        """Waits until the handler has seen a message: IDENTITY STREAM SEQ TEXT, as a pattern."""
        return self.stdout.wait_line(f"saw {slot} {pattern}")

    def seen(self):
        """The texts of all messages that the handlers have seen by now."""
        self.ask("signals")  # what was printed before has come then
        return [line.split(" ", 5)[5] for line in self.stdout.lines if line.startswith("saw ")]

    def server_threads(self):
        """Those that are not the program's own; the thread sanitizer has one that looks like a server's."""
        return {int(name) for name in os.listdir(f"/proc/{self.pid}/task")} - {self.pid}

    def wait_alone(self):
        """Waits until the servers have no thread left; the kernel shows an ended one a moment longer."""
        processes.wait_until(self, lambda: len(self.server_threads()) <= SANITIZER_THREADS, "the end of all threads")

    def finish(self):
        for slot in sorted(self.slots):
            self.ask(f"free {slot}")
        self.close_stdin()
        status = self.wait()
        if status != 0 or SANITIZER_REPORT.search(self.stderr.data):
            raise AssertionError(f"status {status}\n{self.report()}")

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.returncode is None:
                self.finish()
        finally:
            super().__exit__(kind, value, trace)


def signals_blocked(pid, thread):
    """The set of signal numbers that a thread blocks."""
    mask = int(processes.status_fields(pid, thread)["SigBlk"], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def saw(identity, stream, seq, text):
    """The pattern of wait_seen for exactly this message."""
    return " ".join(re.escape(str(part)) for part in (identity or "-", stream, seq, text))
