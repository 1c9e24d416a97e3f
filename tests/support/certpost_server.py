"""certpostd under test: on a free port, with its own certificate, ended cleanly or the test fails.

Used by the server's integration tests and by the client's. The environment variable CERTPOSTD names
another server binary than the one of the build folder, for instance an installed one.
"""

import os
import pathlib
import re
import signal
import sys

import certificates as certs
import processes

PROGRAM = os.environ.get("CERTPOSTD") or str(
    pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "bin" / "certpostd"
)
DEFAULT_REPLY = b"Message received!"
SANITIZER_REPORT = re.compile(rb"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")


# Freed memory that the address sanitizer holds back would count as the server's growth.
SMALL_QUARANTINE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"}


# Who has no right to look into a process that has closed itself cannot count its descriptors; and in a
# sandbox a sanitizer cannot run the program that gives its reports names and lines.
SANDBOX = processes.may_look_inside() and not processes.SANITIZER


class Server(processes.Process):
    """A running certpostd. Leaving the `with` ends it with SIGTERM and expects exit status 0."""

    def __init__(
        self,
        *options,
        listen=("127.0.0.1:0",),
        cert="server.crt",
        key="server.key",
        sandbox=SANDBOX,
        prefix=(),
        **process,
    ):
        arguments = [*prefix, PROGRAM, *([] if sandbox else ["--no-sandbox"])]
        for address in listen:
            arguments += ["--listen", address]
        arguments += ["--cert", certs.path(cert), "--key", certs.path(key), *options]
        super().__init__(arguments, **{"name": "certpostd", **process})
        self.addresses = []  # HOST:PORT of each listener, in the order of its lines
        try:
            for _ in listen:
                line = self.stdout.wait_line(r"Server listening on (\S+)")
                self.addresses.append(line.group(1))
        except AssertionError:
            print(self.report(), file=sys.stderr)
            self.kill()
            raise

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def wait_line(self, pattern, timeout_s=None):
        """Waits for a line of standard output that matches `pattern` as a whole; returns the match."""
        return self.stdout.wait_line(pattern, timeout_s)

    def wait_received(self, text):
        """Waits for `Received: TEXT`, exactly."""
        self.stdout.wait_line(re.escape(f"Received: {text}"))

    def wait_log(self, pattern, timeout_s=None):
        """Waits for a log line that has `pattern` in it, in any case; returns the match of the line."""
        return self.stderr.wait_line(f"(?i:.*(?:{pattern}).*)", timeout_s)

    def received(self):
        """What has been printed as received so far, still escaped, in order."""
        return [line[len("Received: ") :] for line in self.stdout.lines if line.startswith("Received: ")]

    def stop(self, signal_number=signal.SIGTERM, expected_status=0):
        """Ends the server and checks how it ended. A peer that keeps its socket open makes it wait."""
        self.send_signal(signal_number)
        status = self.wait()
        if status != expected_status:
            raise AssertionError(f"certpostd ended with {status}, not {expected_status}\n{self.report()}")
        if SANITIZER_REPORT.search(self.stderr.data):
            raise AssertionError(f"a sanitizer has something to say\n{self.report()}")

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.returncode is None:
                self.stop()
        finally:
            super().__exit__(kind, value, trace)


def run_certpostd(*arguments, **options):
    """Runs certpostd to its end, for starts that must fail; returns (status, stdout, stderr)."""
    return processes.run([PROGRAM, *arguments], **options)
