"""The server while calls fail under it, one after the other: plain exchanges on one running server.

For each point: the n-th call of the kind fails while a client connects, sends two messages and ends.
What comes of that connection is free, but for a hang and a false acknowledgement. The connection that
stood before is served throughout, and so are new ones; at the end the server ends in order, and a
sanitizer has found no error and no leak.
"""

import errno
import unittest

import faults
from fault_scenes import scene

# New connections cost a handshake: after so many points one is tried.
NEWCOMER_EVERY = 8
# A server's start and end for each.
FIRST_POINTS = faults.DEFAULT_POINTS // 2
# More than the descriptors that libuv makes room for at first.
CROWD = 70
YEAR_S = 365 * 86400


class PlainExchange(unittest.TestCase):
    def _loop(self, kind, way, times=1, most=None, name=None, standing=True):
        with scene() as stage:
            if standing:
                stage.check_standing("a connection that stands")
            stage.attempt("warm-up one", "warm-up two")
            stage.page.watch(kind)
            stage.attempt("watched one", "watched two")
            stage.page.disarm()
            points = faults.Points(stage.page, kind, most)
            for number in points:
                stage.page.arm(kind, number, way, times)
                stage.attempt(f"{kind} {number} one", f"{kind} {number} two")
                points.note(stage.page.disarm())
                if standing:
                    stage.check_standing(f"{kind} {number} standing")
                if number % NEWCOMER_EVERY == 0:
                    stage.check_serves(f"{kind} {number} newcomer")
            stage.check_serves("the last")
            points.report("plain exchange", name or errno.errorcode.get(way, "short"))

    def test_memory(self):
        self._loop("memory", errno.ENOMEM)

    def test_memory_for_a_while(self):
        self._loop("memory", errno.ENOMEM, times=20, name="ENOMEM 20 times")

    def test_receiving_falls_short(self):
        self._loop("socket_read", faults.SHORT)

    def test_receiving_is_interrupted(self):
        self._loop("socket_read", errno.EINTR)

    def test_receiving_finds_nothing(self):
        self._loop("socket_read", errno.EAGAIN)

    def test_receiving_finds_a_reset(self):
        self._loop("socket_read", errno.ECONNRESET)

    def test_sending_falls_short(self):
        self._loop("socket_write", faults.SHORT)

    def test_sending_is_interrupted(self):
        self._loop("socket_write", errno.EINTR)

    def test_sending_has_no_room(self):
        self._loop("socket_write", errno.EAGAIN)

    def test_sending_finds_a_reset(self):
        self._loop("socket_write", errno.ECONNRESET)

    def test_accepting_finds_it_gone(self):
        self._loop("accept", errno.ECONNABORTED)

    def test_accepting_is_interrupted(self):
        self._loop("accept", errno.EINTR)

    def test_accepting_without_descriptors(self):
        self._loop("accept", errno.EMFILE)

    def test_accepting_without_memory(self):
        self._loop("accept", errno.ENOBUFS)

    def test_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR)

    def test_waking_is_interrupted(self):
        self._loop("wake", errno.EINTR)

    def test_descriptors_in_event_loops(self):
        """The user's bound on what all processes may watch is reached."""
        self._loop("loop_add", errno.ENOSPC, times=100, name="ENOSPC from then on")

    def test_options_of_sockets(self):
        self._loop("socket", errno.ENOBUFS)

    def test_output_falls_short(self):
        self._loop("output", faults.SHORT)

    def test_output_is_interrupted(self):
        self._loop("output", errno.EINTR)

    def test_output_has_no_room(self):
        self._loop("output", errno.ENOSPC)

    def test_calendar_set_forwards(self):
        self._loop("clock_real", YEAR_S, name="a year forwards")

    def test_calendar_set_backwards(self):
        self._loop("clock_real", -YEAR_S, name="a year backwards")

    def test_time_jumps(self):
        # The connection that stood is rightly found to have been idle for an hour.
        self._loop("clock_monotonic", 3600, name="an hour at once", standing=False)


class FirstExchange(unittest.TestCase):
    """The first connection of a new server sets up what later ones find: each point is a new server."""

    def _loop(self, kind, way, most=None):
        points = None
        with scene() as stage:
            stage.page.watch(kind)
            stage.attempt("watched one", "watched two")
            stage.page.disarm()
            points = faults.Points(stage.page, kind, most)
        for number in points:
            with scene() as stage:
                stage.page.arm(kind, number, way)
                stage.attempt(f"{kind} {number} one", f"{kind} {number} two")
                points.note(stage.page.disarm())
                stage.check_serves("afterwards")
        points.report("first exchange", errno.errorcode[way])

    def test_first_memory(self):
        self._loop("memory", errno.ENOMEM, FIRST_POINTS)

    def test_first_growth(self):
        """Tables that grow with the number of connections."""
        points = None
        with scene() as stage:
            stage.page.watch("growth")
            stage.crowd(CROWD)
            stage.page.disarm()
            points = faults.Points(stage.page, "growth", FIRST_POINTS)
        if points.total == 0:
            print(f"fault points: nothing grows with {CROWD} connections")
            return
        for number in points:
            with scene() as stage:
                stage.page.arm("growth", number, errno.ENOMEM)
                stage.crowd(CROWD)
                points.note(stage.page.disarm())
                stage.check_serves("afterwards")
        points.report(f"{CROWD} connections", "ENOMEM")

    def test_first_random_numbers(self):
        """Two hours after the start, when OpenSSL asks the system for new randomness."""
        points = None
        with scene() as stage:
            stage.page.set_calendar(2 * 3600)
            stage.page.watch("random")
            stage.attempt("watched one", "watched two")
            stage.page.disarm()
            points = faults.Points(stage.page, "random")
        for number in points:
            with scene() as stage:
                stage.page.set_calendar(2 * 3600)
                stage.page.arm("random", number, errno.EIO)
                stage.attempt(f"{number} one", f"{number} two")
                points.note(stage.page.disarm())
                stage.check_serves("afterwards")
        points.report("first exchange after two hours", "EIO")

    def test_first_waiting_is_interrupted(self):
        self._loop("wait", errno.EINTR, FIRST_POINTS)


if __name__ == "__main__":
    unittest.main()
