"""certpostd.socket under systemd itself: the first connection, restarts, names."""

import os
import unittest

from machine import DEADLINE_S, Journal
from machine_case import BY_CREDENTIAL, BY_SOCKET, SERVICE, SOCKET, MachineCase

GATE = "/var/lib/certpost/gate"


class Sockets(MachineCase):
    def listen(self, text=BY_SOCKET):
        self.configure(text)
        self.machine.systemctl("start", SOCKET)

    def test_the_first_connection_starts_the_server(self):
        self.listen()
        self.assertEqual(self.machine.show(SERVICE, "ActiveState"), "inactive")
        self.send("first")
        self.assertEqual(self.machine.show(SERVICE, "ActiveState"), "active")
        self.machine.systemctl("reload", SERVICE)
        self.send("after a reload")
        self.assertEqual(self.stored(), ["first", "after a reload"])

    def test_no_connection_is_refused_while_it_restarts(self):
        self.listen()
        self.send("before")
        gate = self.machine.path(GATE)
        os.mkfifo(gate)
        gate.chmod(0o666)
        # The new server does not begin before somebody has written there.
        self.machine.drop_in(SERVICE, f"[Service]\nExecStartPre=sh -c 'read line <{GATE}'\n")
        with Journal(self.machine, SERVICE) as journal:
            self.machine.systemctl("restart", "--no-block", SERVICE)
            journal.wait(r"Starting certpostd\.service.*")
            self.assertEqual(self.machine.show(SERVICE, "MainPID"), "0")
            self.machine.run("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080")
            with self.machine.start("certpost", "send", "--cacert", "/etc/certpost/ca.crt", "--require", "stored",
                                    "--retry-for", "0", "-m", "meanwhile") as client:
                with open(gate, "w", encoding="ascii") as writer:
                    writer.write("go\n")
                self.assertEqual(client.wait(DEADLINE_S), 0)
        self.assertEqual(self.stored(), ["before", "meanwhile"])

    def test_a_name_that_no_socket_has_is_told_and_not_tried_again(self):
        self.listen(BY_SOCKET.replace("systemd:certpost", "systemd:post"))
        self.assertNotEqual(self.machine.status_of("systemctl", "start", SERVICE), 0)
        self.assertEqual(self.machine.show(SERVICE, "ActiveState", "ExecMainStatus", "NRestarts"), ["failed", "2", "0"])

    def test_a_server_that_listens_by_itself_has_to_end_first(self):
        self.serve(BY_CREDENTIAL)
        self.assertNotEqual(self.machine.status_of("systemctl", "start", SOCKET), 0)
        self.machine.systemctl("stop", SERVICE)
        self.listen()
        self.send("by socket")


if __name__ == "__main__":
    unittest.main()
