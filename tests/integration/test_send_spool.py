"""certpost send --spool: what is in the file survives the client, the server and the network."""

import array
import fcntl
import json
import pathlib
import signal
import tempfile
import termios
import unittest

import certpost_client
import processes
from certified_servers import SendCase, certificates, unused_port


def setUpModule():
    certificates.begin()


class SpoolCase(SendCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.spool = pathlib.Path(folder.name) / "spool"

    def deliver(self, server, *arguments, **options):
        return self.send(server, "--spool", self.spool, *arguments, **options)


class TestSpool(SpoolCase):
    def test_nothing_is_left_after_a_delivery(self):
        with self.server() as server:
            result = self.deliver(server, "-m", "one", "-m", "two")
        self.check(result, 0, ["Received from server: Message received!"] * 2,
                   ["certpost: 2 of 2 messages acknowledged, 0 left in the spool"])
        self.assertEqual(self.stored(), [b"one", b"two"])

    def test_without_a_server_all_is_kept_and_a_run_without_input_delivers_it(self):
        for texts, total in ((("-m", "one", "-m", "two"), 2), (("-m", "three"), 3)):
            result = self.deliver(unused_port(), *texts, "--retry-for", "0")
            self.check_last(result, 7, f"0 of {total} messages acknowledged, {total} left in the spool")
        with self.server() as server:
            result = self.deliver(server, stream=None)
        self.check(result, 0, [], ["certpost: 3 of 3 messages acknowledged, 0 left in the spool"])
        self.assertEqual(self.stored(), [b"one", b"two", b"three"])

    def test_all_lines_are_kept_although_there_is_one_attempt_only(self):
        result = self.deliver(unused_port(), "-l", "--retry-for", "0", data=b"line\n" * 20000)
        self.check_last(result, 7, "0 of 20000 messages acknowledged, 20000 left in the spool")
        with self.server(ack_every=1000) as server:
            self.check_last(self.deliver(server), 0,
                            "20000 of 20000 messages acknowledged, 0 left in the spool")
        self.assertEqual(self.stored(), [b"line"] * 20000)

    def test_giving_up_is_said_once_and_is_an_event(self):
        port = unused_port()
        refused = "connection refused; check that the server runs, and its port"
        result = self.deliver(port, "-m", "one", "--retry-for", "0")
        self.check(result, 7, [], [f"certpost: 127.0.0.1:{port}: {refused}",
                                   "certpost: 0 of 1 messages acknowledged, 1 left in the spool"])
        result = self.deliver(port, "--json", "--retry-for", "0")
        failed, done = [json.loads(line) for line in result.output][-2:]
        self.assertEqual((failed["event"], failed["status"], failed["reason"]),
                         ("failed", "connect", refused))
        self.assertEqual((done["event"], done["acked"], done["spooled"]), ("done", 0, 1))

    def test_a_refusal_of_the_certificate_keeps_all(self):
        with self.server() as server:
            result = self.deliver(server, "-m", "one", "-m", "two", "--servername", "elsewhere.example")
        self.check_last(result, 60, "0 of 2 messages acknowledged, 2 left in the spool")

    def test_replies_are_printed_for_this_run_s_messages_only(self):
        self.deliver(unused_port(), "-m", "one", "-m", "two", "--retry-for", "0")
        with self.server() as server:
            result = self.deliver(server, "-m", "three")
        self.check(result, 0, ["Received from server: Message received!"],
                   ["certpost: 3 of 3 messages acknowledged, 0 left in the spool"])

    def test_nothing_to_deliver_needs_no_server(self):
        with self.server() as server:
            self.deliver(server, "-m", "one")
        self.check(self.deliver(unused_port()), 0, [],
                   ["certpost: 0 of 0 messages acknowledged, 0 left in the spool"])

    def test_all_is_in_the_spool_before_anything_can_fail(self):
        """A certificate that cannot be accepted ends the client at once, and files are read later."""
        texts = []
        for number in range(50):
            texts += ["-m", str(number), "-f", __file__]
        with self.server() as server:
            result = self.deliver(server, *texts, "--servername", "elsewhere.example")
            self.check_last(result, 60, "0 of 100 messages acknowledged, 100 left in the spool")
            self.check_last(self.deliver(server), 0,
                            "100 of 100 messages acknowledged, 0 left in the spool")

    def test_a_spool_that_is_not_there(self):
        result = self.deliver(unused_port())
        self.assertEqual((result.status, result.errors),
                         (74, [f"certpost: nothing to deliver: no -m, -f or -l, and the spool "
                               f"{self.spool}: No such file or directory"]))

    def test_a_spool_of_another_stream(self):
        self.deliver(unused_port(), "-m", "one", "--retry-for", "0")
        result = self.deliver(unused_port(), "-m", "two", stream="other")
        self.assertEqual(result.status, 2, result)
        self.assertIn("stream", result.errors[0])

    def test_an_accepting_server_gets_nothing(self):
        with self.server(level=0) as server:
            result = self.deliver(server, "-m", "one")
        self.check_last(result, 65, "0 of 1 messages acknowledged, 1 left in the spool")
        self.assertEqual(self.stored(), [])


class TestKilled(SpoolCase):
    def start_process(self, server, *arguments):
        command = self.arguments(server, "--spool", self.spool, *arguments)
        return processes.Process([certpost_client.BINARY, *command])

    def test_a_killed_client_loses_and_repeats_nothing(self):
        """It is killed while the server has taken some, and has told of fewer."""
        script = lambda peer: peer.greet().take().take().ack().take().connection.recv(1 << 20)
        with self.server(script) as server, self.start_process(server, "-l") as client:
            client.write(b"".join(b"%d\n" % number for number in range(1, 6)))
            self.streams.wait_count(3)
            client.send_signal(signal.SIGKILL)
            client.wait()
            result = self.deliver(server)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(self.stored(), [b"1", b"2", b"3", b"4", b"5"])

    def test_an_interrupted_client_keeps_what_it_has_read(self):
        with self.start_process(unused_port(), "-l") as client:
            client.write(b"one\ntwo\n")
            client.stderr.wait_line(".*trying again")
            processes.wait_until(client, lambda: self.has_read_all(client), "both lines to be read")
            client.send_signal(signal.SIGTERM)
            self.assertEqual(client.wait(), -signal.SIGTERM)
            self.assertEqual(client.stderr.lines[-1], "certpost: 0 of 2 messages acknowledged, 2 left "
                             "in the spool, interrupted")
        with self.server() as server:
            self.check_last(self.deliver(server), 0,
                            "2 of 2 messages acknowledged, 0 left in the spool")
        self.assertEqual(self.stored(), [b"one", b"two"])

    @staticmethod
    def has_read_all(client):
        """Whether the pipe is empty: the spool itself is its sender's alone."""
        waiting = array.array("i", [0])
        fcntl.ioctl(client._popen.stdin, termios.FIONREAD, waiting)
        return waiting[0] == 0

    def test_input_is_taken_while_there_is_no_server(self):
        """--retry-for begins when the input has ended: until then the spool has room."""
        with self.start_process(unused_port(), "-l", "--retry-for", "0") as client:
            client.stderr.wait_line(".*trying again")
            client.write(b"one\n")
            processes.wait_until(client, lambda: self.has_read_all(client), "the line to be read")
            client.close_stdin()
            self.assertEqual(client.wait(), 7)
            self.assertEqual(client.stderr.lines[-1],
                             "certpost: 0 of 1 messages acknowledged, 1 left in the spool")


if __name__ == "__main__":
    unittest.main()
