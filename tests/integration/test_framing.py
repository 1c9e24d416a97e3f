"""Where a message of the plain exchange begins and ends: chunk and line framing, limits, replies.

One case alone: ctest --preset dev -R 'integration.framing.line_at_the_limit'
"""

import signal
import socket
import unittest

import tls_peers
from certpost_server import DEFAULT_REPLY, Server
from tls_peers import TLS_RECORD_MAX_BYTES, TlsPeer

LINE_REPLY = DEFAULT_REPLY + b"\n"
REFUSED = b"Message refused: "
MEBIBYTE = 1 << 20


class FramingTest(unittest.TestCase):
    """One connection: these records go in, these messages are printed, these bytes come back."""

    def talk(self, server, records, expected_messages, expected_replies):
        with TlsPeer(server.port) as client:
            client.send_raw(b"".join(client.seal(record) for record in records))
            self.assertEqual(client.finish(), expected_replies)
        server.stop()
        self.assertEqual(server.received(), expected_messages)


class Chunk(FramingTest):
    def check(self, records, expected_messages, *options):
        with Server(*options) as server:
            self.talk(server, records, expected_messages, DEFAULT_REPLY * len(expected_messages))

    def test_chunk_is_the_default(self):
        self.check([b"one\ntwo"], [r"one\ntwo"])

    def test_chunk_each_record_is_a_message(self):
        """Also when several records come in one TCP segment."""
        self.check([b"one", b"two", b"three"], ["one", "two", "three"])

    def test_chunk_drops_one_newline(self):
        self.check([b"lf\n", b"crlf\r\n"], ["lf", "crlf"])

    def test_chunk_drops_no_more_than_one_newline(self):
        self.check([b"two\n\n", b"crlf twice\r\n\r\n", b"cr cr lf\r\r\n"], [r"two\n", r"crlf twice\r\n", r"cr cr lf\r"])

    def test_chunk_keeps_a_lone_carriage_return(self):
        self.check([b"cr\r", b"lfcr\n\r"], [r"cr\r", r"lfcr\n\r"])

    def test_chunk_of_a_newline_alone_is_an_empty_message(self):
        self.check([b"\n", b"\r\n"], ["", ""])

    def test_chunk_of_a_full_record(self):
        full = b"x" * TLS_RECORD_MAX_BYTES
        self.check([full], [full.decode()])

    def test_chunk_of_a_full_record_with_its_newline(self):
        full = b"x" * (TLS_RECORD_MAX_BYTES - 1)
        self.check([full + b"\n"], [full.decode()])

    def test_chunk_longer_than_a_record_is_two_messages(self):
        """16 KiB and one byte cannot come in one record, so they are not one message."""
        self.check([b"x" * TLS_RECORD_MAX_BYTES + b"y"], ["x" * TLS_RECORD_MAX_BYTES, "y"])

    def test_chunk_reply_has_no_newline_of_its_own(self):
        with Server("--reply", "ok") as server:
            self.talk(server, [b"a\n", b"b\n"], ["a", "b"], b"okok")

    def test_chunk_at_the_limit(self):
        self.check([b"x" * 99, b"y" * 100], ["x" * 99, "y" * 100], "--max-message", "100")

    def test_chunk_newline_does_not_count_towards_the_limit(self):
        self.check([b"x" * 100 + b"\r\n"], ["x" * 100], "--max-message", "100")

    def test_chunk_over_the_limit_is_refused(self):
        with Server("--max-message", "100") as server, TlsPeer(server.port) as client:
            client.exchange(b"fits", DEFAULT_REPLY)
            client.send(b"x" * 101)
            self.assertRegex(client.receive_all(), rb"^" + REFUSED + rb".*\b100\b[^\n]*$")
            client.socket.close()
            server.wait_log(r"refused=.*\b100\b")
            server.stop()
            self.assertEqual(server.received(), ["fits"])

    def test_chunk_cut_record_is_not_a_message(self):
        """Half of a record is nothing, whoever sends it."""
        with Server() as server, TlsPeer(server.port) as client:
            client.exchange(b"whole", DEFAULT_REPLY)
            record = client.seal(b"never to be seen")
            client.send_raw(record[: len(record) // 2])
            client.vanish()
            server.wait_log("reason=truncated.*without ending the connection.*close_notify")
            server.stop()
            self.assertEqual(server.received(), ["whole"])


class Line(FramingTest):
    def check(self, records, expected_messages, *options):
        with Server("--framing", "line", *options) as server:
            self.talk(server, records, expected_messages, LINE_REPLY * len(expected_messages))

    def test_line_two_in_one_record(self):
        self.check([b"one\ntwo\n"], ["one", "two"])

    def test_line_over_several_records(self):
        self.check([b"Hello", b", ser", b"ver!", b"\n"], ["Hello, server!"])

    def test_line_drops_a_carriage_return(self):
        self.check([b"crlf\r\nlf\n"], ["crlf", "lf"])

    def test_line_drops_a_carriage_return_over_records(self):
        self.check([b"crlf\r", b"\n"], ["crlf"])

    def test_line_drops_one_carriage_return_only(self):
        self.check([b"cr cr lf\r\r\n", b"a\rb\n"], [r"cr cr lf\r", r"a\rb"])

    def test_line_empty_is_a_message(self):
        self.check([b"\n\r\n\n"], ["", "", ""])

    def test_line_last_one_at_a_clean_end(self):
        """Answered before our close_notify, which receive_all would miss."""
        self.check([b"one\nlast"], ["one", "last"])

    def test_line_last_one_ends_with_a_carriage_return(self):
        """It counts as the first half of the line's ending."""
        self.check([b"last\r"], ["last"])

    def test_line_no_last_one_after_a_newline(self):
        self.check([b"one\n"], ["one"])

    def test_line_no_last_one_without_bytes(self):
        self.check([], [])

    def _unfinished(self, end):
        with Server("--framing", "line") as server, TlsPeer(server.port) as client:
            client.exchange(b"finished\n", LINE_REPLY)
            client.send(b"unfinished")
            # The honest peer after it proves that the server has gone on.
            end(client)
            line = server.wait_log("reason=(truncated|reset)").group(0)
            self.assertNotIn("handshake", line)
            with TlsPeer(server.port) as honest:
                honest.exchange(b"honest\n", LINE_REPLY)
            server.stop()
            self.assertEqual(server.received(), ["finished", "honest"])

    def test_line_unfinished_at_truncation_is_discarded(self):
        self._unfinished(TlsPeer.vanish)

    def test_line_unfinished_at_reset_is_discarded(self):
        self._unfinished(TlsPeer.reset)

    def test_line_unfinished_at_half_close_is_discarded(self):
        """The end of TCP without the end of TLS can be anybody's doing."""
        self._unfinished(lambda client: client.socket.shutdown(socket.SHUT_WR))

    def test_line_unfinished_when_the_server_stops_is_not_printed(self):
        with Server("--framing", "line") as server, TlsPeer(server.port) as client:
            client.exchange(b"finished\n", LINE_REPLY)
            client.send(b"unfinished")
            server.send_signal(signal.SIGTERM)
            self.assertEqual(client.receive_all(), b"")
            client.socket.close()
            self.assertEqual(server.wait(), 0)
            self.assertEqual(server.received(), ["finished"])

    def test_line_at_the_limit(self):
        self.check(
            [b"x" * 99 + b"\n" + b"y" * 100 + b"\n"], ["x" * 99, "y" * 100], "--max-message", "100"
        )

    def test_line_at_the_limit_with_crlf(self):
        self.check([b"x" * 100 + b"\r\n"], ["x" * 100], "--max-message", "100")

    def test_line_at_the_limit_at_a_clean_end(self):
        self.check([b"x" * 100], ["x" * 100], "--max-message", "100")

    def test_line_at_the_default_limit(self):
        for size in (MEBIBYTE - 1, MEBIBYTE):
            with self.subTest(size=size):
                self.check([b"x" * size + b"\n"], ["x" * size])

    def _refused(self, server, records, limit, before=b""):
        with TlsPeer(server.port) as client:
            client.send_raw(b"".join(client.seal(record) for record in records))
            received = client.receive_all()  # raises if there is no close_notify
            self.assertRegex(received, b"^" + before + REFUSED + rb"[^\n]*\b%d\b[^\n]*\n$" % limit)
        server.wait_log(rf"refused=.*\b{limit}\b")

    def test_line_over_the_limit_is_refused(self):
        with Server("--framing", "line", "--max-message", "100") as server:
            self._refused(server, [b"x" * 101 + b"\n"], 100)
            server.stop()
            self.assertEqual(server.received(), [])

    def test_line_over_the_default_limit_is_refused(self):
        with Server("--framing", "line") as server:
            self._refused(server, [b"x" * (MEBIBYTE + 1) + b"\n"], MEBIBYTE)
            server.stop()
            self.assertEqual(server.received(), [])

    def test_line_over_the_limit_is_refused_before_it_ends(self):
        """A line that is too long already need not be waited for."""
        with Server("--framing", "line", "--max-message", "100") as server:
            self._refused(server, [b"x" * 102], 100)

    def test_line_over_the_limit_byte_by_byte(self):
        with Server("--framing", "line", "--max-message", "100") as server:
            self._refused(server, [b"x"] * 102, 100)

    def test_line_over_the_limit_with_a_carriage_return_in_it(self):
        """A carriage return that no newline follows counts as a byte."""
        with Server("--framing", "line", "--max-message", "100") as server:
            self._refused(server, [b"x" * 100 + b"\rx\n"], 100)

    def test_line_over_the_limit_at_a_clean_end(self):
        with Server("--framing", "line", "--max-message", "100") as server:
            with TlsPeer(server.port) as client:
                client.send_raw(client.seal(b"x" * 101) + client.seal_end())
                self.assertRegex(client.receive_all(), b"^" + REFUSED)
            server.stop()
            self.assertEqual(server.received(), [])

    def test_line_refusal_comes_after_the_replies_before_it(self):
        with Server("--framing", "line", "--max-message", "100") as server:
            records = [b"one\ntwo\n" + b"x" * 101 + b"\nnever taken\n"]
            self._refused(server, records, 100, before=LINE_REPLY * 2)
            server.stop()
            self.assertEqual(server.received(), ["one", "two"])

    def test_line_refusal_survives_a_peer_that_goes_on_sending(self):
        """Unread input must not turn our last words into a reset."""
        with Server("--framing", "line", "--max-message", "100") as server:
            with TlsPeer(server.port) as client:
                client.send_raw(client.seal(b"x" * 300000 + b"\n"))
                self.assertRegex(client.receive_all(), b"^" + REFUSED)

    def test_line_refusal_concerns_its_own_connection_only(self):
        with Server("--framing", "line", "--max-message", "100", "--workers", "1") as server:
            with TlsPeer(server.port) as other:
                other.exchange(b"before\n", LINE_REPLY)
                self._refused(server, [b"x" * 101 + b"\n"], 100)
                other.exchange(b"after\n", LINE_REPLY)

    def test_line_reply_option(self):
        with Server("--framing", "line", "--reply", "Grüße ✓") as server:
            self.talk(server, [b"a\nb\n"], ["a", "b"], "Grüße ✓\n".encode() * 2)

    def test_line_of_binary_bytes(self):
        """Only the newline means something; all other bytes are the message's."""
        message = bytes(value for value in range(256) if value != 0x0A)
        with Server("--framing", "line") as server, TlsPeer(server.port) as client:
            client.exchange(message + b"\n", LINE_REPLY)

    def test_line_ten_thousand_in_few_records(self):
        lines = [f"line {number}" for number in range(10000)]
        self.check(["".join(f"{line}\n" for line in lines).encode()], lines)


class Printed(unittest.TestCase):
    """What a peer can make the server write to its operator's terminal: nothing but text."""

    def check(self, message, shown):
        with Server() as server:
            with TlsPeer(server.port) as client:
                client.exchange(message, DEFAULT_REPLY)
            server.stop()
            self.assertEqual(server.received(), [shown])
            printed = bytes(server.stdout.data).splitlines(keepends=True)[-1]
            self.assertEqual(printed, f"Received: {shown}\n".encode())

    def test_printed_newline_cannot_forge_a_line(self):
        self.check(b"a\nReceived: forged", r"a\nReceived: forged")

    def test_printed_control_characters(self):
        self.check(b"\x00\x01\t\r\x1b[31m\x7f!", r"\x00\x01\t\r\x1b[31m\x7f!")

    def test_printed_backslash_is_doubled(self):
        self.check(rb"C:\new", r"C:\\new")

    def test_printed_utf8_stays(self):
        self.check("Grüße, 日本 🎉".encode(), "Grüße, 日本 🎉")

    def test_printed_broken_utf8(self):
        self.check(b"a\xffb\xc3", r"a\xffb\xc3")

    def test_printed_c1_controls(self):
        """U+009B is a terminal's control sequence introducer in one character."""
        self.check(b"a\xc2\x9b31m", r"a\xc2\x9b31m")

    def test_printed_direction_marks(self):
        self.check("a\u202eb".encode(), r"a\xe2\x80\xaeb")

    def test_printed_every_byte(self):
        message = bytes(range(256)) + b"end"
        with Server() as server:
            with TlsPeer(server.port) as client:
                client.exchange(message, DEFAULT_REPLY)
            server.stop()
            raw = bytes(server.stdout.data)
            self.assertTrue(all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in raw), raw)


class Negotiated(unittest.TestCase):
    def test_groups_option(self):
        """A client without the only group of the server is refused with words; one that has it is served."""
        with Server("--groups", "P-384") as server:
            context = tls_peers.client_context()
            with TlsPeer(server.port, context) as client:
                client.exchange(b"any", DEFAULT_REPLY)
            context = tls_peers.client_context()
            context.set_ecdh_curve("prime256v1")
            with self.assertRaisesRegex(tls_peers.ssl.SSLError, "(?i)handshake.failure"):
                TlsPeer(server.port, context)
            server.wait_log("group|handshake")

    def test_groups_unknown_names_are_skipped(self):
        with Server("--groups", "NoSuchGroup:X25519") as server:
            with TlsPeer(server.port) as client:
                client.exchange(b"any", DEFAULT_REPLY)
