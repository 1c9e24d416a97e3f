"""libcertpost's client against a server that was written from docs/protocol.md alone.

The programs under test are the examples. send_poll prints each event; both print what was
acknowledged.
"""

import contextlib
import os
import re
import signal
import tempfile
import unittest

import certificates
import certpost1
import processes
import stream_servers
from certpost1 import CODES
from stream_servers import Sender, StreamServer

FOUR = b"one\ntwo\n\nfour"
FOUR_MESSAGES = [b"one", b"two", b"", b"four"]


def numbers(count, start=1):
    return b"".join(b"%d\n" % n for n in range(start, start + count))


def number_messages(count, start=1):
    return [b"%d" % n for n in range(start, start + count)]


class Case(unittest.TestCase):
    def send(self, server, data=FOUR, program="send_poll", status=0, **options):
        """Runs a sender to its end; returns its standard output and standard error."""
        with Sender(program, server, **options) as sender:
            # A sender that fails may end before it has read what it is to send.
            with contextlib.suppress(BrokenPipeError) if status != 0 else contextlib.nullcontext():
                sender.write(data)
            sender.close_stdin()
            self.assertEqual(sender.wait(), status, sender.report())
            return bytes(sender.stdout.data).decode(), bytes(sender.stderr.data).decode()

    def check_summary(self, output, acknowledged, total, skipped=0):
        self.assertIn(f"{acknowledged} of {total} acknowledged, {skipped} skipped", output)


class Delivery(Case):
    def test_poll_delivers(self):
        with StreamServer() as server:
            output, _ = self.send(server)
            self.assertEqual(server.messages(), FOUR_MESSAGES)
        self.assertRegex(output, r"connecting to 127.0.0.1:\d+\nconnected to 127.0.0.1:\d+ with "
                                 r"TLSv1.3, it has 0\n(acknowledged \d stored\n)+finished\n"
                                 r"4 of 4 acknowledged, 0 skipped, the last is number 4\n")

    def test_blocking_delivers(self):
        with StreamServer() as server:
            output, _ = self.send(server, program="send_blocking")
            self.assertEqual(server.messages(), FOUR_MESSAGES)
        self.check_summary(output, 4, 4)

    def test_a_second_run_appends(self):
        with StreamServer() as server:
            self.send(server, numbers(10))
            output, _ = self.send(server, numbers(5, 11))
            self.assertEqual(server.messages(), number_messages(15))
        self.assertIn("it has 10\n", output)

    def test_nothing_to_send(self):
        with StreamServer() as server:
            output, _ = self.send(server, b"")
        self.check_summary(output, 0, 0)

    def test_trickling_input_is_sent_as_it_comes(self):
        with StreamServer() as server, Sender("send_poll", server) as sender:
            for n in range(1, 6):
                sender.write(b"%d\n" % n)
                sender.stdout.wait_line(rf"acknowledged {n} stored")
            sender.close_stdin()
            self.assertEqual(sender.wait(), 0)
            self.assertEqual(server.messages(), number_messages(5))

    def test_window_smaller_than_the_input(self):
        with StreamServer(window=1000, max_message=100, ack_every=3) as server:
            self.send(server, numbers(500))
            self.assertEqual(server.messages(), number_messages(500))

    def test_memory_bound_smaller_than_the_input(self):
        for program in ("send_poll", "send_blocking"):
            with StreamServer() as server:
                self.send(server, numbers(300), program=program, max_buffered="500")
                self.assertEqual(server.messages(), number_messages(300))

    def test_the_longest_message(self):
        long = b"x" * (1 << 20)
        with StreamServer(window=2 << 20) as server:
            self.send(server, b"a\n" + long + b"\nb\n", program="send_blocking",
                      max_buffered="1000")
            self.assertEqual(server.messages(), [b"a", long, b"b"])


