"""The admin endpoint while calls fail: at its start, and while it answers.

A start is all or nothing: with an endpoint that answers, or not at all. A request has the whole answer, an
error, or an end; and whatever became of it, the next one is answered and the server serves.
"""

import errno
import signal
import unittest

import admin
import faults
import processes
from certpost_server import SANITIZER_REPORT, Server
from fault_scenes import (
    POINT_DEADLINE_S, Scene, check_failed_start, is_foreign_end, pages, scene, start_arguments)
from stream_load import own_address

LISTENING = "Server listening on 127.0.0.1:"
START_POINTS = 6 if processes.SANITIZER else 12
REQUEST_POINTS = 12 if processes.SANITIZER else 40
FAILED = "The server could not make this answer.\n"


def ask(at):
    """The status of one request, or None where it came to an end without an answer."""
    try:
        with admin.connect(at, POINT_DEADLINE_S) as connection:
            connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
            data = admin.read_all(connection)
    except TimeoutError as late:
        raise AssertionError("neither an answer nor an end") from late
    except OSError:
        return None
    if b"\r\n\r\n" not in data:
        return None
    answer = admin.Answer(data)
    if len(answer.body) != int(answer.headers["content-length"]):
        return None  # the connection broke: a scraper sees that it is not whole
    if answer.status == 200:
        check_whole(answer.text)
    elif (answer.status, answer.text) != (500, FAILED):
        raise AssertionError(f"status {answer.status}: {answer.text}")
    return answer.status


def check_whole(text):
    """From the first metric to the last, each line whole."""
    lines = text.split("\n")
    if not (lines[0].startswith("# HELP certpost_build_info ") and lines[-1] == ""
            and lines[-2].startswith("certpost_reloads_total{")):
        raise AssertionError(f"not all of the metrics:\n{text}")


class Start(unittest.TestCase):
    """Each fault is one that a start without the endpoint does not have."""

    def setUp(self):
        self.at = f"{own_address()}:9180"
        self.options = ("--admin", self.at)

    @staticmethod
    def _stacks_without_it(page, kind):
        """Of a whole life, so that all threads have come by."""
        page.watch(kind)
        with Server(*Scene.OPTIONS, program=faults.SERVER, environment=page.environment) as server:
            Scene(page, server).check_serves("watched")
        page.disarm()
        return page.stacks()

    def _points(self, page, kind):
        known = self._stacks_without_it(page, kind)
        page.watch(kind)
        with Server(*Scene.OPTIONS, *self.options, program=faults.SERVER, environment=page.environment):
            page.disarm()
        return faults.Points(page, kind, START_POINTS, known=known)

    def _start(self, page):
        """Whether the fault has happened, and whether it served."""
        environment = {**page.environment, "CERTPOST_FAULT_STACKS": "1"}
        with processes.Process(start_arguments(*self.options), environment=environment) as process:
            output = process.stdout
            output.wait(lambda: output.ended or "Server listening on" in "".join(output.lines), "a start")
            hit = page.disarm()
            try:
                return hit, self._check_start(page, process)
            except (AssertionError, OSError):
                # Other threads' calls come in between, and the fault may meet one of theirs.
                if is_foreign_end(process):
                    return hit, False
                raise

    def _check_start(self, page, process):
        """Whether it serves; then with its endpoint, and else with a word why."""
        line = next(iter(process.stdout.lines), "")
        if not line.startswith(LISTENING):
            check_failed_start(process)
            return False
        process.port = int(line.removeprefix(LISTENING))
        stage = Scene(page, process)
        self.assertEqual(ask(self.at), 200)
        stage.check_serves("served in spite of it")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(POINT_DEADLINE_S), 0, process.report())
        self.assertIsNone(SANITIZER_REPORT.search(process.stderr.data))
        stage.check_record()
        return True

    def _loop(self, kind, way, times=1):
        with pages() as page:
            points = self._points(page, kind)
            served = 0
            for number in points:
                page.arm(kind, number, way, times)
                hit, serves = self._start(page)
                points.note(hit)
                served += serves
            points.report("admin start", f"{errno.errorcode[way]} ({served} served)")

    def test_admin_start_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_admin_start_sockets(self):
        self._loop("socket", errno.ENOBUFS)

    def test_admin_start_event_loops(self):
        self._loop("loop_made", errno.EMFILE)

    def test_admin_start_descriptors_in_event_loops(self):
        self._loop("loop_add", errno.ENOSPC)

    def test_admin_start_thread(self):
        self._loop("thread", errno.EAGAIN)


class Request(unittest.TestCase):
    """One server, and one request for each fault."""

    # EAGAIN is none of them: libmicrohttpd is told of an edge, and the kernel never says it in vain.
    WAYS = (
        ("memory", errno.ENOMEM),
        ("accept", errno.EMFILE),
        ("accept", errno.ECONNABORTED),
        ("socket", errno.ENOBUFS),
        ("loop_add", errno.ENOSPC),
        ("socket_read", errno.ECONNRESET),
        ("socket_write", errno.EPIPE),
        ("socket_write", faults.SHORT),
        ("wait", errno.EINTR),
    )

    def test_admin_requests(self):
        at = f"{own_address()}:9180"
        with scene("--admin", at) as stage:
            before = self._descriptors(stage)
            for kind, way in self.WAYS:
                self._loop(stage, at, kind, way)
            processes.wait_until(stage.server, lambda: self._descriptors(stage) <= before, "all connections to be closed")
            stage.check_serves("the last one")

    @staticmethod
    def _descriptors(stage):
        return processes.descriptor_count(stage.server.pid) if processes.may_look_inside() else 0

    def _loop(self, stage, at, kind, way):
        stage.page.watch(kind)
        self.assertEqual(ask(at), 200)
        stage.page.pause()
        points = faults.Points(stage.page, kind, REQUEST_POINTS)
        answered = 0
        for number in points:
            stage.page.arm(kind, number, way)
            answered += ask(at) == 200
            points.note(stage.page.disarm())
            self.assertEqual(ask(at), 200, stage.server.report())
        points.report("admin request", f"{errno.errorcode.get(way, 'short')} ({answered} answered in spite of it)")


if __name__ == "__main__":
    unittest.main()
