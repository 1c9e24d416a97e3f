"""The units of packaging/systemd: systemd's own tools find nothing wrong, and the programs do their work
with what is left to them under the units' restrictions.

Skipped where systemd's tools are not installed. One case alone:
ctest --preset dev -R 'integration.units.the_server_serves_under_its_unit'
"""

import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import tempfile
import unittest

import admin
import certificates as certs
import certpost_client
import processes
from certpost_server import DEFAULT_REPLY, PROGRAM, Server
from service_manager import Manager
from tls_peers import TlsPeer

SOURCE = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
UNITS = BUILD / "packaging" / "systemd"
USER = "nobody"

# Calls of the server's own list that its unit refuses, and why that is right.
NOT_IN_THE_UNIT = {
    "fchown",  # SQLite, and only as root
    "setrlimit",  # libc uses prlimit64
}


class Unit:
    """A unit file: its settings, in order."""

    def __init__(self, name):
        text = (UNITS / name).read_text(encoding="utf-8")
        self.settings = [line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line)]

    def all(self, key):
        return [value for name, value in self.settings if name == key]

    def one(self, key):
        (value,) = self.all(key)
        return value


def calls_of(name):
    """The calls that an entry of SystemCallFilter= stands for."""
    if not name.startswith("@"):
        return {name}
    status, listed, told = processes.run(["systemd-analyze", "syscall-filter", name])
    if status != 0:
        raise AssertionError(f"systemd-analyze: {told}")
    entries = [line.strip() for line in listed.splitlines()[1:]]
    return set().union(*(calls_of(entry) for entry in entries if entry and not entry.startswith("#")))


def allowed_calls(unit):
    """systemd.exec(5): the first line says that this is a list of what is allowed; ~ takes away again."""
    allowed = calls_of("@default")
    for value in unit.all("SystemCallFilter"):
        calls = set().union(*(calls_of(name) for name in value.lstrip("~").split()))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


