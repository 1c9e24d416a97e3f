"""Reload and drain of a server while calls fail: all or nothing, and always an end in order."""

import contextlib
import errno
import signal
import ssl
import unittest

import certificates as certs
import faults
import processes
from certpost_server import Server
from fault_scenes import POINT_DEADLINE_S, Exchange, Scene, pages, scene

# Each point of a drain is a server's start and end.
DRAIN_POINTS = faults.DEFAULT_POINTS // 3
YEAR_S = 365 * 86400


class Reload(unittest.TestCase):
    """The connection that stood and new ones are served, whatever came of the reload."""

    def _reload(self, stage):
        stage.server.send_signal(signal.SIGHUP)
        outcome = stage.server.wait_log("reloaded|reload failed, nothing has changed", POINT_DEADLINE_S).group()
        return "reloaded" in outcome

    def _loop(self, kind, way, name=None):
        with scene("--client-ca", certs.path("ca.crt"), "--client-verify", "optional") as stage:
            stage.check_standing("a connection that stands")
            stage.page.watch(kind)
            self.assertTrue(self._reload(stage))
            stage.page.disarm()
            points = faults.Points(stage.page, kind)
            done = 0
            for number in points:
                stage.page.arm(kind, number, way)
                done += self._reload(stage)
                points.note(stage.page.disarm())
                stage.check_standing(f"{kind} {number} standing")
                stage.check_serves(f"{kind} {number} newcomer")
            self.assertTrue(self._reload(stage))
            points.report("reload", f"{name or errno.errorcode[way]} ({done} reloaded in spite of it)")

    def test_reload_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_reload_opening_without_descriptors(self):
        self._loop("open", errno.EMFILE)

    def test_reload_reading_files(self):
        self._loop("file_read", errno.EIO)

    def test_reload_reading_falls_short(self):
        self._loop("file_read", faults.SHORT, "short")

    def test_reload_status_of_files(self):
        self._loop("file_status", errno.EIO)

    def test_reload_calendar_set_forwards(self):
        self._loop("clock_real", YEAR_S, "a year forwards")


class Drain(unittest.TestCase):
    """From SIGTERM on. What was read is answered or not, never answered and lost; the status is 0."""

    def _read_to_the_end(self, exchange):
        """A reply that was on its way, then the end."""
        with contextlib.suppress(OSError, ssl.SSLError):
            exchange.wait_reply("on its way")
            exchange.wait_end()

    def _run(self, page, kind, number=0, way=0, calls_before=0):
        """Whether the fault has happened; with number 0 it only watches. SIGTERM comes after so many
        calls of the kind."""
        with Server(*Scene.OPTIONS, program=faults.SERVER, environment=page.environment) as server:
            stage = Scene(page, server)
            stage.check_standing("stands idle")
            with Exchange(server.port, stage.context) as exchange:
                if number == 0:
                    page.watch(kind)
                else:
                    page.arm(kind, number, way)
                exchange.begin("on its way")
                processes.wait_until(server, lambda: page.count >= calls_before, "the calls", POINT_DEADLINE_S)
                server.send_signal(signal.SIGTERM)
                self._read_to_the_end(exchange)
                stage.acknowledged += exchange.acknowledged
                with contextlib.suppress(OSError, ssl.SSLError):
                    stage.end_standing()
            stage.drop_standing()
            status = server.wait(POINT_DEADLINE_S)
            hit = page.disarm()
            self.assertEqual(status, 0, server.report())
        stage.check_record()
        return hit

    def _loop(self, kind, way, name=None, calls_before=0):
        with pages() as page:
            self._run(page, kind, calls_before=calls_before)
            points = faults.Points(page, kind, DRAIN_POINTS)
            for number in points:
                points.note(self._run(page, kind, number, way, calls_before))
            points.report("drain", name or errno.errorcode[way])

    def test_drain_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_drain_sending_finds_a_reset(self):
        self._loop("socket_write", errno.ECONNRESET)

    def test_drain_sending_has_no_room(self):
        self._loop("socket_write", errno.EAGAIN)

    def test_drain_sending_falls_short(self):
        self._loop("socket_write", faults.SHORT, "short")

    def test_drain_receiving_finds_a_reset(self):
        self._loop("socket_read", errno.ECONNRESET)

    def test_drain_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR)

    def test_drain_output(self):
        # A message that the drain finds unread is not taken, and then nothing would be printed.
        self._loop("output", errno.ENOSPC, calls_before=1)

    def test_drain_sockets(self):
        self._loop("socket", errno.ENOBUFS)


if __name__ == "__main__":
    unittest.main()
