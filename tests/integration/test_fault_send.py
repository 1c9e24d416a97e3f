"""`certpost send` while calls fail under it: a status that is true, and no message reported that is not there.

The server is an honest one. What the client says to have been acknowledged is compared with what the
server has printed or stored; success (0) needs all of it.
"""

import contextlib
import errno
import os
import re
import socket
import unittest

import certificates as certs
import faults
import processes
from certpost1_peer import StoreFile
from certpost_server import SANITIZER_REPORT, Server
from fault_scenes import POINT_DEADLINE_S, pages
from store_check import StoreCheck

# certpost(1); never 70, a defect of our own, and never a signal.
STATUSES = (0, 2, 6, 7, 28, 35, 58, 60, 65, 71, 74, 75, 76, 77)
LAST_LINE = re.compile(r"certpost: (\d+) of (\d+) messages? acknowledged.*")
POINTS = 8 if processes.SANITIZER else 20
YEAR_S = 365 * 86400


class Client:
    """Runs certpost_faulty with a page, and knows what it said."""

    def __init__(self, page, server):
        self.page = page
        self.server = server

    def run(self, *options, data=b""):
        """(status, acknowledged): what the client ended with, and how many it says were acknowledged."""
        arguments = [
            faults.CLIENT, "send", *options, "--cacert", certs.path("ca.crt"), "--servername", "localhost",
            self.server.address,
        ]
        with processes.Process(arguments, environment=self.page.environment) as process:
            with contextlib.suppress(BrokenPipeError):  # it may have ended by now
                process.write(data)
            process.close_stdin()
            status = process.wait(POINT_DEADLINE_S)
            errors = process.stderr.lines
            if status not in STATUSES or SANITIZER_REPORT.search(process.stderr.data):
                raise AssertionError(f"status {status}\n{process.report()}")
            if status != 0 and not errors:
                raise AssertionError(f"status {status} without a word\n{process.report()}")
            last = LAST_LINE.fullmatch(errors[-1]) if errors else None
            if status == 0 and (last is None or last.group(1) != last.group(2)):
                raise AssertionError(f"status 0\n{process.report()}")
            return status, int(last.group(1)) if last else 0


class Faults(unittest.TestCase):
    def loop(self, page, kind, way, times, name, run):
        """`run(text)` does the scenario once; `text` is another one each time."""
        page.watch(kind)
        self.assertEqual(run("watched")[0], 0)
        page.disarm()
        points = faults.Points(page, kind, POINTS)
        statuses = {}
        for number in points:
            page.arm(kind, number, way, times)
            status, _ = run(f"{kind} {number}")
            points.note(page.disarm())
            statuses[status] = statuses.get(status, 0) + 1
        points.report(self.SCENARIO, f"{name or errno.errorcode.get(way, way)}, statuses {statuses}")


class PlainSend(Faults):
    SCENARIO = "send --plain"

    def _loop(self, kind, way, times=1, name=None):
        acknowledged = []
        with pages() as page, Server() as server:
            client = Client(page, server)

            def run(text):
                status, count = client.run("--plain", "--message", text)
                if count == 1:
                    acknowledged.append(text)
                return status, count

            self.loop(page, kind, way, times, name, run)
            server.stop()
            received = server.received()
        self.assertEqual(len(received), len(set(received)), "a message came twice")
        self.assertEqual([text for text in acknowledged if text not in received], [])

    def test_plain_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_plain_receiving_falls_short(self):
        self._loop("socket_read", faults.SHORT, name="short")

    def test_plain_receiving_is_interrupted(self):
        self._loop("socket_read", errno.EINTR)

    def test_plain_receiving_finds_a_reset(self):
        self._loop("socket_read", errno.ECONNRESET)

    def test_plain_sending_falls_short(self):
        self._loop("socket_write", faults.SHORT, name="short")

    def test_plain_sending_has_no_room(self):
        self._loop("socket_write", errno.EAGAIN)

    def test_plain_sending_finds_a_reset(self):
        self._loop("socket_write", errno.ECONNRESET)

    def test_plain_sockets(self):
        self._loop("socket", errno.ENOBUFS)

    def test_plain_names(self):
        self._loop("name", socket.EAI_AGAIN, name="EAI_AGAIN")

    def test_plain_opening_files(self):
        self._loop("open", errno.EMFILE)

    def test_plain_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR)

    def test_plain_random_numbers(self):
        self._loop("random", errno.EIO)

    def test_plain_calendar_set_forwards(self):
        self._loop("clock_real", 20 * YEAR_S, name="twenty years forwards")

    def test_plain_calendar_set_backwards(self):
        self._loop("clock_real", -YEAR_S, name="a year backwards")

    def test_plain_time_jumps(self):
        self._loop("clock_monotonic", 3600, name="an hour at once")


class SpoolingSend(Faults):
    """Messages go through a spool into a store. After each fault the client runs once more, without one:
    whatever the first run took into its spool is then stored, once and in order."""

    SCENARIO = "send --spool"

    def _loop(self, kind, way, times=1, name=None):
        with pages() as page, StoreFile() as store, StoreFile() as spools:
            with Server("--store", store.path) as server:
                client = Client(page, server)
                claims = {}

                def run(text):
                    stream = text.replace(" ", "-")
                    spool = f"{spools.folder}/{stream}.spool"
                    lines = b"".join(b"%s line %d\n" % (stream.encode(), line) for line in range(3))
                    options = ("--stream", stream, "--spool", spool, "--lines")
                    result = client.run(*options, data=lines)
                    claims[stream] = result[1]
                    page.pause()
                    if not os.path.exists(spool):  # nothing was taken
                        self.assertNotEqual(result[0], 0)
                        return result
                    again = client.run("--stream", stream, "--spool", spool)
                    if again[0] != 0:
                        raise AssertionError(f"{stream}: what is in the spool cannot be sent: {again}")
                    return result

                self.loop(page, kind, way, times, name, run)
            with StoreCheck(store.path) as check:
                check.check()
                for stream, count in claims.items():
                    sent = [f"{stream} line {line}" for line in range(3)]
                    check.check_sent(("", stream), sent, count)

    def test_spool_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_spool_syncing(self):
        self._loop("sync", errno.EIO)

    def test_spool_changing_files_on_a_full_disk(self):
        self._loop("file_change", errno.ENOSPC)

    def test_spool_changing_files_falls_short(self):
        self._loop("file_change", faults.SHORT, name="short")

    def test_spool_reading_files(self):
        self._loop("file_read", errno.EIO)

    def test_spool_locks(self):
        self._loop("file_lock", errno.ENOLCK)

    def test_spool_opening_files(self):
        self._loop("open", errno.EMFILE)

    def test_spool_receiving_finds_a_reset(self):
        self._loop("socket_read", errno.ECONNRESET)

    def test_spool_sending_finds_a_reset(self):
        self._loop("socket_write", errno.ECONNRESET)

    def test_spool_sending_falls_short(self):
        self._loop("socket_write", faults.SHORT, name="short")

    def test_spool_sockets(self):
        self._loop("socket", errno.ENOBUFS)

    def test_spool_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR)


if __name__ == "__main__":
    unittest.main()
