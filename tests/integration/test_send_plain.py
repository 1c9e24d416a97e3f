"""certpost send --plain: the exchange with servers that are not certpost's, what is refused before it
is sent or by the server, and the command line.
"""

import queue
import socket
import ssl
import unittest

import certpost_client
import processes
from plain_servers import (
    OK, PATIENCE_S, SendPlainCase, Server, certificates, classic, lines, read_line, replies,
    reset, s_server, server_context)


def setUpModule():
    certificates.begin()


class TestExchange(SendPlainCase):
    def test_hello_to_the_classic_python_server(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server)
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])
        self.assertEqual(server.received.get_nowait(), b"Hello, server!")

    def test_messages_and_files_go_out_in_the_order_given(self):
        path = certificates.folder / "message"
        path.write_bytes(b"from\na file\n")
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-m", "one", "-f", path, "-f", "-", "-m", "three",
                                  data=b"standard input")
        self.check(result, 0, [OK] * 4, ["certpost: 4 of 4 messages acknowledged"])
        sent = [server.received.get_nowait() for _ in range(4)]
        self.assertEqual(sent, [b"one", b"from\na file\n", b"standard input", b"three"])

    def test_many_messages(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-l", "-q", data=b"".join(b"%d\n" % i for i in range(500)))
        self.check(result, 0, [], ["certpost: 500 of 500 messages acknowledged"])
        for i in range(500):
            self.assertEqual(server.received.get_nowait(), b"%d" % i)

    def test_line_framing(self):
        with Server(lines, server_context()) as server:
            result = self.send_to(server, "--framing", "line", "-m", "one", "-m", "two\r\n",
                                  "-m", "", "-m", "x" * 100000)
        self.check(result, 0, [OK] * 4, ["certpost: 4 of 4 messages acknowledged"])
        sent = [server.received.get_nowait() for _ in range(4)]
        self.assertEqual(sent, [b"one\n", b"two\n", b"\n", b"x" * 100000 + b"\n"])

    def test_an_empty_message_in_chunk_framing_is_a_newline(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-m", "")
        self.assertEqual(result.status, 0)
        self.assertEqual(server.received.get_nowait(), b"\n")

    def test_the_longest_chunk_arrives_whole(self):
        path = certificates.folder / "longest"
        path.write_bytes(b"z" * 16384)
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-f", path)
        self.assertEqual(result.status, 0)
        self.assertEqual(server.received.get_nowait(), b"z" * 16384)

    def test_lines_of_every_ending(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-l", data=b"a\nb\r\n\nlast")
        self.check(result, 0, [OK] * 4, ["certpost: 4 of 4 messages acknowledged"])
        sent = [server.received.get_nowait() for _ in range(4)]
        self.assertEqual(sent, [b"a", b"b", b"\n", b"last"])

    def test_no_lines_are_no_messages(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-l")
        self.check(result, 0, [], ["certpost: 0 of 0 messages acknowledged"])

    def test_the_first_line_is_acknowledged_before_the_second_is_written(self):
        with Server(classic, server_context()) as server, certpost_client.start(
                "send", "--plain", "-l", "--cacert", certificates.ca(),
                f"127.0.0.1:{server.port}") as process:
            for text in (b"one\n", b"two\n"):
                process.stdin.write(text)
                process.stdin.flush()
                self.assertEqual(read_line(process.stdout), OK)
            output, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual((process.returncode, output), (0, b""))
        self.assertEqual(errors.decode(), "certpost: 2 of 2 messages acknowledged\n")

    def test_a_name_over_ipv6_or_ipv4(self):
        processes.need_localhost()
        with Server(classic, server_context()) as server:
            result = certpost_client.send("--cacert", certificates.ca(), "-h", "localhost",
                                          "-p", server.port)
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])

    def test_an_ipv6_address(self):
        try:
            server = Server(classic, server_context(), socket.AF_INET6, "::1")
        except OSError:
            self.skipTest("this machine has no IPv6")
        with server:
            result = certpost_client.send("--cacert", certificates.ca(), f"[::1]:{server.port}")
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])

    def test_openssl_s_server(self):
        with s_server("-rev") as port:
            result = self.send_to(port, "--framing", "line", "-m", "abc")
        self.check(result, 0, ["Received from server: cba"],
                   ["certpost: 1 of 1 messages acknowledged"])

    def test_tls_1_2_when_allowed(self):
        context = server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with Server(classic, context) as server:
            result = self.send_to(server, "--tls-min", "1.2", "-v")
        self.assertEqual(result.status, 0, result)
        self.assertIn("with TLSv1.2, ECDHE-", " ".join(result.errors))

    def test_verbose_tells_address_tls_and_certificate(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-v")
        at = f"127.0.0.1:{server.port}"
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.errors[0], f"certpost: trying {at}")
        self.assertRegex(result.errors[1], f"^certpost: connected to {at} with TLSv1.3, TLS_.*, group")
        self.assertRegex(result.errors[2], "^certpost: server certificate: CN=server, "
                         "names localhost, 127.0.0.1, ::1, issued by CN=certpost test ca, valid until")

    def test_own_certificate(self):
        context = server_context()
        context.load_verify_locations(certificates.ca())
        context.verify_mode = ssl.CERT_REQUIRED
        client = certificates.leaf("client", purpose="clientAuth")
        with Server(classic, context) as server:
            result = self.send_to(server, "--cert", client, "--key", certificates.key("client"))
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])

    def test_alpn_offers_the_plain_exchange(self):
        context = server_context()
        context.set_alpn_protocols(["certpost-plain"])
        chosen = queue.Queue()

        def handler(connection, server):
            chosen.put(connection.selected_alpn_protocol())
            classic(connection, server)
        with Server(handler, context) as server:
            self.assertEqual(self.send_to(server).status, 0)
        self.assertEqual(chosen.get_nowait(), "certpost-plain")

    def test_insecure_warns_and_works(self):
        with Server(classic, server_context("s", certificates.self_signed("s"))) as server:
            result = certpost_client.send("-k", "-q", "-p", server.port)
        self.check(result, 0, [],
                   ["certpost: warning: --insecure: the server is not verified; anyone on the way "
                    "can read and alter the messages", "certpost: 1 of 1 messages acknowledged"])

    def test_key_log_has_secrets_and_is_private(self):
        path = certificates.folder / "keylog"
        with Server(classic, server_context()) as server:
            result = self.send_to(server, env={"SSLKEYLOGFILE": str(path)})
        self.assertEqual(result.status, 0, result)
        self.assertIn("CLIENT_TRAFFIC_SECRET_0", path.read_text())
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_replies_are_escaped(self):
        with Server(replies(b"\x1b[2Jhi\nthere\n"), server_context()) as server:
            result = self.send_to(server)
        self.assertEqual(result.output, ["Received from server: \\x1b[2Jhi\\nthere"])

    def test_a_reply_before_an_abrupt_close_is_read(self):
        def handler(connection, server):
            connection.recv(16384)
            connection.sendall(b"Message received!")
            reset(connection)
        with Server(handler, server_context()) as server:
            result = self.send_to(server)
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])

    def test_a_peer_that_never_answers_close_notify_does_no_harm(self):
        def handler(connection, server):
            connection.recv(16384)
            connection.sendall(b"Message received!")
            server.released.wait(PATIENCE_S)
        with Server(handler, server_context()) as server:
            result = self.send_to(server)
        self.check(result, 0, [OK], ["certpost: 1 of 1 messages acknowledged"])


