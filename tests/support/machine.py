"""A Debian root that systemd-nspawn boots, with systemd as its process 1, for the tests in tests/machine.

scripts/check-service makes the root, with the packages installed and certificates in /root/pki, and names it in
CERTPOST_MACHINE_ROOT. What runs in it has processes, a network (only loopback) and control groups of its own; its
files are the machine's below `root`, but for /run, /tmp and what a unit hides.
"""

import os
import pathlib
import re
import select
import shutil
import signal
import socket
import tempfile
import time

import processes

# Nothing here is about speed: a deadline is for what never comes.
DEADLINE_S = 120
NAME = "certpost-check-service"
# What nspawn does not allow by itself, and certpostd's own sandbox asks for.
LANDLOCK_CALLS = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
ENVIRONMENT = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "DEBIAN_FRONTEND=noninteractive"]


class Failure(AssertionError):
    """A command in the machine that did not end as it should."""


class Machine:
    def __init__(self):
        self.root = pathlib.Path(os.environ["CERTPOST_MACHINE_ROOT"])
        self._nspawn = None
        self._enter = None

    # ---- life --------------------------------------------------------------------------------------

    def boot(self):
        """Boots it, or ends the test as skipped: nothing of certpost has been started by then."""
        with tempfile.TemporaryDirectory() as folder:
            address = os.path.join(folder, "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
                heard.bind(address)
                self._nspawn = processes.Process(
                    [processes.need_program("systemd-nspawn"), f"--directory={self.root}", "--boot",
                     f"--machine={NAME}", "--private-network", "--register=no", "--keep-unit", "--link-journal=no",
                     "--console=pipe", "--kill-signal=SIGRTMIN+3", "--notify-ready=yes",
                     f"--system-call-filter={LANDLOCK_CALLS}"],
                    environment={"NOTIFY_SOCKET": address})
                self._enter = self._wait_ready(heard)
        self.run("systemctl", "is-system-running", "--wait", status=None)

    def _wait_ready(self, heard):
        deadline = time.monotonic() + DEADLINE_S
        leader = None
        while time.monotonic() < deadline and self._nspawn.is_running():
            if not select.select([heard], [], [], 0.1)[0]:
                continue
            text = heard.recv(4096).decode("utf-8", "replace")
            found = re.search(r"^X_NSPAWN_LEADER_PID=(\d+)$", text, re.M)
            leader = found.group(1) if found else leader
            if leader and re.search(r"^READY=1$", text, re.M):
                return ["nsenter", "--target", leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
                        "setpriv", "--pdeathsig", "KILL", "--", "env", "-i", *ENVIRONMENT]
        report = self._nspawn.report()
        self._nspawn.kill()
        processes.skip(f"no machine can be booted here\n{report}")

    def halt(self):
        self._nspawn.send_signal(signal.SIGTERM)
        self._nspawn.wait(DEADLINE_S)
        self._nspawn.kill()

    # ---- commands ----------------------------------------------------------------------------------

    def start(self, *arguments):
        """A command in the machine that goes on; use it in a `with`. Signals get to it only by its end."""
        return processes.Process([*self._enter, *arguments], name=str(arguments[0]))

    def start_outside(self, *arguments):
        """The same with the test's own processes instead of the machine's, so that signals do get to it."""
        enter = [word for word in self._enter if word != "--pid"]
        return processes.Process([*enter, *arguments], name=str(arguments[0]))

    def run(self, *arguments, status=0):
        """Runs a command in the machine; returns what it wrote to both of its outputs."""
        got, said, complained = processes.run([*self._enter, *arguments], timeout_s=DEADLINE_S)
        if status is not None and got != status:
            raise Failure(f"{' '.join(map(str, arguments))}: status {got}\n{said}{complained}")
        return said + complained

    def status_of(self, *arguments):
        return processes.run([*self._enter, *arguments], timeout_s=DEADLINE_S)[0]

    def systemctl(self, *arguments, status=0):
        return self.run("systemctl", *arguments, status=status)

    def show(self, unit, *names):
        """Properties of a unit: one as text, more as a list."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        values = dict(line.split("=", 1) for line in said.splitlines())
        found = [values[name] for name in names]
        return found[0] if len(found) == 1 else found

    def wait_until(self, condition, what):
        """For a change that nobody announces; see processes.wait_until."""
        return processes.wait_until(self._nspawn, condition, what, timeout_s=DEADLINE_S)

    # ---- files -------------------------------------------------------------------------------------

    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def copy(self, source, name, mode=0o644):
        shutil.copyfile(self.path(source), self.path(name))
        self.path(name).chmod(mode)

    def drop_in(self, unit, text):
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def remove_drop_ins(self):
        for folder in self.path("/etc/systemd/system").glob("certpost*.d"):
            shutil.rmtree(folder)
        self.systemctl("daemon-reload")


class Journal:
    """What a unit, and systemd about it, say from here on. Use it in a `with`."""

    def __init__(self, machine, unit):
        last = machine.run("journalctl", "--lines=1", "--show-cursor", "--output=cat")
        cursor = re.search(r"^-- cursor: (\S+)$", last, re.M).group(1)
        self._follower = machine.start("journalctl", "--follow", "--no-tail", "--output=cat", f"--unit={unit}",
                                       f"--after-cursor={cursor}")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._follower.__exit__(kind, value, trace)

    def wait(self, pattern):
        return self._follower.stdout.wait_line(pattern, timeout_s=DEADLINE_S)

    def has(self, pattern):
        """Whether a line that matches has come already."""
        return any(re.fullmatch(pattern, line) for line in self._follower.stdout.lines)
