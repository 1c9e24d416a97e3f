"""certpost send and people: the progress line on a terminal, and signals."""

import array
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import termios
import time
import unittest

import certpost_client
import processes
from certified_servers import PATIENCE_S, SendCase, certificates


def setUpModule():
    certificates.begin()


class Terminal:
    """A pseudo-terminal for standard error; what was written to it, and what a person then sees."""

    def __init__(self, stack):
        self.master, self.slave = pty.openpty()
        stack.callback(os.close, self.master)
        self.data = b""

    def hand_over(self):
        """The program has the other end; when it is gone, reading here ends."""
        os.close(self.slave)

    def wait(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.data):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0] or not self.read():
                raise AssertionError(f"no {pattern!r} in {self.data!r}")

    def read(self):
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.data += piece
        return bool(piece)

    def lines(self):
        """What stays on the screen: an erased line leaves nothing."""
        text = self.data.decode()
        return [re.split(r"\r\x1b\[K", line)[-1].rstrip("\r") for line in text.split("\n")][:-1]


class TestProgress(SendCase):
    def run_on_terminal(self, *arguments, until=None):
        """Sends two lines, with the input open until the terminal has shown `until`."""
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self.server())
            terminal = Terminal(stack)
            process = stack.enter_context(
                self.start(server, "-l", *arguments, stderr=terminal.slave))
            terminal.hand_over()
            process.stdin.write(b"one\ntwo\n")
            process.stdin.flush()
            self.streams.wait_count(2)
            if until is not None:
                terminal.wait(until)
            process.stdin.close()
            while terminal.read():
                pass
            process.stdout.read()
            self.assertEqual(process.wait(PATIENCE_S), 0)
        return terminal

    def test_a_line_that_is_drawn_over_and_taken_away(self):
        terminal = self.run_on_terminal(
            until=rb"\r\x1b\[Kcertpost: 2 acknowledged, \d+/s, 6 B, 0 unacknowledged")
        self.assertEqual(terminal.lines(), ["certpost: 2 of 2 messages acknowledged"])

    def test_none_when_it_is_over_soon_or_not_wanted(self):
        for arguments in (["-q"], ["--json"]):
            with self.subTest(arguments=arguments):
                self.streams.__init__()
                terminal = self.run_on_terminal(*arguments)
                self.assertEqual(terminal.data, b"certpost: 2 of 2 messages acknowledged\r\n")


class TestSignals(SendCase):
    @contextlib.contextmanager
    def halfway(self):
        """A client with one message acknowledged and one that never will be; the server is silent."""
        def script(peer):
            peer.greet().take().ack().take()
            while peer.connection.recv(65536):
                pass
        with self.server(script) as server, self.start(server, "--json", "-l") as process:
            process.stdin.write(b"one\ntwo\n")
            process.stdin.flush()
            while b'"acked"' not in process.stdout.readline():
                pass
            self.streams.wait_count(2)
            yield process
            process.stdin.close()

    def test_the_first_tells_and_ends_as_the_signal_does(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                self.streams.__init__()
                with self.halfway() as process:
                    process.send_signal(number)
                    self.assertEqual(process.wait(PATIENCE_S), -number)
                    self.assertEqual(process.stderr.read(),
                                     b"certpost: 1 of 2 messages acknowledged, interrupted\n")
                    self.assertIn(b'"event":"done"', process.stdout.read())

    def test_lines_that_wait_for_the_server_s_window_are_counted(self):
        def script(peer):
            peer.greet(max_message=100, window=300).take()
            while peer.connection.recv(65536):
                pass
        with self.server(script) as server, self.start(server, "-l") as process:
            process.stdin.write(b"line\n" * 10)
            process.stdin.flush()
            self.streams.wait_count(1)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE_S), -signal.SIGINT)
            process.stdout.read()
            self.assertEqual(process.stderr.read(),
                             b"certpost: 0 of 10 messages acknowledged, interrupted\n")
            process.stdin.close()

    def test_the_second_ends_it_at_once(self):
        """Nobody reads standard output: after the first signal the client waits to say what happened."""
        name, room = "x" * 200, 4096
        command = [certpost_client.BINARY, *self.arguments(0, "--json", "-l", stream=name)[:-1]]
        with self.server() as server, processes.Process([*command, f"127.0.0.1:{server.port}"]) as client:
            pipe = client._popen.stdout
            client.stdout.hold()
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, room)
            client.write(b"line\n")
            self.streams.wait_count(1, name.encode())
            while room - (before := self.waiting_bytes(pipe)) > 300:
                client.write(b"line\n")
                processes.wait_until(client, lambda: self.waiting_bytes(pipe) > before, "an event")
            client.send_signal(signal.SIGTERM)
            client.write(b"line\n")
            # Another one: two of a kind that wait to be delivered are one.
            client.send_signal(signal.SIGINT)
            self.assertTrue(select.select([client._ended], [], [], PATIENCE_S)[0])
            client.stdout.release()
            self.assertIn(client.wait(), (-signal.SIGTERM, -signal.SIGINT))
            self.assertRegex(client.stderr.lines[-1],
                             r"^certpost: \d+ of \d+ messages acknowledged, interrupted$")

    @staticmethod
    def waiting_bytes(pipe):
        waiting = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        return waiting[0]

    def test_an_ignored_signal_stays_ignored(self):
        with self.server() as server:
            command = self.arguments(server, "-l")
            with certpost_client.start(*command, preexec_fn=lambda: signal.signal(
                    signal.SIGHUP, signal.SIG_IGN)) as process:
                process.stdin.write(b"one\n")
                process.stdin.flush()
                self.streams.wait_count(1)
                process.send_signal(signal.SIGHUP)
                output, errors = process.communicate(b"two\n", timeout=PATIENCE_S)
        self.assertEqual((process.returncode, output, errors),
                         (0, b"", b"certpost: 2 of 2 messages acknowledged\n"))


if __name__ == "__main__":
    unittest.main()