class UnitCase(unittest.TestCase):
    def setUp(self):
        processes.need_program("systemd-analyze")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)

    def installed(self):
        """The units with the programs of the build folder in place of those that are to be installed."""
        paths = []
        for path in UNITS.iterdir():
            if path.suffix not in (".service", ".socket", ".path", ".timer"):
                continue
            name = path.name.replace("@.", "@user.")
            text = re.sub(r"(?m)^(Exec\w+)=/\S*/(?=certpost)", rf"\1={BUILD}/bin/", path.read_text())
            (self.folder / name).write_text(text)
            paths.append(self.folder / name)
        return paths

    def analyze(self, *arguments):
        return processes.run(["systemd-analyze", *arguments], environment={"SYSTEMD_LOG_LEVEL": "info"})

    def allowed(self, unit):
        path = self.folder / "calls"
        path.write_text("".join(f"{name}\n" for name in sorted(allowed_calls(unit))))
        return path

    def restricted(self, unit):
        """What stands in front of a program to run it as the unit does, as far as that goes without systemd."""
        if processes.SANITIZER:
            processes.skip("a sanitizer makes calls of its own")
        if os.geteuid() != 0:
            processes.skip("only root can become somebody else")
        user = pwd.getpwnam(USER)
        return [processes.need_program("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--",
                self.copied(BUILD / "tests" / "run_restricted"), self.allowed(unit)]

    def copied(self, program):
        """Where the user of the unit may run it: the build folder can be in somebody's home."""
        copy = self.folder / os.path.basename(program)
        shutil.copy(program, copy)
        copy.chmod(0o755)
        return copy

    def give(self, path, mode):
        user = pwd.getpwnam(USER)
        os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(mode)


class Units(UnitCase):
    def test_systemd_finds_nothing_wrong(self):
        units = self.installed()
        self.assertEqual(len(units), 5)
        self.assertEqual(self.analyze("verify", "--man=no", *units), (0, "", ""))

    def test_exposure_is_low(self):
        for unit in self.installed():
            if unit.suffix != ".service":
                continue
            status, said, _ = self.analyze("security", "--offline=true", "--threshold=15", unit)
            self.assertEqual(status, 0, said)
            self.assertRegex(said, r"Overall exposure level for \S+: [01]\.\d OK")

    def test_what_the_servers_own_sandbox_allows_is_allowed(self):
        source = (SOURCE / "src/server/sandbox_filter.c").read_text(encoding="utf-8")
        names = re.search(r"filter_allowed\[\] = \{(.*?)\};", source, re.S).group(1)
        conditions = re.search(r"filter_conditions\[\] = \{(.*?)\};", source, re.S).group(1)
        own = set(re.findall(r'^\s*"(\w+)",$', names, re.M)) | set(re.findall(r'\{"(\w+)",', conditions))
        self.assertGreater(len(own), 80)
        self.assertEqual(own - allowed_calls(Unit("certpostd.service")), NOT_IN_THE_UNIT)

    def test_the_end_has_the_time_that_it_takes(self):
        unit = Unit("certpostd.service")
        drain_s = int(re.search(r"--drain-timeout DURATION\s.*?\(default:? (\d+)s\)",
                                processes.run([PROGRAM, "--help"])[1], re.S).group(1))
        # The server forces its end after two more seconds.
        self.assertGreater(int(unit.one("TimeoutStopSec")), drain_s + 2)

    def test_the_server_serves_under_its_unit(self):
        unit = Unit("certpostd.service")
        store = self.folder / "state"
        store.mkdir()
        self.give(store, 0o750)
        for name in ("server.crt", "server.key"):
            shutil.copy(certs.path(name), self.folder / name)
            self.give(self.folder / name, 0o400)
        manager = Manager(self.folder / "notify")
        self.addCleanup(manager.close)
        self.give(self.folder / "notify", 0o777)
        with Server("--store", store / "store.db", "--print", "--admin", f"unix:{store}/admin.sock",
                    sandbox=True, prefix=self.restricted(unit), program=self.copied(PROGRAM),
                    cert=self.folder / "server.crt", key=self.folder / "server.key",
                    environment=manager.environment(watchdog_ms=200)) as server:
            # Nothing of its own sandbox is lost to the unit's.
            server.wait_log("sandbox landlock=(abi|.no: switched off|.no: the kernel).* seccomp=yes")
            manager.wait("READY")
            with TlsPeer(server.port) as client:
                client.exchange(b"Hello, server!", DEFAULT_REPLY)
                client.finish()
            server.wait_received("Hello, server!")
            for path in ("/", "/healthz", "/readyz", "/metrics", "/status.json"):
                self.assertEqual(admin.get(f"unix:{store}/admin.sock", path).status, 200, path)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            manager.wait("WATCHDOG")
            fields = processes.status_fields(server.pid)
            self.assertEqual((fields["CapEff"], fields["CapBnd"], fields["NoNewPrivs"]), ("0" * 16, "0" * 16, "1"))

    def test_the_spool_is_delivered_under_its_unit(self):
        unit = Unit("certpost-spool@.service")
        spool = self.folder / "certpost-spool" / USER / "spool"
        spool.parent.mkdir(parents=True)
        ca = self.folder / "ca.crt"
        shutil.copy(certs.path("ca.crt"), ca)
        ca.chmod(0o644)
        command = shlex.split(unit.one("ExecStart").replace("%S", str(self.folder)).replace("%i", USER))
        self.assertEqual(os.path.basename(command[0]), "certpost")
        with Server("--store", self.folder / "store") as server:
            left = certpost_client.run("send", "--spool", spool, "--stream", "s", "-m", "one", "-m", "two",
                                       "--cacert", ca, "--retry-for", "0", "127.0.0.1:1")
            self.assertEqual(left.status, 7, left)
            for path in (spool.parent, *spool.parent.iterdir()):
                self.give(path, 0o700)
            values = {"$CERTPOST_OPTIONS": ["--cacert", ca], "$CERTPOST_HOSTS": [server.address]}
            words = [word for given in command[1:] for word in values.get(given, [given])]
            status, said, told = processes.run(
                [*self.restricted(unit), self.copied(certpost_client.BINARY), *words], environment={"HOME": "/nonexistent"})
            self.assertEqual((status, said), (0, ""), told)
            self.assertEqual(told, "certpost: 2 of 2 messages acknowledged, 0 left in the spool\n")


if __name__ == "__main__":
    unittest.main()
