"""The packages while systemd runs: an upgrade below a running server, removal, purge."""

import shutil
import unittest

import processes
from machine_case import (BY_CREDENTIAL, BY_SOCKET, CERTPOST_UNITS, CONF, PACKAGES, SERVICE, SOCKET, STORE,
                          MachineCase)

NEWER = "/root/newer"
WATCH = "certpost-spool@app.path"
NAMES = ("certpost", "certpostd", "libcertpost0")


class Packages(MachineCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.install, PACKAGES)

    def install(self, folder):
        self.machine.run("sh", "-c", f"exec dpkg --force-downgrade --force-confold --force-confmiss --install "
                                     f"{folder}/*.deb")

    def host(self, *arguments):
        status, _, complained = processes.run(arguments)
        self.assertEqual(status, 0, complained)

    def make_newer(self):
        """The same packages under a higher number; the unit has another description."""
        folder = self.machine.path(NEWER)
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        for name in NAMES:
            (package,) = self.machine.path(PACKAGES).glob(f"{name}_*.deb")
            tree = folder / name
            self.host("dpkg-deb", "--raw-extract", package, tree)
            control = tree / "DEBIAN" / "control"
            control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9999:"))
            unit = tree / "lib" / "systemd" / "system" / SERVICE
            unit = unit if unit.exists() else tree / "usr" / unit.relative_to(tree)
            if unit.exists():
                unit.write_text(unit.read_text().replace("Description=", "Description=newer "))
            self.host("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, f"{folder}/{name}.deb")

    def test_an_upgrade_restarts_the_server_and_keeps_what_is_the_users(self):
        self.make_newer()
        self.serve(BY_CREDENTIAL + "# mine\n")
        self.machine.systemctl("start", WATCH)
        self.send("before")
        before = self.machine.show(SERVICE, "MainPID")
        self.install(NEWER)
        state, process, description = self.machine.show(SERVICE, "ActiveState", "MainPID", "Description")
        self.assertEqual(state, "active")
        self.assertNotEqual(process, before)
        self.assertRegex(description, "^newer certpost server")
        self.assertEqual(self.machine.path(CONF).read_text(), BY_CREDENTIAL + "# mine\n")
        self.send("after")
        self.assertEqual(self.stored(), ["before", "after"])
        self.assertEqual(self.machine.show(WATCH, "ActiveState", "NeedDaemonReload"), ["active", "no"])

    def test_an_upgrade_starts_nothing_that_did_not_run(self):
        self.make_newer()
        self.install(NEWER)
        self.assertEqual(self.machine.show(SERVICE, "ActiveState"), "inactive")

    def test_removal_ends_everything_and_a_purge_leaves_messages_alone(self):
        self.configure(BY_SOCKET)
        self.machine.systemctl("enable", SERVICE, WATCH)
        self.machine.systemctl("enable", "--now", SOCKET)
        self.machine.systemctl("start", WATCH)
        self.send("kept")
        self.machine.run("dpkg", "--remove", "certpostd", "certpost")
        listed = self.machine.systemctl("list-units", "--plain", "--no-legend", *CERTPOST_UNITS)
        self.assertEqual(listed, "")
        self.assertNotEqual(self.machine.status_of("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080"), 0)
        self.assertTrue(self.machine.path(CONF).exists())
        self.assertTrue(self.links())
        self.machine.run("dpkg", "--purge", "certpostd", "certpost")
        self.assertFalse(self.machine.path(CONF).exists())
        self.assertEqual(self.links(), [])
        self.assertTrue(self.machine.path(STORE).exists())

    def links(self):
        return list(self.machine.path("/etc/systemd/system").glob("*.wants/certpost*"))


if __name__ == "__main__":
    unittest.main()