class Again(Case):
    """What a connection can die of, and the next one makes good."""

    def deliver(self, handlers, data=numbers(20), messages=None, **options):
        with StreamServer(handlers) as server:
            output, _ = self.send(server, data, **options)
            self.assertEqual(server.messages(), number_messages(20) if messages is None else messages)
            self.assertEqual(server.handlers, [])
        self.check_summary(output, 20, 20)
        self.assertIn("disconnected", output)
        return output

    def test_cut_before_any_acknowledgement(self):
        self.deliver([stream_servers.cut(after=7)])

    def test_cut_between_acknowledgements(self):
        self.deliver([stream_servers.cut(after=9, acknowledged=4)])

    def test_cut_within_a_frame(self):
        self.deliver([stream_servers.cut(after=5, within=b"\x04\x00\x00\x28\x00\x00")])

    def test_cut_many_times(self):
        self.deliver([stream_servers.cut(after=n, acknowledged=n // 2) for n in (1, 2, 3, 4)])

    def test_hang_up_before_tls(self):
        output = self.deliver([stream_servers.hang_up])
        self.assertIn("disconnected (handshake", output)

    def test_something_that_is_no_tls(self):
        self.deliver([stream_servers.speak_http])

    def test_handshake_that_stalls(self):
        output = self.deliver([stream_servers.stay_silent], connect_timeout="300ms")
        self.assertIn("disconnected (timeout", output)

    def test_hello_without_an_answer(self):
        self.deliver([stream_servers.no_welcome], connect_timeout="300ms")

    def test_acknowledgements_that_stall(self):
        output = self.deliver([stream_servers.stall], ack_timeout="300ms")
        self.assertIn("the server did not acknowledge in time", output)

    def test_goaway_that_lets_come_back(self):
        for name in ("shutting_down", "store_full", "store_failed", "idle", "busy", "internal"):
            with self.subTest(name):
                output = self.deliver([stream_servers.go_away(CODES[name], after=3)])
                self.assertIn(f"code {CODES[name]}): the server ended the connection ({name}): "
                              "because", output)

    def test_goaway_with_an_unknown_code(self):
        self.deliver([stream_servers.go_away(4711, after=3)])

    def test_goaway_before_welcome(self):
        self.deliver([stream_servers.go_away(CODES["busy"], after=None)])

    def test_server_that_is_not_there_yet(self):
        with StreamServer() as server:
            port = server.port
        with Sender("send_poll", None, host=f"127.0.0.1:{port}") as sender:
            sender.write(numbers(20))
            sender.close_stdin()
            sender.stdout.wait_line(r"disconnected \(connect.*")
            with StreamServer(port=port) as server:
                self.assertEqual(sender.wait(), 0, sender.report())
                self.assertEqual(server.messages(), number_messages(20))


class Final(Case):
    """What another attempt cannot mend: it fails at once, and says what was acknowledged."""

    def expect_failure(self, handlers, words, acknowledged=0, data=FOUR, server_options=None,
                       **options):
        with StreamServer(handlers, **(server_options or {})) as server:
            output, errors = self.send(server, data, status=1, **options)
            self.assertEqual(server.connections, max(1, len(handlers)))
        self.assertIn(words, errors)
        # Of how many depends on how much of the input was read before the failure.
        self.assertRegex(output, rf"\n{acknowledged} of \d+ acknowledged|^{acknowledged} of \d")
        return output

    def test_goaway_that_is_final(self):
        for name, status in (("not_allowed", "refused"), ("level_unavailable", "refused"),
                             ("exhausted", "refused"), ("superseded", "superseded"),
                             ("protocol", "protocol")):
            with self.subTest(name):
                output = self.expect_failure([stream_servers.go_away(CODES[name], after=2)], f"({status})",
                                   acknowledged=2)
                self.assertIn(f"failed ({status}, code {CODES[name]}", output)

    def test_a_digest_that_differs(self):
        self.expect_failure([stream_servers.lie_about_the_digest], "(digest)")

    def test_an_acknowledgement_of_what_was_not_sent(self):
        self.expect_failure([stream_servers.acknowledge_too_much], "(protocol)")

    def test_reject(self):
        refuse = {"decide": lambda seq, message: (300, b"no twos") if message == b"two" else None}
        output = self.expect_failure([], "message 2", acknowledged=1, server_options=refuse)
        self.assertIn("failed (refused, code 300, message 2)", output)

    def test_level_below_what_is_required(self):
        self.expect_failure([], "(refused)", server_options={"level": certpost1.ACCEPTED}, require="stored")

    def test_message_longer_than_the_server_takes(self):
        self.expect_failure([], "(limit)", acknowledged=1, data=b"a\n" + b"x" * 101 + b"\nb\n",
                  program="send_blocking", server_options={"max_message": 100, "window": 1000})

    def test_peer_that_agrees_on_no_exchange(self):
        output = self.expect_failure([], "--plain", server_options={"alpn": ()})
        self.assertNotIn("disconnected", output)

    def test_peer_that_refuses_the_exchange(self):
        self.expect_failure([], "--plain", server_options={"alpn": ("h2",)})

    def test_peer_that_answers_with_the_alert(self):
        """openssl s_server ends the handshake with no_application_protocol, and says where it is."""
        command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-alpn", "h2", "-cert",
                   certificates.path("server.crt"), "-key", certificates.path("server.key")]
        with processes.Process(command) as server:
            found = server.stdout.wait_line(r"ACCEPT .*:(\d+)")
            output, errors = self.send(None, host=f"127.0.0.1:{found.group(1)}", status=1)
        self.assertIn("--plain", errors)
        self.assertNotIn("disconnected", output)

    def test_certificate_for_another_name(self):
        self.expect_failure([], "(peer-certificate)", servername="other.example")

    def test_time_is_up(self):
        with StreamServer() as server:
            port = server.port
        output, errors = self.send(None, host=f"127.0.0.1:{port}", status=1, retry_for="300ms")
        self.assertIn("(connect)", errors)
        self.assertIn("disconnected (connect", output)
        self.check_summary(output, 0, 4)

    def test_one_attempt(self):
        with StreamServer() as server:
            port = server.port
        output, _ = self.send(None, host=f"127.0.0.1:{port}", status=1, retry_for="0")
        self.assertNotIn("disconnected", output)

    def test_a_peer_that_never_speaks_tls(self):
        """A damaged byte looks the same, so it is tried again, but not for long."""
        with StreamServer([stream_servers.speak_http] * 9) as server:
            output, errors = self.send(server, status=1, retry_for="forever")
            self.assertEqual(server.connections, 5)
        self.assertIn("(handshake)", errors)
        self.assertEqual(output.count("disconnected (handshake"), 4)

    def test_options_that_are_wrong(self):
        for options, words in (({"streem": "x"}, "did you mean stream?"),
                               ({"retry_for": "soon"}, "--retry-for: "),
                               ({"require": "safe"}, "accepted, stored or replicated"),
                               ({"spool": "/nowhere/x", "resume": "1"}, "give one"),
                               ({"cert": "x"}, "--cert needs --key"),
                               ({"cacert": "/nowhere/ca"}, "(ca-file)")):
            with self.subTest(options):
                _, errors = self.send(None, b"", status=1, **options)
                self.assertIn(words, errors)


class Addresses(Case):
    def test_a_dead_address_first(self):
        with StreamServer() as server:
            output, _ = self.send(server, host=["127.0.0.2:1", server.endpoint])
            self.assertEqual(server.messages(), FOUR_MESSAGES)
        self.assertRegex(output, r"connecting to 127.0.0.2:1\nfailed 127.0.0.2:1: connection refused")

    def test_a_silent_address_first(self):
        with StreamServer([stream_servers.stay_silent], host="127.0.0.2") as silent:
            with StreamServer() as server:
                self.send(server, host=[silent.endpoint, server.endpoint], connect_timeout="600ms")
                self.assertEqual(server.messages(), FOUR_MESSAGES)

    def test_a_busy_server_first(self):
        with StreamServer([stream_servers.go_away(CODES["busy"], after=None)]) as busy:
            with StreamServer() as server:
                output, _ = self.send(server, host=[busy.endpoint, server.endpoint])
                self.assertEqual(server.messages(), FOUR_MESSAGES)
        self.assertIn(f"failed {busy.endpoint}: the server ended the connection (busy)", output)

    def test_all_are_dead(self):
        output, _ = self.send(None, host=["127.0.0.2:1", "127.0.0.3:1"], status=1, retry_for="0")
        self.assertIn("failed 127.0.0.2:1", output)
        self.assertIn("failed (connect", output)


class Resume(Case):
    def test_the_same_input_again_adds_nothing(self):
        with StreamServer() as server:
            self.send(server, numbers(100), resume="1")
            output, _ = self.send(server, numbers(100), resume="1", max_buffered="500")
            self.assertEqual(server.messages(), number_messages(100))
        self.check_summary(output, 100, 100, skipped=100)

    def test_a_longer_input_adds_the_rest(self):
        with StreamServer() as server:
            self.send(server, numbers(40), resume="1")
            output, _ = self.send(server, numbers(100), resume="1")
            self.assertEqual(server.messages(), number_messages(100))
        self.check_summary(output, 100, 100, skipped=40)

    def test_another_input_is_told_apart(self):
        with StreamServer() as server:
            self.send(server, numbers(40), resume="1")
            output, errors = self.send(server, numbers(100, 2), resume="1", status=1)
            self.assertEqual(server.messages(), number_messages(40))
        self.assertIn("(digest)", errors)
        self.assertIn("0 of 100 acknowledged", output)

    def test_an_input_that_is_too_short(self):
        with StreamServer() as server:
            self.send(server, numbers(40), resume="1")
            _, errors = self.send(server, numbers(30), resume="1", status=1)
        self.assertIn("more than the input", errors)

    def test_from_a_number_on(self):
        with StreamServer() as server:
            self.send(server, numbers(40), resume="1")
            self.send(server, numbers(20, 31), resume="31")
            self.assertEqual(server.messages(), number_messages(50))

    def test_cut_while_skipping(self):
        """The server is lost before the input has been compared with what it has."""
        with StreamServer([stream_servers.honest, stream_servers.cut()]) as server:
            self.send(server, numbers(40), resume="1")
            with Sender("send_poll", server, resume="1") as sender:
                sender.write(numbers(30))
                sender.stdout.wait_line("disconnected.*")
                sender.write(numbers(20, 31))
                sender.close_stdin()
                self.assertEqual(sender.wait(), 0, sender.report())
            self.assertEqual(server.messages(), number_messages(50))


class Spool(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="certpost-spool-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "spool")

    def test_delivers(self):
        with StreamServer() as server:
            output, _ = self.send(server, spool=self.path)
            self.assertEqual(server.messages(), FOUR_MESSAGES)
        self.check_summary(output, 4, 4)

    def test_trickling_input(self):
        """Each message is put when those before it have left."""
        with StreamServer() as server, Sender("send_poll", server, spool=self.path) as sender:
            for n in range(1, 6):
                sender.write(b"%d\n" % n)
                sender.stdout.wait_line(rf"acknowledged {n} stored")
            sender.close_stdin()
            self.assertEqual(sender.wait(), 0, sender.report())
            self.assertEqual(server.messages(), number_messages(5))

    def test_what_was_left_is_delivered_without_input(self):
        with StreamServer() as server:
            output, _ = self.send(None, numbers(30), host="127.0.0.2:1", spool=self.path, status=1,
                                  retry_for="0")
            self.check_summary(output, 0, 30)
            output, _ = self.send(server, b"", spool=self.path, stream=None)
            self.assertEqual(server.messages(), number_messages(30))
        self.check_summary(output, 30, 30)

    def test_goes_on_behind_what_the_server_has(self):
        with StreamServer() as server:
            self.send(server, numbers(10))
            self.send(server, numbers(10, 11), spool=self.path)
            self.send(server, numbers(10, 21), spool=self.path)
            self.assertEqual(server.messages(), number_messages(30))

    def test_lost_acknowledgements_repeat_nothing(self):
        with StreamServer([stream_servers.cut(after=10)]) as server:
            output, _ = self.send(server, numbers(20), spool=self.path, status=1, retry_for="0")
            self.check_summary(output, 0, 20)
            output, _ = self.send(server, b"", spool=self.path)
            self.assertEqual(server.messages(), number_messages(20))
        self.check_summary(output, 20, 20, skipped=10)

    def test_killed_while_it_sends(self):
        """Whatever was offered in any run is there, once and in order."""
        with StreamServer(ack_every=7) as server:
            offered = 0
            for victim in (3, 50, 20, 90):
                with Sender("send_poll", server, spool=self.path) as sender:
                    sender.write(numbers(100, offered + 1))
                    sender.stdout.wait(
                        lambda: any(int(n) >= offered + victim for n in re.findall(
                            rb"acknowledged (\d+)", bytes(sender.stdout.data))), "acknowledgements")
                    sender.send_signal(signal.SIGKILL)
                    sender.wait()
                # Those that were not spooled yet are the caller's: it asks what is there.
                with Sender("send_poll", server, spool=self.path) as sender:
                    sender.close_stdin()
                    self.assertEqual(sender.wait(), 0, sender.report())
                messages = server.messages()
                self.assertEqual(messages, number_messages(len(messages)))
                offered = len(messages)
            self.assertGreaterEqual(offered, 163)

    def test_level_accepted_is_not_enough(self):
        with StreamServer(level=certpost1.ACCEPTED) as server:
            _, errors = self.send(server, spool=self.path, status=1)
        self.assertIn("(refused)", errors)

    def test_of_another_stream(self):
        with StreamServer() as server:
            self.send(server, spool=self.path)
            _, errors = self.send(server, spool=self.path, stream="other", status=1)
        self.assertIn("another stream", errors)

    def test_in_use(self):
        with StreamServer() as server, Sender("send_poll", server, spool=self.path) as sender:
            sender.stdout.wait_line("connected.*")
            _, errors = self.send(server, spool=self.path, status=1)
            self.assertIn("(local-io)", errors)


if __name__ == "__main__":
    unittest.main()
