"""certpost send by certpost/1 when the server breaks off, refuses, or breaks the rules."""

import unittest

import certpost1
from certified_servers import PATIENCE_S, SendCase, certificates, unused_port
from plain_servers import Server, hold_still

THREE = ("-m", "one", "-m", "two", "-m", "three")
ALL = [b"one", b"two", b"three"]


def setUpModule():
    certificates.begin()


class TestComingBack(SendCase):
    """The first connection ends badly; the second is good, and in the end all is there once."""

    def check_delivered(self, script, *arguments):
        with self.server(script) as server:
            result = self.send(server, *THREE, *arguments)
        self.check_last(result, 0, "3 of 3 messages acknowledged")
        self.assertEqual(self.stored(), ALL)
        return result

    def test_cut_before_hello(self):
        self.check_delivered(lambda peer: peer.cut())

    def test_cut_after_hello(self):
        self.check_delivered(lambda peer: peer.hello().cut())

    def test_cut_after_welcome(self):
        self.check_delivered(lambda peer: peer.greet().cut())

    def test_cut_before_a_message_is_stored(self):
        def script(peer):
            peer.greet().receive()
            peer.cut()
        self.check_delivered(script)

    def test_cut_before_the_acknowledgement(self):
        self.check_delivered(lambda peer: peer.greet().take().take().cut())

    def test_cut_within_an_acknowledgement(self):
        def script(peer):
            peer.greet().take()
            peer.frames.send(certpost1.encode_ack(peer.seq, peer.digest)[:20])
            peer.cut()
        self.check_delivered(script)

    def test_cut_after_some_acknowledgements(self):
        self.check_delivered(lambda peer: peer.greet().take().ack().take().ack().cut())

    def test_reset(self):
        self.check_delivered(lambda peer: peer.greet().take().reset())

    def test_a_clean_end_before_all_is_acknowledged(self):
        self.check_delivered(lambda peer: peer.greet().take().ack().end())

    def test_silence_after_welcome(self):
        def script(peer):
            peer.greet().take()
            peer.frames.receive({certpost1.MESSAGE})
            while peer.connection.recv(65536):
                pass
        result = self.check_delivered(script, "--ack-timeout", "300ms")
        self.assertRegex(result.errors[0], "trying again$")

    def test_each_goaway_after_which_a_client_may_come_back(self):
        for name, number in certpost1.CODES.items():
            if number in certpost1.FINAL_CODES or number >= 32:
                continue
            with self.subTest(code=name):
                self.streams.__init__()
                result = self.check_delivered(
                    lambda peer, code=name: peer.greet().take().ack().go_away(code, "later").end())
                self.assertEqual(len(result.output), 3, result)

    def test_bytes_that_trickle(self):
        def script(peer):
            send = peer.connection.sendall

            def drip(data):
                for index in range(len(data)):
                    send(data[index : index + 1])
            peer.frames.send = drip
            peer.greet().take().ack().take().ack().take().ack()
            peer.receive()
            peer.end()
        self.check_delivered(script)

    def test_a_server_that_goes_while_the_input_is_silent_is_missed_at_once(self):
        with self.server(lambda peer: peer.greet().take().ack().cut()) as server:
            with self.start(server, "-l") as process:
                process.stdin.write(b"one\n")
                process.stdin.flush()
                # The input stays open and silent: only the end of the connection can be the cause.
                for _ in range(2):
                    self.assertEqual(server.received.get(timeout=PATIENCE_S), "connected")
                process.stdin.write(b"two\n")
                process.stdin.close()
                self.assertEqual(process.wait(PATIENCE_S), 0)
                process.stdout.read()
                errors = process.stderr.read().decode().splitlines()
        self.assertEqual(self.stored(), [b"one", b"two"])
        self.assertEqual(len(errors), 3, errors)
        self.assertRegex(errors[0], "; trying again$")
        self.assertRegex(errors[1], ": connected again$")
        self.assertEqual(errors[2], "certpost: 2 of 2 messages acknowledged")


