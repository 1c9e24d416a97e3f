"""certpost send by certpost/1, with servers that behave: messages, streams, resuming, what is printed."""

import json
import os
import pwd
import socket
import tempfile
import unittest

import certpost1
import certpost_client
from certified_servers import (
    PATIENCE_S, SendCase, Server, certificates, context, unused_port)
from plain_servers import classic, server_context

OK = "Received from server: Message received!"


def setUpModule():
    certificates.begin()


class TestMessages(SendCase):
    def test_hello(self):
        with self.server() as server:
            self.check(self.send(server), 0, [OK], ["certpost: 1 of 1 messages acknowledged"])
        self.assertEqual(self.stored(), [b"Hello, server!"])

    def test_texts_and_files_in_their_order(self):
        with tempfile.NamedTemporaryFile() as file, self.server() as server:
            file.write(b"\x00from\na file\n")
            file.flush()
            result = self.send(server, "-m", "one", "-f", file.name, "-m", "", "-f", "-",
                               data=b"from standard input\n")
        self.check(result, 0, [OK] * 4, ["certpost: 4 of 4 messages acknowledged"])
        self.assertEqual(self.stored(),
                         [b"one", b"\x00from\na file\n", b"", b"from standard input\n"])

    def test_lines_print_nothing_but_the_summary(self):
        with self.server() as server:
            result = self.send(server, "-l", data=b"one\r\ntwo\n\nlast")
        self.check(result, 0, [], ["certpost: 4 of 4 messages acknowledged"])
        self.assertEqual(self.stored(), [b"one", b"two", b"", b"last"])

    def test_no_line_at_all(self):
        with self.server() as server:
            self.check(self.send(server, "-l"), 0, [], ["certpost: 0 of 0 messages acknowledged"])

    def test_quiet(self):
        with self.server() as server:
            self.check(self.send(server, "-q"), 0, [], ["certpost: 1 of 1 messages acknowledged"])

    def test_the_reply_is_the_server_s_and_escaped(self):
        with self.server(reply="danke\x1b[2J\n\u202e!".encode()) as server:
            result = self.send(server)
        self.check(result, 0, [r"Received from server: danke\x1b[2J\n\xe2\x80\xae!"],
                   ["certpost: 1 of 1 messages acknowledged"])

    def test_verbose_tells_what_was_agreed(self):
        with self.server() as server:
            result = self.send(server, "-v")
        words = "\n".join(result.errors)
        self.assertRegex(words, rf"(?m)^certpost: trying 127\.0\.0\.1:{server.port}$")
        self.assertRegex(words, rf"(?m)^certpost: connected to 127\.0\.0\.1:{server.port} with TLSv1\.3, "
                         r"TLS_\w+, group \w+")
        self.assertRegex(words, r"(?m)^certpost: server certificate: CN=server, names .*localhost.*, "
                         r"issued by CN=certpost test ca, valid until ")
        self.assertIn("certpost: server certpost1.py: level stored, 0 messages of the stream", words)
        self.check_last(result, 0, "1 of 1 messages acknowledged")

    def test_a_missing_file_is_found_before_the_server_is_asked(self):
        result = self.send(unused_port(), "-m", "a", "-f", "/nonexistent")
        self.check(result, 74, [],
                   ["certpost: cannot read the file /nonexistent: No such file or directory",
                    "certpost: 0 of 2 messages acknowledged"])

    def test_each_line_is_sent_at_once(self):
        """As with `tail -F`: the line is at the server while the input stays open."""
        with self.server() as server, self.start(server, "-l") as process:
            for number in range(20):
                process.stdin.write(b"line %d\n" % number)
                process.stdin.flush()
                self.streams.wait_count(number + 1)
            process.stdin.close()
            self.assertEqual(process.wait(PATIENCE_S), 0)
            process.stdout.read()
            self.assertEqual(process.stderr.read(), b"certpost: 20 of 20 messages acknowledged\n")


class TestKeyLog(SendCase):
    def check_logged(self, arguments, env):
        with tempfile.TemporaryDirectory() as folder, self.server() as server:
            path = os.path.join(folder, "keys")
            result = self.send(server, *[word.format(path) for word in arguments],
                               env={name: value.format(path) for name, value in env.items()})
            self.assertEqual(result.status, 0, result)
            with open(path, encoding="ascii") as keys:
                self.assertIn("CLIENT_TRAFFIC_SECRET_0 ", keys.read())

    def test_by_the_option(self):
        self.check_logged(["--keylogfile", "{}"], {})

    def test_by_the_environment(self):
        self.check_logged([], {"SSLKEYLOGFILE": "{}"})


