"""certpost send --plain when something fails: servers that are broken or hostile, and its own side."""

import contextlib
import os
import signal
import socket
import ssl
import unittest

import certpost_client
from plain_servers import (
    PATIENCE_S, SendPlainCase, Server, certificates, classic, hold_still, read_and_hold_still,
    replies, reset, s_server, server_context)


def setUpModule():
    certificates.begin()


class TestPeerFailures(SendPlainCase):
    def test_a_refused_port(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.check_failure(port, 7,
                           "connection refused; check that the server runs, and its port")

    def test_a_name_that_cannot_be_resolved(self):
        # A label of 64 letters is no name at all, so no network is asked.
        name = "a" * 64 + ".invalid"
        result = certpost_client.send("--cacert", certificates.ca(), name)
        self.assertEqual(result.status, 6, result)
        self.assertRegex(result.errors[0], f"^certpost: {name}:8080: the name {name} cannot be "
                         r"resolved \(.*\); check its spelling and this machine's DNS$")
        self.assertEqual(result.errors[1:], ["certpost: 0 of 1 messages acknowledged"])

    def test_a_server_that_does_not_accept(self):
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(4):  # fills the queue, so that the kernel drops further requests
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            self.check_failure(listener.getsockname()[1], 28,
                               "no TCP connection in time; check the address, and firewalls on the "
                               "way", "--connect-timeout", "300ms")

    def test_a_server_that_does_not_shake_hands(self):
        with Server(hold_still) as server:
            self.check_failure(server, 28,
                               "the TLS handshake did not complete in time; check that the server "
                               "speaks TLS on this port, and is not overloaded",
                               "--connect-timeout", "300ms")

    def test_a_server_that_does_not_reply(self):
        with Server(read_and_hold_still, server_context()) as server:
            self.check_failure(server, 28,
                               "no reply within 200 ms; the server may have the message or not: if "
                               "it uses line framing, use --framing line", "--ack-timeout", "200ms")

    def test_a_reply_without_newline_in_line_framing(self):
        with Server(replies(b"Message received!"), server_context()) as server:
            self.check_failure(server, 28,
                               "the reply was not ended by a newline within 1 s; if the server does "
                               "not use line framing, use --framing chunk",
                               "--framing", "line", "--ack-timeout", "1s")

    def test_a_server_that_does_not_read(self):
        with Server(hold_still, server_context()) as server:
            result = self.send_to(server, "--framing", "line", "-l", "--ack-timeout", "300ms",
                                  data=b"x" * 16_000_000)
        self.assertEqual(result.status, 28, result)
        self.assertRegex(result.errors[0], "the peer took only [0-9]+ of 16000001 bytes in time$")

    def test_plain_http(self):
        def handler(connection, server):
            connection.recv(16384)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            server.released.wait(PATIENCE_S)
        with Server(handler) as server:
            self.check_failure(server, 35,
                               "the peer does not speak TLS on this port; check the port, and that "
                               "the server uses TLS")

    def test_a_server_that_hangs_up_at_once(self):
        with Server(lambda connection, server: connection.recv(16384)) as server:
            self.check_failure(server, 35,
                               "the peer ended the connection during the TLS handshake; check that "
                               "it speaks TLS on this port, and its log")

    def test_a_server_that_resets_the_handshake(self):
        def handler(connection, server):
            connection.recv(16384)
            reset(connection)
        with Server(handler) as server:
            self.check_failure(server, 35,
                               "the peer broke the connection off (reset) during the TLS "
                               "handshake; check that it speaks TLS on this port")

    def test_a_server_of_tls_1_1(self):
        with s_server("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0") as port:
            self.check_failure(port, 35,
                               "the peer refused the TLS version; it may be too old: update it, or "
                               "try --tls-min 1.2")

    def test_a_server_of_another_alpn(self):
        # Python's ssl ignores what it does not know; openssl s_server insists.
        with s_server("-alpn", "h2") as port:
            self.check_failure(port, 35,
                               "the server does not offer the exchange that was asked for (ALPN); "
                               "check that the port is certpostd's")

    def test_no_group_in_common(self):
        with s_server("-groups", "P-521") as port:
            self.check_failure(port, 35,
                               "the peer found nothing in common (alert handshake_failure); compare "
                               "TLS versions, cipher suites and groups, and whether it wants a "
                               "certificate (--cert and --key)", "--groups", "P-256")

    def test_a_server_that_wants_a_certificate(self):
        context = server_context()
        context.load_verify_locations(certificates.ca())
        context.verify_mode = ssl.CERT_REQUIRED
        with Server(classic, context) as server:
            self.check_failure(server, 35,
                               "the peer requires a certificate of this side; give one with --cert "
                               "and --key")

    def test_truncation_before_the_reply(self):
        with Server(lambda connection, server: connection.recv(16384), server_context()) as server:
            self.check_failure(server, 75,
                               "the server vanished (no close_notify) before it acknowledged the "
                               "message; the server may have it or not")

    def test_a_clean_end_before_the_reply(self):
        def handler(connection, server):
            connection.recv(16384)
            connection.unwrap()
        with Server(handler, server_context()) as server:
            self.check_failure(server, 75,
                               "the server ended the connection without acknowledging the message; "
                               "its log may say why")

    def test_a_reset_before_the_reply(self):
        def handler(connection, server):
            connection.recv(16384)
            reset(connection)
        with Server(handler, server_context()) as server:
            self.check_failure(server, 75,
                               "the server broke the connection off (reset) before it acknowledged "
                               "the message; the server may have it or not")

    def test_a_second_reply_that_nobody_asked_for(self):
        with Server(replies(b"Message received!\nMessage received!\n"), server_context()) as server:
            self.check_failure(server, 76,
                               "the server sent something that no message asked for, so replies can "
                               "no longer be told apart: Message received!\\n", "--framing", "line")

    def test_a_reply_without_end(self):
        def handler(connection, server):
            connection.recv(16384)
            connection.sendall(b"y" * 40000)
            server.released.wait(PATIENCE_S)
        with Server(handler, server_context()) as server:
            self.check_failure(server, 76, "the server's reply is longer than 16384 bytes",
                               "--framing", "line")


class TestLocalFailures(SendPlainCase):
    def check_local(self, status, words, *arguments, **options):
        result = certpost_client.send(*arguments, "127.0.0.1:1", **options)
        self.check(result, status, [], [f"certpost: {words}",
                                        "certpost: 0 of 1 messages acknowledged"])

    def test_a_missing_ca_file(self):
        self.check_local(77, "cannot open the CA file /nowhere/ca: No such file or directory",
                         "--cacert", "/nowhere/ca")

    def test_an_empty_ca_file(self):
        self.check_local(77, "the CA file /dev/null is empty", "--CAfile", "/dev/null")

    def test_a_ca_file_that_is_a_folder(self):
        self.check_local(77, f"cannot read the CA file {certificates.folder}: Is a directory",
                         "--cafile", certificates.folder)

    def test_a_ca_file_without_a_certificate(self):
        path = certificates.key("server")
        result = certpost_client.send("--cacert", path, "127.0.0.1:1")
        self.assertEqual(result.status, 77, result)
        self.assertRegex(result.errors[0], f"^certpost: the CA file {path} holds no certificate in "
                         r"PEM form \(.*\); it must begin with -----BEGIN CERTIFICATE-----$")

    def test_a_crl_file_without_a_crl(self):
        path = certificates.ca()
        result = certpost_client.send("--cacert", path, "--crlfile", path, "127.0.0.1:1")
        self.assertEqual(result.status, 77, result)
        self.assertIn(f"the CRL file {path} holds no revocation list in PEM form", result.errors[0])

    def test_a_missing_ca_folder(self):
        self.check_local(77, "cannot open the CA folder /nowhere: No such file or directory",
                         "--capath", "/nowhere")

    def test_a_key_of_another_certificate(self):
        result = certpost_client.send("--cacert", certificates.ca(), "--cert", certificates.leaf(),
                                      "--key", certificates.key("other"), "127.0.0.1:1")
        self.assertEqual(result.status, 58, result)
        self.assertEqual(result.errors[-1], "certpost: 0 of 1 messages acknowledged")

    def test_a_missing_message_file(self):
        self.check_local(74, "cannot read the file /nowhere/m: No such file or directory",
                         "-f", "/nowhere/m")

    def test_a_full_standard_output(self):
        with Server(classic, server_context()) as server, open("/dev/full", "wb") as full:
            result = self.send_to(server, "-m", "a", "-m", "b", stdout=full)
        self.check(result, 74, [],
                   ["certpost: cannot write to standard output: No space left on device",
                    "certpost: 1 of 2 messages acknowledged"])

    def test_a_closed_standard_output(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, preexec_fn=lambda: os.close(1), stdout=None)
        self.check(result, 74, [],
                   ["certpost: cannot write to standard output: Bad file descriptor",
                    "certpost: 1 of 1 messages acknowledged"])
        self.assertEqual(server.received.get_nowait(), b"Hello, server!")
        self.assertTrue(server.received.empty())

    def test_a_reader_of_standard_output_that_left(self):
        reading, writing = os.pipe()
        os.close(reading)
        with Server(classic, server_context()) as server:
            result = self.send_to(server, stdout=writing)
        os.close(writing)
        self.check(result, 74, [], ["certpost: cannot write to standard output: Broken pipe",
                                    "certpost: 1 of 1 messages acknowledged"])

    def test_a_key_log_that_cannot_be_written(self):
        self.check_local(74, "cannot open the key log /nowhere/log: No such file or directory",
                         "--cacert", certificates.ca(), "--keylogfile", "/nowhere/log")

    def check_signal(self, number):
        with Server(read_and_hold_still, server_context()) as server, certpost_client.start(
                "send", "--plain", "--cacert", certificates.ca(), "-m", "a", "-m", "b",
                f"127.0.0.1:{server.port}") as process:
            server.received.get(timeout=PATIENCE_S)
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual((process.returncode, output), (-number, b""))
        self.assertEqual(errors.decode(), "certpost: 0 of 2 messages acknowledged, interrupted\n")

    def test_interrupted_by_the_user(self):
        self.check_signal(signal.SIGINT)

    def test_terminated(self):
        self.check_signal(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
