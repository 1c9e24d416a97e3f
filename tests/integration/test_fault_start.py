"""The start of certpostd while calls fail: it serves, or it ends with a status and one line that says why.

A server that serves in spite of the fault must serve indeed: a whole exchange, and an end in order.
"""

import errno
import unittest

import faults
import processes
from certpost_server import Server
from fault_scenes import POINT_DEADLINE_S, Scene, check_failed_start, pages, start_arguments

ENOUGH_DESCRIPTORS = 32
POINTS = 16 if processes.SANITIZER else 32


class Start(unittest.TestCase):
    def _watch(self, page, kind, options):
        page.watch(kind)
        with Server(*Scene.OPTIONS, *options, program=faults.SERVER, environment=page.environment):
            page.disarm()
        return faults.Points(page, kind, POINTS)

    def _start(self, page, options=(), **process_options):
        """Whether the fault has happened, and whether it served."""
        arguments = start_arguments(*options)
        with processes.Process(arguments, environment=page.environment, **process_options) as process:
            output = process.stdout
            output.wait(lambda: output.ended or "Server listening on" in "".join(output.lines), "a start")
            hit = page.disarm()
            line = next(iter(output.lines), "")
            if not line.startswith("Server listening on 127.0.0.1:"):
                check_failed_start(process)
                return hit, False
            process.port = int(line.rpartition(":")[2])
            process.received = lambda: [text[len("Received: "):] for text in output.lines if text.startswith("R")]
            scene = Scene(page, process)
            scene.check_serves("served in spite of it")
            process.send_signal(15)
            self.assertEqual(process.wait(POINT_DEADLINE_S), 0, process.report())
            scene.check_record()
            return hit, True

    def _loop(self, kind, way, options=()):
        with pages() as page:
            points = self._watch(page, kind, options)
            served = 0
            for number in points:
                page.arm(kind, number, way)
                hit, serves = self._start(page, options)
                points.note(hit)
                served += serves
            points.report("start", f"{errno.errorcode[way]} ({served} served)")

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
        self._loop("loop_made", errno.EMFILE)

    def test_descriptors_in_event_loops(self):
        self._loop("loop_add", errno.ENOSPC)

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
        with pages() as page:
            for descriptors in range(4, ENOUGH_DESCRIPTORS + 1):
                if self._start(page, descriptors=descriptors)[1]:
                    served.append(descriptors)
        self.assertEqual(served, list(range(ENOUGH_DESCRIPTORS + 1 - len(served), ENOUGH_DESCRIPTORS + 1)))
        self.assertGreater(len(served), 0)


if __name__ == "__main__":
    unittest.main()
