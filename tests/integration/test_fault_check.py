"""`certpost check` while calls fail under it: it ends with a status and words, and never says that all
holds when it has not seen that.
"""

import errno
import socket
import unittest

import certificates as certs
import faults
import processes
from certpost_server import SANITIZER_REPORT, Server
from fault_scenes import POINT_DEADLINE_S, pages

# certpost(1); never 70, a defect of our own, and never a signal. 2: without memory OpenSSL may say that it
# knows no cipher.
STATUSES = (0, 2, 6, 7, 28, 35, 58, 60, 65, 74, 75, 76, 77)
POINTS = 6 if processes.SANITIZER else 15
# What is there when all holds, whatever could not be had on the way.
LAYERS = ("tcp", "tls", "chain", "name", "expiry", "alpn", "server", "time")


class FaultyCheck(unittest.TestCase):
    def run_once(self, page, server):
        command = [faults.CLIENT, "check", "--cacert", certs.path("ca.crt"), "--connect-timeout", "5s", server.address]
        with processes.Process(command, environment=page.environment) as process:
            status = process.wait(POINT_DEADLINE_S)
            lines, errors = process.stdout.lines, process.stderr.lines
            if status not in STATUSES or SANITIZER_REPORT.search(process.stderr.data):
                raise AssertionError(f"status {status}\n{process.report()}")
            failed = any(line.startswith("FAIL") for line in lines)
            if (status == 0 and failed) or (status != 0 and not failed and not errors):
                raise AssertionError(f"status {status}\n{process.report()}")
            seen = {line.split()[1] for line in lines if not line.startswith("-")}
            if status == 0 and not seen.issuperset(LAYERS):
                raise AssertionError(f"status 0 without {set(LAYERS) - seen}\n{process.report()}")
        return status

    def loop(self, kind, way, times=1, name=None):
        with pages() as page, Server("--no-print") as server:
            page.watch(kind)
            self.assertEqual(self.run_once(page, server), 0)
            page.disarm()
            points = faults.Points(page, kind, POINTS)
            statuses = {}
            for number in points:
                page.arm(kind, number, way, times)
                status = self.run_once(page, server)
                points.note(page.disarm())
                statuses[status] = statuses.get(status, 0) + 1
            points.report("check", f"{name or errno.errorcode.get(way, way)}, statuses {statuses}")

    def test_memory(self):
        self.loop("memory", errno.ENOMEM)

    def test_receiving_falls_short(self):
        self.loop("socket_read", faults.SHORT, name="short")

    def test_receiving_finds_a_reset(self):
        self.loop("socket_read", errno.ECONNRESET)

    def test_sending_finds_a_reset(self):
        self.loop("socket_write", errno.ECONNRESET)

    def test_sockets(self):
        self.loop("socket", errno.ENOBUFS)

    def test_names(self):
        self.loop("name", socket.EAI_AGAIN, name="EAI_AGAIN")

    def test_opening_files(self):
        self.loop("open", errno.EMFILE)

    def test_waiting_is_interrupted(self):
        self.loop("wait", errno.EINTR)

    def test_random_numbers(self):
        self.loop("random", errno.EIO)


if __name__ == "__main__":
    unittest.main()