class TestLimits(SendCase):
    def check_too_long(self, *arguments, total, **options):
        with self.server(max_message=1000) as server:
            result = self.send(server, *arguments, **options)
        self.assertEqual((result.status, result.errors[-1]),
                         (65, f"certpost: 2 of {total} messages acknowledged"), result)
        self.assertRegex(result.errors[0], "^certpost: message 3: .*1001 bytes.*at most 1000$")
        self.assertEqual(self.stored(), [b"one", b"two"])

    def test_too_long_line_comes_after_what_was_before_it(self):
        self.check_too_long("-l", data=b"one\ntwo\n" + b"x" * 1001 + b"\nfour\n", total=3)

    def test_too_long_message_comes_after_what_was_before_it(self):
        self.check_too_long("-m", "one", "-m", "two", "-m", "x" * 1001, "-m", "four", total=4)

    def test_a_line_that_no_frame_can_hold(self):
        with self.server() as server:
            result = self.send(server, "-l", data=b"one\n" + b"x" * (17 << 20))
        self.assertEqual((result.status, result.errors),
                         (65, ["certpost: a message is longer than 16 MiB",
                               "certpost: 1 of 2 messages acknowledged"]))
        self.assertEqual(self.stored(), [b"one"])

    def test_the_longest_message(self):
        with self.server(max_message=1000) as server:
            self.check_last(self.send(server, "-m", "x" * 1000), 0, "1 of 1 messages acknowledged")

    def test_a_small_window(self):
        with self.server(max_message=100, window=300, ack_every=1) as server:
            result = self.send(server, "-l", data=b"0123456789\n" * 500)
        self.check_last(result, 0, "500 of 500 messages acknowledged")
        self.assertEqual(len(self.stored()), 500)


class TestStreams(SendCase):
    def test_the_default_name_tells_machines_and_users_apart(self):
        with self.server() as server:
            self.assertEqual(self.send(server, stream=None).status, 0)
        user = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual(list(self.streams.messages), [(b"", f"{user}@{socket.gethostname()}".encode())])

    def test_later_runs_append(self):
        with self.server() as server:
            for text in ("one", "two"):
                self.assertEqual(self.send(server, "-m", text).status, 0)
        self.assertEqual(self.stored(), [b"one", b"two"])

    def test_the_level_is_too_low(self):
        with self.server(level=certpost1.ACCEPTED) as server:
            result = self.send(server, "--require", "stored")
        self.check_last(result, 65, "0 of 1 messages acknowledged")
        self.assertIn("level", result.errors[0])
        self.assertEqual(self.stored(), [])

    def test_the_level_is_enough(self):
        with self.server(level=certpost1.REPLICATED) as server:
            result = self.send(server, "--require", "stored")
        self.check_last(result, 0, "1 of 1 messages acknowledged")

    def test_no_certpost_1_there(self):
        with Server(classic, server_context()) as server:
            result = self.send(server)
        self.check_last(result, 35, "0 of 1 messages acknowledged")
        self.assertIn("--plain", result.errors[0])

    def test_only_plain_there(self):
        with Server(classic, context("certpost-plain")) as server:
            result = self.send(server)
        self.check_last(result, 35, "0 of 1 messages acknowledged")


class TestResume(SendCase):
    LINES = b"".join(b"%d\n" % number for number in range(1, 1001))

    def test_again_stores_nothing_and_says_so(self):
        with self.server(ack_every=100) as server:
            first = self.send(server, "-l", "--resume", data=self.LINES)
            again = self.send(server, "-l", "--resume", data=self.LINES)
        self.check(first, 0, [], ["certpost: 1000 of 1000 messages acknowledged, 1000 stored, "
                                  "0 already there"])
        self.check(again, 0, [], ["certpost: 1000 of 1000 messages acknowledged, 0 stored, "
                                  "1000 already there"])
        self.assertEqual(b"\n".join(self.stored()) + b"\n", self.LINES)

    def test_a_longer_input_adds_its_end(self):
        with self.server(ack_every=100) as server:
            self.send(server, "-l", "--resume", data=self.LINES)
            result = self.send(server, "-l", "--resume", data=self.LINES + b"more\nand more\n")
        self.check_last(result, 0, "1002 of 1002 messages acknowledged, 2 stored, 1000 already there")
        self.assertEqual(self.stored()[1000:], [b"more", b"and more"])

    def test_from_a_later_message(self):
        with self.server() as server:
            self.send(server, "-m", "one", "-m", "two")
            result = self.send(server, "--resume=2", "-m", "two", "-m", "three")
        self.check_last(result, 0, "2 of 2 messages acknowledged, 1 stored, 1 already there, 1 not compared")
        self.assertEqual(self.stored(), [b"one", b"two", b"three"])

    def test_from_a_later_message_nothing_is_claimed_to_be_equal(self):
        with self.server() as server:
            self.send(server, "-m", "one", "-m", "two", "-m", "three")
            result = self.send(server, "--resume=2", "-m", "TWO", "-m", "THREE")
            output = self.send(server, "--resume=3", "--json", "-m", "THREE").output
            behind = self.send(server, "--resume=4", "-m", "four")
        self.check_last(result, 0, "2 of 2 messages acknowledged, 0 stored, 2 already there, 2 not compared")
        done = json.loads(output[-1])
        self.assertEqual((done["already_there"], done["not_compared"]), (1, 1))
        self.check_last(behind, 0, "1 of 1 messages acknowledged, 1 stored, 0 already there")

    def test_another_input_is_a_digest_error(self):
        with self.server() as server:
            self.send(server, "-m", "one", "-m", "two")
            for other in ("one", "TWO", "three"), ("ONE", "two"), ("ONE", "two", "three"):
                result = self.send(server, "--resume", *(word for text in other for word in ("-m", text)))
                self.check_last(result, 76, f"0 of {len(other)} messages acknowledged, 0 stored, 0 already there")
                self.assertIn("the server does not hold what the input has, somewhere in messages 1 to 2",
                              result.errors[0])
            output = self.send(server, "--resume", "--json", "-m", "ONE", "-m", "two").output
        failed, done = map(json.loads, output[-2:])
        self.assertEqual((failed["event"], failed["status"]), ("failed", "digest"))
        self.assertEqual((done["acked"], done["already_there"], done["not_compared"]), (0, 0, 0))
        self.assertEqual(self.stored(), [b"one", b"two"])

    def test_a_shorter_input_is_a_digest_error(self):
        with self.server() as server:
            self.send(server, "-m", "one", "-m", "two")
            result = self.send(server, "--resume", "-m", "one")
        self.check_last(result, 76, "0 of 1 messages acknowledged, 0 stored, 0 already there")

    def test_an_accepting_server_says_accepted(self):
        with self.server(level=certpost1.ACCEPTED) as server:
            result = self.send(server, "--resume", "-m", "one")
        self.check_last(result, 0, "1 of 1 messages acknowledged, 1 accepted, 0 already there")


