"""certpost-spool@.service with its path and timer under systemd itself."""

import unittest

from machine import Journal
from machine_case import BY_CREDENTIAL, CA, MachineCase

USER = "app"
FOLDER = f"/var/lib/certpost-spool/{USER}"
DELIVERY = f"certpost-spool@{USER}.service"
WATCH = f"certpost-spool@{USER}.path"
TIMER = f"certpost-spool@{USER}.timer"


class Spool(MachineCase):
    def setUp(self):
        super().setUp()
        self.machine.run("install", "-d", "-o", USER, "-m", "0700", FOLDER)
        self.options(f"--cacert {CA}")
        self.machine.drop_in("certpost-spool@.service", "[Service]\nRestartSec=1\n")
        self.machine.drop_in("certpost-spool@.timer", "[Timer]\nRandomizedDelaySec=0\n")

    def options(self, text):
        self.machine.write(f"/etc/certpost/spool/{USER}.conf",
                           f"CERTPOST_HOSTS=127.0.0.1:8080\nCERTPOST_OPTIONS={text}\n")

    def put(self, text):
        """What a program does that must not wait: one attempt, and the rest is the service's."""
        return self.machine.status_of(
            "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "certpost", "send", "--spool",
            f"{FOLDER}/spool", "--stream", "orders", "--retry-for", "0", "--cacert", CA, "-m", text, "127.0.0.1:8080")

    def test_what_a_program_leaves_is_delivered_when_the_server_is_back(self):
        self.machine.systemctl("start", WATCH, TIMER)
        with Journal(self.machine, DELIVERY) as journal:
            self.assertEqual(self.put("order 1"), 7)
            journal.wait(r"certpost: 0 of 1 messages acknowledged, 1 left in the spool")
            journal.wait(r".*: Scheduled restart job, restart counter is at 1\.")
            self.serve(BY_CREDENTIAL)
            journal.wait(r"certpost: 1 of 1 messages acknowledged, 0 left in the spool")
            journal.wait(r".*: Deactivated successfully\.")
            self.assertEqual(self.stored(), ["order 1"])
            self.assertEqual(self.machine.show(WATCH, "ActiveState", "SubState"), ["active", "waiting"])
            # And the next one, after a server that went and came.
            self.machine.systemctl("stop", "certpostd.service")
            self.assertEqual(self.put("order 2"), 7)
            journal.wait(r".*: Scheduled restart job, restart counter is at 1\.")
            self.machine.systemctl("start", "certpostd.service")
            journal.wait(r"certpost: 1 of 1 messages acknowledged, 0 left in the spool")
        self.assertEqual(self.stored(), ["order 1", "order 2"])

    def test_the_timer_finds_what_was_there_before(self):
        self.assertEqual(self.put("order 1"), 7)
        self.serve(BY_CREDENTIAL)
        with Journal(self.machine, DELIVERY) as journal:
            self.machine.systemctl("start", TIMER)  # due since the machine booted
            journal.wait(r"certpost: 1 of 1 messages acknowledged, 0 left in the spool")
        self.assertEqual(self.stored(), ["order 1"])

    def test_what_time_does_not_cure_is_not_tried_again(self):
        self.assertEqual(self.put("order 1"), 7)
        self.options("--cacert /etc/certpost/not-there.crt")
        with Journal(self.machine, DELIVERY) as journal:
            self.machine.systemctl("start", DELIVERY)
            journal.wait(r".*: Failed with result 'exit-code'\.")
        self.assertEqual(self.machine.show(DELIVERY, "ActiveState", "ExecMainStatus", "NRestarts"),
                         ["failed", "77", "0"])


if __name__ == "__main__":
    unittest.main()
