"""certpostd.service under systemd itself: start, reload, watchdog, crash, end, keys."""

import os
import signal
import time
import unittest

from machine import DEADLINE_S, Journal
from machine_case import BY_CREDENTIAL, BY_FILE, CA, CONF, SERVICE, STORE, MachineCase

USAGE, OWN_CERTIFICATE = "2", "58"


class Start(MachineCase):
    def test_it_has_started_when_it_serves(self):
        self.let_the_group_read_the_key()
        self.serve(BY_FILE)
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "SubState", "StatusText"),
                         ["active", "running", "Serving: 0 connections, 0 messages"])
        self.send("first")
        self.assertEqual(self.stored(), ["first"])
        self.assertEqual(self.machine.run("stat", "--format=%U %a", "/var/lib/certpost", STORE).split("\n"),
                         ["certpost 750", "certpost 600", ""])
        self.assertIn('Status: "Serving: ', self.machine.systemctl("status", SERVICE))

    def test_a_key_that_it_may_not_read_is_told_and_not_tried_again(self):
        self.configure(BY_FILE)
        with Journal(self.machine, SERVICE) as journal:
            self.assertNotEqual(self.machine.status_of("systemctl", "start", SERVICE), 0)
            journal.wait(r"certpostd: cannot open the private key /etc/certpost/server\.key: Permission denied")
            journal.wait(r"certpostd\.service: Failed with result 'exit-code'\.")
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "ExecMainStatus", "NRestarts"),
                         ["failed", OWN_CERTIFICATE, "0"])

    def test_a_wrong_configuration_is_not_tried_again(self):
        self.configure("lisssten = :8080\n")
        self.assertNotEqual(self.machine.status_of("systemctl", "start", SERVICE), 0)
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "ExecMainStatus", "NRestarts"),
                         ["failed", USAGE, "0"])

    def test_a_credential_is_a_key_that_root_alone_can_read(self):
        self.serve()
        self.send("by credential")
        self.assertNotEqual(self.machine.status_of("setpriv", "--reuid=certpost", "--regid=certpost", "--clear-groups",
                                                   "cat", "/etc/certpost/server.key"), 0)
        self.machine.systemctl("reload", SERVICE)
        self.send("after a reload")
        self.assertEqual(self.stored(), ["by credential", "after a reload"])

    def test_a_start_is_never_cut_short(self):
        self.assertEqual(self.machine.show(SERVICE, "TimeoutStartUSec"), "infinity")

    def test_the_sandbox_of_the_server_fits_into_that_of_the_unit(self):
        with Journal(self.machine, SERVICE) as journal:
            self.serve()
            journal.wait(r"sandbox landlock=(abi\d+|\"no: .*(supported|implemented|enabled).*\") seccomp=yes")
        said = self.machine.run("systemd-analyze", "security", "--threshold=15", SERVICE)
        self.assertRegex(said, r"Overall exposure level for certpostd\.service: [01]\.\d OK")


class Reload(MachineCase):
    def test_it_ends_when_the_new_certificate_is_served(self):
        self.let_the_group_read_the_key()
        self.serve(BY_FILE)
        before = self.machine.show(SERVICE, "MainPID")
        self.machine.copy("/root/pki/newer/server.crt", "/etc/certpost/server.crt")
        self.machine.path("/etc/certpost/server.key").write_bytes(
            self.machine.path("/root/pki/newer/server.key").read_bytes())
        self.machine.copy("/root/pki/newer/ca.crt", CA)  # the old one is not trusted any more
        self.machine.systemctl("reload", SERVICE)
        self.send("under the new one")
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "MainPID"), ["active", before])

    def test_one_that_is_refused_fails_and_the_service_stays(self):
        self.serve()
        before = self.machine.show(SERVICE, "MainPID")
        good = self.machine.path(CONF).read_text()
        self.configure(good + "lisssten = :8081\n")
        with Journal(self.machine, SERVICE) as journal:
            self.assertNotEqual(self.machine.status_of("systemctl", "reload", SERVICE), 0)
            journal.wait(r"reload failed, nothing has changed reason=.*unknown key lisssten.*")
        # Told after the line in the log, and not awaited by a command that has failed before.
        line = "Serving: 0 connections, 0 messages; the last reload failed, nothing has changed"
        self.machine.wait_until(lambda: self.machine.show(SERVICE, "StatusText") == line, "the status line")
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "SubState", "MainPID"), ["active", "running", before])
        self.send("still there")
        self.configure(good)
        self.machine.systemctl("reload", SERVICE)
        self.assertNotIn("failed", self.machine.show(SERVICE, "StatusText"))


class Restart(MachineCase):
    def test_one_that_stands_still_is_ended_and_started_again(self):
        self.machine.drop_in(SERVICE, "[Service]\nWatchdogSec=3\nRestartSec=100ms\n")
        self.serve()
        self.send("before")
        before = self.machine.show(SERVICE, "MainPID")
        with Journal(self.machine, SERVICE) as journal:
            self.machine.systemctl("kill", "--signal=STOP", SERVICE)
            journal.wait(r"certpostd\.service: Watchdog timeout .*")
            journal.wait(r"Started certpostd\.service.*")
        self.assertNotEqual(self.machine.show(SERVICE, "MainPID"), before)
        self.send("after")
        self.assertEqual(self.stored(), ["before", "after"])

    def test_one_that_is_killed_is_started_again(self):
        self.machine.drop_in(SERVICE, "[Service]\nRestartSec=100ms\n")
        self.serve()
        self.send("before")
        with Journal(self.machine, SERVICE) as journal:
            self.machine.systemctl("kill", "--signal=KILL", SERVICE)
            journal.wait(r"Started certpostd\.service.*")
        self.send("after")
        self.assertEqual(self.stored(), ["before", "after"])
        self.machine.run("certpost", "verify", STORE)


class Stop(MachineCase):
    def connected_client(self):
        """A client that has sent a message, and stands still with its connection."""
        lines = self.machine.path("/root/lines")
        self.addCleanup(lines.unlink)
        os.mkfifo(lines)
        writer = os.open(lines, os.O_RDWR)
        self.addCleanup(os.close, writer)
        client = self.machine.start_outside(
            "sh", "-c", f"exec certpost send --cacert {CA} --lines --json --retry-for 0 </root/lines")
        self.addCleanup(client.kill)
        os.write(writer, b"held\n")
        client.stdout.wait_line(r'\{"event":"acked",.*', timeout_s=DEADLINE_S)
        return client

    def test_a_client_that_does_not_go_has_the_drain_timeout(self):
        # systemd would kill the server after a second, but for what the server asks for.
        self.machine.drop_in(SERVICE, "[Service]\nTimeoutStopSec=1\n")
        self.serve(f"{BY_CREDENTIAL}drain-timeout = 4s\n")
        client = self.connected_client()
        client.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        with Journal(self.machine, SERVICE) as journal:
            self.machine.systemctl("stop", SERVICE)
            journal.wait(r"certpostd\.service: Deactivated successfully\.")
            self.assertTrue(journal.has(r"connections cut at the end of the drain timeout connections=1"))
        self.assertGreater(time.monotonic() - started, 3)
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "Result"), ["inactive", "success"])
        self.assertEqual(self.stored(), ["held"])


if __name__ == "__main__":
    unittest.main()
