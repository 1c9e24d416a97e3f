"""The start of certpostd while calls fail: it serves, or it ends with a status and one line that says why.

A server that serves in spite of the fault must serve indeed: a whole exchange, and an end in order.
"""

import errno
import os
import signal
import tempfile
import unittest

import faults
import processes
from certpost_server import Server
from fault_scenes import (
    POINT_DEADLINE_S, Foreign, Scene, check_failed_start, is_foreign_end, pages, start_arguments)
from service_manager import Manager

ENOUGH_DESCRIPTORS = 32
POINTS = 8 if processes.SANITIZER else 24


class Start(unittest.TestCase):
    def setUp(self):
        # What it is told may be lost; never the server for its sake.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.manager = Manager(os.path.join(folder.name, "notify"))
        self.addCleanup(self.manager.close)

    def _environment(self, page):
        return {**page.environment, **self.manager.environment()}

    def _watch(self, page, kind):
        page.watch(kind)
        with Server(*Scene.OPTIONS, program=faults.SERVER, environment=self._environment(page)):
            page.disarm()
        return faults.Points(page, kind, POINTS)

    def _start(self, page, **process_options):
        """Whether the fault has happened, and whether it served."""
        environment = {**self._environment(page), "CERTPOST_FAULT_STACKS": "1"}
        with processes.Process(start_arguments(), environment=environment, **process_options) as process:
            output = process.stdout
            output.wait(lambda: output.ended or "Server listening on" in "".join(output.lines), "a start")
            try:
                return page.disarm(), self._check_start(page, process)
            except (AssertionError, OSError):
                if is_foreign_end(process):
                    raise Foreign from None
                raise

    def _check_start(self, page, process):
        """Whether it serves; then in full, and else with a word why."""
        line = next(iter(process.stdout.lines), "")
        if not line.startswith("Server listening on 127.0.0.1:"):
            check_failed_start(process)
            return False
        process.port = int(line.rpartition(":")[2])
        scene = Scene(page, process)
        scene.check_serves("served in spite of it")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(POINT_DEADLINE_S), 0, process.report())
        scene.check_record()
        return True

    def _loop(self, kind, way, times=1):
        with pages() as page:
            points = self._watch(page, kind)
            served = foreign = 0
            for number in points:
                page.arm(kind, number, way, times)
                try:
                    hit, serves = self._start(page)
                except Foreign:
                    foreign += 1
                    hit, serves = page.disarm(), False
                points.note(hit)
                served += serves
            points.report("start", f"{errno.errorcode[way]} ({served} served, {foreign} ended by a library)")

    def test_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_opening_without_descriptors(self):
        self._loop("open", errno.EMFILE)

    def test_opening_with_an_error(self):
        self._loop("open", errno.EIO)

    def test_reading_files(self):
        self._loop("file_read", errno.EIO)

    def test_status_of_files(self):
        self._loop("file_status", errno.EIO)

    def test_threads(self):
        self._loop("thread", errno.EAGAIN)

    def test_event_loops(self):
        # Who has no descriptors does not get the next one either. libuv's own pipe comes after ours.
        self._loop("loop_made", errno.EMFILE, times=1000)

    def test_descriptors_in_event_loops(self):
        # The two descriptors of each loop's own are added by libuv alone, when the loop first runs.
        self._loop("loop_add", errno.ENOSPC, times=1000)

    def test_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR)

    def test_sockets(self):
        self._loop("socket", errno.ENOBUFS)

    def test_random_numbers(self):
        self._loop("random", errno.EIO)

    def test_output(self):
        self._loop("output", errno.ENOSPC)

    def test_output_is_interrupted(self):
        self._loop("output", errno.EINTR)

    def test_with_few_descriptors(self):
        """No shim: the kernel's own limit, from what no program can start with to what is enough."""
        served = []
        tried = list(range(4, ENOUGH_DESCRIPTORS + 1, 4 if processes.SANITIZER else 1))
        with pages() as page:
            for descriptors in tried:
                if self._start(page, descriptors=descriptors)[1]:
                    served.append(descriptors)
        self.assertGreater(len(served), 0)
        self.assertEqual(served, tried[-len(served) :])


if __name__ == "__main__":
    unittest.main()
