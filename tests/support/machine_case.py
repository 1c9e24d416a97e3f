"""What the tests in tests/machine have in common: one machine for a file, left as it was found by each test."""

import shutil
import unittest

from machine import Machine

SERVICE = "certpostd.service"
SOCKET = "certpostd.socket"
CONF = "/etc/certpost/certpostd.conf"
STORE = "/var/lib/certpost/store.db"
CA = "/etc/certpost/ca.crt"
PACKAGES = "/root/packages"
CERTPOST_UNITS = (SOCKET, SERVICE, "certpost-spool@*.path", "certpost-spool@*.timer", "certpost-spool@*.service")

BY_FILE = f"listen = 127.0.0.1:8080\ncert = /etc/certpost/server.crt\nkey = /etc/certpost/server.key\nstore = {STORE}\n"
BY_CREDENTIAL = f"listen = :8080\ncert = credential:server.crt\nkey = credential:server.key\nstore = {STORE}\n"
BY_SOCKET = BY_CREDENTIAL.replace(":8080", "systemd:certpost")


class MachineCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Machine()
        cls.machine.boot()
        cls.addClassCleanup(cls.machine.halt)

    def setUp(self):
        self.addCleanup(self.tidy_up)
        self.machine.copy("/root/pki/ca.crt", CA)
        self.machine.copy("/root/pki/server.crt", "/etc/certpost/server.crt")
        self.machine.copy("/root/pki/server.key", "/etc/certpost/server.key", 0o600)

    def tidy_up(self):
        self.machine.systemctl("stop", *CERTPOST_UNITS)
        self.machine.remove_drop_ins()
        self.machine.systemctl("reset-failed")
        for name in ("/var/lib/certpost", "/var/lib/certpost-spool"):
            for path in self.machine.path(name).glob("*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    # ---- a server --------------------------------------------------------------------------------------

    def configure(self, text):
        self.machine.write(CONF, text)

    def let_the_group_read_the_key(self):
        self.machine.run("chgrp", "certpost", "/etc/certpost/server.key")
        self.machine.run("chmod", "640", "/etc/certpost/server.key")

    def serve(self, text=BY_CREDENTIAL):
        self.configure(text)
        self.machine.systemctl("start", SERVICE)

    def send(self, text, *options):
        said = self.machine.run("certpost", "send", "--cacert", CA, "--require", "stored", *options, "-m", text)
        self.assertIn("Message received!", said)

    def stored(self):
        """What is in the store; each message is a line."""
        said = self.machine.run("certpost", "read", STORE)
        return [line.split("\t")[-1] for line in said.splitlines()]