class TestServersInTurn(SendCase):
    def test_the_first_that_answers(self):
        with self.server() as server:
            result = certpost_client.run(
                "send", "--cacert", certificates.ca(), "--stream", "orders", "-v",
                f"127.0.0.1:{unused_port()}", f"127.0.0.1:{server.port}")
        self.check_last(result, 0, "1 of 1 messages acknowledged")
        self.assertTrue(any("that failed: " in line for line in result.errors), result)
        self.assertEqual(self.stored(), [b"Hello, server!"])

    def test_by_host_and_port(self):
        with self.server() as server:
            result = certpost_client.run(
                "send", "--cacert", certificates.ca(), "--stream", "orders",
                "-h", "127.0.0.1", "-p", server.port)
        self.check_last(result, 0, "1 of 1 messages acknowledged")


class TestUsage(unittest.TestCase):
    TABLE = (
        (("--framing", "line"), "--framing is for the plain exchange; give --plain too, or leave it "
         "out: certpost/1 keeps messages apart by itself"),
        (("--plain", "--stream", "a"),
         "--stream is for certpost/1; the plain exchange (--plain) has nothing like it"),
        (("--plain", "--spool", "a"),
         "--spool is for certpost/1; the plain exchange (--plain) has nothing like it"),
        (("--plain", "--resume"),
         "--resume is for certpost/1; the plain exchange (--plain) has nothing like it"),
        (("--plain", "--json"),
         "--json is for certpost/1; the plain exchange (--plain) has no events"),
        (("--plain", "a", "b"),
         "--plain takes one host: it could not know which of them has a message"),
        (("--resume", "5"), "5 would be a host here; a number for --resume is joined to it: --resume=5"),
        (("--resume=0",),
         "--resume: write the number in the stream of the first message: 1 or more"),
        (("--require", "good"), "--require: a level is accepted, stored or replicated"),
        (("--retry-for", "never"), "--retry-for: write a duration such as 500ms, 10s or 2m, 0 for one "
         "attempt, or forever"),
        (("--stream", "a\nb"),
         "--stream: it is 1 to 255 bytes of UTF-8 without control characters"),
        (("--stream", "x" * 256),
         "--stream: it is 1 to 255 bytes of UTF-8 without control characters"),
        (("-l", "-m", "a"),
         "-l takes all messages from standard input, so -m and -f cannot be with it"),
        (("--cert", "a"), "--cert needs --key: a certificate is of no use without its key"),
        (("--connect-timeout", "0"), "--connect-timeout: a duration is 1ms to 86400s, such as 500ms, "
         "10s or 2m"),
        (("--resum=3", "--spool", "a"), "--resume compares the whole input, and --spool knows where it "
         "was: give one"),
        (("--spol", "a"), "unknown option --spol; did you mean --spool?"),
    )

    def test_wrong_command_lines(self):
        for arguments, words in self.TABLE:
            with self.subTest(arguments=arguments):
                result = certpost_client.run("send", *arguments)
                self.assertEqual((result.status, result.output, result.errors),
                                 (2, [], [f"certpost: {words}"]))


if __name__ == "__main__":
    unittest.main()
