"""A server with a store while calls fail under it: certpost/1, and what SQLite does below.

For each point: the n-th call of the kind fails while a client sends a stream of three messages. Then the
client comes again until all is acknowledged. At the end the store is read without certpost's own code:
every stream is there whole, in order and once, and every digest that was acknowledged is that of what is
stored.
"""

import errno
import signal
import unittest

import faults
from certpost_server import Server
from fault_scenes import POINT_DEADLINE_S, StoreScene, pages, store_scene
from certpost1_peer import StoreFile

# A store that has failed is opened again after a second.
FAILING_POINTS = 4
DAY_S = 86400
# Each point is a server's start and end.
END_POINTS = faults.DEFAULT_POINTS // 4


class StoreExchange(unittest.TestCase):
    def _loop(self, kind, way, times=1, most=None, name=None):
        with store_scene() as stage:
            stage.complete(stage.attempt("warm-up"))
            stage.page.watch(kind)
            stage.attempt("watched")
            stage.page.disarm()
            points = faults.Points(stage.page, kind, most)
            for number in points:
                stage.page.arm(kind, number, way, times)
                delivery = stage.attempt(f"{kind} {number}")
                points.note(stage.page.disarm())
                stage.complete(delivery)
            points.report("certpost/1 into a store", name or errno.errorcode.get(way, "short"))

    def test_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_memory_for_a_while(self):
        self._loop("memory", errno.ENOMEM, times=20, name="ENOMEM 20 times")

    def test_syncing(self):
        self._loop("sync", errno.EIO, most=FAILING_POINTS)

    def test_changing_files_on_a_full_disk(self):
        self._loop("file_change", errno.ENOSPC, most=FAILING_POINTS)

    def test_changing_files_with_an_error(self):
        self._loop("file_change", errno.EIO, most=FAILING_POINTS)

    def test_changing_files_falls_short(self):
        self._loop("file_change", faults.SHORT)

    def test_changing_files_is_interrupted(self):
        self._loop("file_change", errno.EINTR)

    def test_locks_of_others(self):
        self._loop("file_lock", errno.EAGAIN, most=FAILING_POINTS)

    def test_no_locks(self):
        self._loop("file_lock", errno.ENOLCK, most=FAILING_POINTS)

    def test_status_of_files(self):
        self._loop("file_status", errno.EIO)

    def test_receiving_finds_a_reset(self):
        self._loop("socket_read", errno.ECONNRESET)

    def test_receiving_falls_short(self):
        self._loop("socket_read", faults.SHORT)

    def test_sending_finds_a_reset(self):
        self._loop("socket_write", errno.ECONNRESET)

    def test_sending_falls_short(self):
        self._loop("socket_write", faults.SHORT)

    def test_calendar_set_backwards(self):
        self._loop("clock_real", -DAY_S, name="a day backwards")

    def test_calendar_set_forwards(self):
        self._loop("clock_real", DAY_S, name="a day forwards")


class StoreEnd(unittest.TestCase):
    """From SIGTERM on, with messages stored: the end of a server that closes its store."""

    def _run(self, page, kind, number=0, way=0):
        """Whether the fault has happened; with number 0 it only watches."""
        with StoreFile() as file:
            options = ("--workers", "1", "--store", file.path)
            with Server(*options, program=faults.SERVER, environment=page.environment) as server:
                stage = StoreScene(page, server)
                stage.complete(stage.attempt("stored"))
                if number == 0:
                    page.watch(kind)
                else:
                    page.arm(kind, number, way)
                server.send_signal(signal.SIGTERM)
                status = server.wait(POINT_DEADLINE_S)
                hit = page.disarm()
                self.assertEqual(status, 0, server.report())
            stage.check_store(file.path)
            return hit

    def _loop(self, kind, way):
        with pages() as page:
            self._run(page, kind)
            points = faults.Points(page, kind, END_POINTS)
            for number in points:
                points.note(self._run(page, kind, number, way))
            points.report("end with a store", errno.errorcode[way])

    def test_end_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_end_syncing(self):
        self._loop("sync", errno.EIO)

    def test_end_changing_files(self):
        self._loop("file_change", errno.EIO)

    def test_end_reading_files(self):
        self._loop("file_read", errno.EIO)

    def test_end_locks(self):
        self._loop("file_lock", errno.ENOLCK)


if __name__ == "__main__":
    unittest.main()