class TestFinal(SendCase):
    """After these no attempt is made again."""

    def check_failed(self, status, acknowledged, script, words, *arguments):
        with self.server(script) as server:
            result = self.send(server, *THREE, *arguments)
            self.assertEqual(server.received.qsize(), 1, "it came back")
        self.check_last(result, status, f"{acknowledged} of 3 messages acknowledged")
        self.assertEqual(len(result.output), acknowledged, result)
        self.assertRegex(result.errors[0], words)
        self.assertEqual(len(result.errors), 2, result)

    def test_each_goaway_that_is_final(self):
        statuses = {"protocol": 76, "not_allowed": 65, "level_unavailable": 65, "superseded": 75,
                    "exhausted": 65}
        self.assertEqual({certpost1.CODES[name] for name in statuses}, certpost1.FINAL_CODES)
        for name, status in statuses.items():
            with self.subTest(code=name):
                self.streams.__init__()
                self.check_failed(
                    status, 1, lambda peer, code=name:
                    peer.greet().take().ack().go_away(code, "why\x1b").end(), r"why\\x1b")

    def test_a_rejected_message(self):
        self.check_failed(65, 1, lambda peer: peer.greet().take().ack().reject(33, b"not an order").end(),
                          "not an order")

    def test_an_application_s_own_code(self):
        self.check_failed(65, 2, lambda peer: peer.greet().take().take().ack().reject(4711).end(),
                          "refused message 3")

    def test_a_wrong_digest_in_an_acknowledgement(self):
        self.check_failed(76, 1, lambda peer: peer.greet().take().ack().take().ack(digest=b"x" * 32).end(),
                          "does not hold what was sent")

    def test_an_acknowledgement_of_what_was_not_sent(self):
        self.check_failed(76, 0, lambda peer: peer.greet().take().ack(seq=4).end(), "ACK|acknowledge")

    def test_a_level_below_what_is_required(self):
        self.check_failed(65, 0, lambda peer: peer.greet(level=0).end(), "level", "--require", "stored")

    def test_a_window_that_is_too_small(self):
        self.check_failed(76, 0, lambda peer: peer.greet(max_message=1000, window=1000).end(), "window")

    def test_an_unknown_frame(self):
        def script(peer):
            peer.greet()
            peer.frames.send(b"\x7f\0\0\0")
            peer.end()
        self.check_failed(76, 0, script, ".")

    def test_the_server_has_forgotten_what_it_acknowledged(self):
        def forget(peer):
            self.streams.messages.clear()
            self.streams.digests.clear()
            peer.greet().end()
        with self.server(lambda peer: peer.greet().take().ack().cut(), forget) as server:
            result = self.send(server, *THREE)
        self.check_last(result, 76, "1 of 3 messages acknowledged")


class TestNeverConnected(SendCase):
    def check_never(self, status, server, *arguments):
        result = self.send(server, *THREE, *arguments)
        self.check_last(result, status, "0 of 3 messages acknowledged")
        return result

    def test_nobody_listens(self):
        result = self.check_never(7, unused_port(), "--retry-for", "0")
        self.assertRegex(result.errors[0], "connection refused")

    def test_for_as_long_as_was_said(self):
        result = self.check_never(7, unused_port(), "--retry-for", "600ms")
        self.assertRegex(result.errors[0], "; trying again$")

    def test_no_handshake_in_time(self):
        with Server(hold_still) as server:
            self.check_never(28, server, "--retry-for", "0", "--connect-timeout", "300ms")

    def test_a_certificate_that_is_not_acceptable(self):
        with self.server() as server:
            result = self.send(server, "--servername", "elsewhere.example")
        self.check_last(result, 60, "0 of 1 messages acknowledged")

    def test_after_a_connection_the_news_is_what_was_not_acknowledged(self):
        with self.server(lambda peer: peer.greet().take().ack().cut(), *[lambda peer: peer.cut()] * 50) as server:
            result = self.send(server, *THREE, "--retry-for", "500ms")
        self.check_last(result, 75, "1 of 3 messages acknowledged")


class TestSuperseded(SendCase):
    def test_the_older_of_two_senders_is_told(self):
        with self.server() as server:
            with self.start(server, "-l") as older:
                older.stdin.write(b"one\n")
                older.stdin.flush()
                self.streams.wait_count(1)
                result = self.send(server, "-m", "two")
                self.check_last(result, 0, "1 of 1 messages acknowledged")
                older.stdin.write(b"three\n")
                older.stdin.close()
                self.assertEqual(older.wait(PATIENCE_S), 75)
                errors = older.stderr.read().decode().splitlines()
                older.stdout.read()
        self.assertIn("newer connection", errors[0])
        self.assertEqual(errors[-1], "certpost: 1 of 2 messages acknowledged")
        self.assertEqual(self.stored(), [b"one", b"two"])


if __name__ == "__main__":
    unittest.main()