class TestRefusals(SendPlainCase):
    def test_a_refusal_of_the_server(self):
        with Server(replies(b"Message received!", b"Message refused: too \x07 long\n"),
                    server_context()) as server:
            self.check_failure(server, 65, "the server refused the message: too \\x07 long",
                               "-m", "a", "-m", "b", "-m", "c", total=3, acknowledged=1)

    def test_a_chunk_over_16384_bytes_is_not_sent(self):
        path = certificates.folder / "long"
        path.write_bytes(b"z" * 16385)
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "-f", path)
        self.check(result, 65, [],
                   ["certpost: a message of 16385 bytes is too long for --framing chunk, which "
                    "carries at most 16384; use --framing line on both sides",
                    "certpost: 0 of 1 messages acknowledged"])
        self.assertTrue(server.received.empty())

    def test_line_framing_refuses_what_it_cannot_carry(self):
        with Server(lines, server_context()) as server:
            inner = self.send_to(server, "--framing", "line", "-m", "a\nb")
            ending = self.send_to(server, "--framing", "line", "-m", "a\r")
        self.check(inner, 65, [],
                   ["certpost: --framing line cannot carry a message with a newline in it "
                    "unaltered; use --framing chunk on both sides",
                    "certpost: 0 of 1 messages acknowledged"])
        self.check(ending, 65, [],
                   ["certpost: --framing line cannot carry a message that ends in a carriage "
                    "return unaltered; use --framing chunk on both sides",
                    "certpost: 0 of 1 messages acknowledged"])
        self.assertTrue(server.received.empty())

    def test_a_line_over_16_mib_is_an_error(self):
        with Server(lines, server_context()) as server:
            result = self.send_to(server, "--framing", "line", "-l", "-q",
                                  data=b"short\n" + b"x" * (16 * 1024 * 1024 + 1) + b"\n")
        self.check(result, 65, [], ["certpost: a message is longer than 16 MiB",
                                    "certpost: 1 of 2 messages acknowledged"])

    def test_a_refusal_while_the_message_is_still_being_written_is_read(self):
        def handler(connection, server):
            connection.recv(100)
            connection.sendall(b"Message refused: enough\n")
            reset(connection)
        with Server(handler, server_context()) as server:
            self.check_failure(server, 65, "the server refused the message: enough",
                               "--framing", "line", "-m", "x" * 120000)


class TestCommandLine(SendPlainCase):
    def check_usage(self, words, *arguments):
        result = certpost_client.run(*arguments)
        self.check(result, 2, [], [f"certpost: {words}"])

    def test_an_unknown_command_suggests_the_nearest(self):
        self.check_usage("unknown command snd; did you mean send?", "snd")

    def test_an_unknown_option_suggests_the_nearest(self):
        self.check_usage("unknown option --cacrt; did you mean --cacert?", "send", "--plain",
                         "--cacrt", "x")

    def test_no_command(self):
        self.check_usage("which command? see certpost --help")

    def test_half_a_certificate(self):
        self.check_usage("--cert needs --key: a certificate is of no use without its key", "send",
                         "--plain", "--cert", "x")

    def test_help_and_version(self):
        for arguments in (["--help"], ["send", "--help"]):
            result = certpost_client.run(*arguments)
            self.assertEqual((result.status, result.errors), (0, []))
            self.assertTrue(result.output[0].startswith("Usage: certpost"))
        for arguments in (["--version"], ["-V"], ["send", "-V"]):
            result = certpost_client.run(*arguments)
            self.assertEqual((result.status, result.errors), (0, []))
            self.assertRegex(result.output[0], r"^certpost \d+\.\d+\.\d+$")

    def test_help_to_a_full_disk_fails(self):
        for command in ([], ["send"], ["read"], ["verify"], ["receipt"]):
            with open("/dev/full", "wb") as full:
                result = certpost_client.run(*command, "--help", stdout=full)
            self.assertEqual((result.status, result.errors),
                             (74, ["certpost: cannot write to standard output: No space left on device"]))


if __name__ == "__main__":
    unittest.main()
