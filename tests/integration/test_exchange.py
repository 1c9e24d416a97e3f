"""The plain exchange: certpostd with `openssl s_client`, Python's ssl, gnutls-cli, socat, ncat, curl.

One case alone: ctest --preset dev -R 'integration.exchange.hello'
"""

import os
import random
import re
import signal
import socket
import ssl
import string
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, Server
from tls_peers import OpenSslClient, TlsPeer

GREETING = b"Hello, server!"
MEBIBYTE = 1 << 20
MANY_CLIENTS = 50
TLS_1_2_ONLY = {"maximum": ssl.TLSVersion.TLSv1_2}


def printable(size, seed):
    """Text that is printed as it is: no control character, no backslash."""
    letters = string.ascii_letters + string.digits + " .,;:!?"
    return "".join(random.Random(seed).choices(letters, k=size)).encode()


def exchange_and_leave(server, context=None, message=GREETING, **peer):
    """An honest client from beginning to clean end; returns what its connection negotiated."""
    with TlsPeer(server.port, context, **peer) as client:
        client.exchange(message, DEFAULT_REPLY)
        rest = client.finish()
        if rest:
            raise AssertionError(f"after the reply came {rest!r}")
        return client.tls.version(), client.tls.cipher()[0], client.tls.selected_alpn_protocol()


class Hello(unittest.TestCase):
    """What is on the server's standard output, and what comes back, to the letter."""

    def test_hello(self):
        with Server() as server, TlsPeer(server.port) as client:
            client.exchange(GREETING, DEFAULT_REPLY)
            self.assertEqual(client.finish(), b"")
            server.stop()
            self.assertEqual(
                server.stdout.lines,
                [
                    f"Server listening on 127.0.0.1:{server.port}",
                    f"Connected by {client.address}",
                    "Received: Hello, server!",
                ],
            )

    def test_reply_option(self):
        with Server("--reply", "Grüße, ✓") as server, TlsPeer(server.port) as client:
            client.exchange(GREETING, "Grüße, ✓".encode())

    def test_no_print_is_silent_after_listening(self):
        with Server("--no-print") as server:
            exchange_and_leave(server)
            server.stop()
            self.assertEqual(server.stdout.lines, [f"Server listening on {server.address}"])

    def test_alpn_certpost_plain(self):
        with Server() as server:
            context = tls_peers.client_context(alpn=["certpost-plain"])
            self.assertEqual(exchange_and_leave(server, context)[2], "certpost-plain")

    def test_alpn_certpost_plain_among_others(self):
        with Server() as server:
            context = tls_peers.client_context(alpn=["h2", "certpost-plain", "http/1.1"])
            self.assertEqual(exchange_and_leave(server, context)[2], "certpost-plain")

    def test_alpn_of_others_is_refused_by_alert(self):
        with Server() as server:
            context = tls_peers.client_context(alpn=["h2", "http/1.1"])
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                TlsPeer(server.port, context)
            server.wait_log("alpn|application protocol")
            exchange_and_leave(server)

    def test_write_and_close_at_once(self):
        """The message of a client that neither waits nor reads is not lost to a reset."""
        with Server() as server:
            for number in range(20):
                with TlsPeer(server.port) as client:
                    client.send_raw(client.seal(b"parting word %d" % number) + client.seal_end())
            for number in range(20):
                server.wait_received(f"parting word {number}")

    def test_half_closed_client_still_gets_its_reply(self):
        """A client may end its sending side, also that of TCP, before it reads."""
        with Server() as server, TlsPeer(server.port) as client:
            client.send_raw(client.seal(GREETING) + client.seal_end())
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.receive_all(), DEFAULT_REPLY)

    def test_rsa_certificate(self):
        self._serve_key_type("rsa3072")

    def test_ed25519_certificate(self):
        self._serve_key_type("ed25519")

    def _serve_key_type(self, folder):
        with Server(cert=f"{folder}/server.crt", key=f"{folder}/server.key") as server:
            exchange_and_leave(server, tls_peers.client_context(ca=f"{folder}/ca.crt"))

    def test_tls_1_3_by_default(self):
        with Server() as server:
            self.assertEqual(exchange_and_leave(server)[0], "TLSv1.3")

    def test_ciphersuites_option(self):
        with Server("--ciphersuites", "TLS_CHACHA20_POLY1305_SHA256") as server:
            self.assertEqual(exchange_and_leave(server)[1], "TLS_CHACHA20_POLY1305_SHA256")

    def test_tls_1_2_has_only_aead_and_ecdhe(self):
        with Server("--tls-min", "1.2") as server:
            version, cipher, _ = exchange_and_leave(server, tls_peers.client_context(**TLS_1_2_ONLY))
            self.assertEqual(version, "TLSv1.2")
            self.assertRegex(cipher, r"^ECDHE-ECDSA-.*(GCM|CHACHA20|CCM)")
            weak = tls_peers.client_context(**TLS_1_2_ONLY)
            weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:AES128-GCM-SHA256")
            with self.assertRaisesRegex(ssl.SSLError, "(?i)handshake.failure"):
                TlsPeer(server.port, weak)


class SClient(unittest.TestCase):
    """`openssl s_client` as people use it."""

    def talk(self, server, *options, message=b"Hello, server!\n"):
        """Sends one message, sees the reply, ends the input; the client and its status."""
        with OpenSslClient(server.port, *options) as client:
            client.write(message)
            client.stdout.wait_bytes(DEFAULT_REPLY)
            server.wait_received("Hello, server!")
            self.assertEqual(client.finish(), 0, client.report())
            self.assertEqual(client.stdout.data.count(DEFAULT_REPLY), 1)
            return client

    def test_s_client_brief_verified(self):
        with Server() as server:
            client = self.talk(server, "-brief", "-verify_return_error", "-verify_hostname", "localhost")
            self.assertIn("Verification: OK", client.everything())
            self.assertIn("Verified peername: localhost", client.everything())
            self.assertEqual(bytes(client.stdout.data), DEFAULT_REPLY)

    def test_s_client_verified_by_address(self):
        with Server() as server:
            self.talk(server, "-brief", "-verify_return_error", "-verify_ip", "127.0.0.1")

    def test_s_client_wrong_name_is_its_own_error(self):
        with Server() as server:
            options = ("-brief", "-verify_return_error", "-verify_hostname", "elsewhere.example")
            with OpenSslClient(server.port, *options) as client:
                self.assertNotEqual(client.wait(), 0)
                self.assertIn("hostname mismatch", client.everything())
            server.wait_log("certificate")
            self.talk(server, "-brief")

    def test_s_client_full_output(self):
        with Server() as server:
            client = self.talk(server)
            self.assertIn("Verify return code: 0 (ok)", client.everything())

    def test_s_client_quiet(self):
        """With -quiet the end of input ends nothing: it is the server's close_notify that does."""
        with Server() as server, OpenSslClient(server.port, "-quiet") as client:
            client.write(b"Hello, server!\n")
            client.stdout.wait_bytes(DEFAULT_REPLY)
            client.close_stdin()
            server.stop()
            self.assertEqual(client.wait(), 0, client.report())
            self.assertEqual(bytes(client.stdout.data), DEFAULT_REPLY)

    def test_s_client_nocommands(self):
        """A message that begins with one of its command letters is a message like any other."""
        with Server() as server, OpenSslClient(server.port, "-nocommands", "-brief") as client:
            client.write(b"Quite a message\n")
            client.stdout.wait_bytes(DEFAULT_REPLY)
            server.wait_received("Quite a message")
            self.assertEqual(client.finish(), 0)

    def test_s_client_tls1_3(self):
        with Server() as server:
            client = self.talk(server, "-tls1_3", "-brief")
            self.assertIn("Protocol version: TLSv1.3", client.everything())

    def _refused(self, server, *options):
        with OpenSslClient(server.port, "-brief", *options) as client:
            self.assertNotEqual(client.wait(), 0)
            self.assertRegex(client.everything(), "(?i)alert protocol version")
        server.wait_log("(warning|info) .*(TLS 1|version|protocol)")
        self.talk(server, "-brief")

    def test_s_client_tls1_1_is_refused(self):
        with Server() as server:
            self._refused(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")

    def test_s_client_tls1_1_is_refused_with_tls_min_1_2(self):
        with Server("--tls-min", "1.2") as server:
            self._refused(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")

    def test_s_client_tls1_2_is_refused_by_default(self):
        with Server() as server:
            self._refused(server, "-tls1_2")

    def test_s_client_tls1_2_with_tls_min_1_2(self):
        with Server("--tls-min", "1.2") as server:
            client = self.talk(server, "-tls1_2", "-brief")
            self.assertIn("Protocol version: TLSv1.2", client.everything())
            self.talk(server, "-tls1_3", "-brief")

    def test_s_client_gets_no_ticket(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "session.pem")
            client = self.talk(server, "-tls1_3", "-sess_out", session)
            self.assertNotIn("New Session Ticket", client.everything())
            self.assertFalse(os.path.exists(session) and os.path.getsize(session))

    def test_s_client_tls1_2_gets_no_ticket(self):
        with Server("--tls-min", "1.2") as server:
            client = self.talk(server, "-tls1_2")
            self.assertNotIn("TLS session ticket", client.everything())

    def test_s_client_offers_a_foreign_session(self):
        """A session that another server with the same certificate gave: full handshake, and all works."""
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "session.pem")
            self._get_foreign_session(session)
            client = self.talk(server, "-sess_in", session)
            self.assertIn("New, TLSv1.3", client.everything())
            self.assertNotIn("Reused", client.everything())

    def _get_foreign_session(self, path):
        pair = ("-cert", certs.path("server.crt"), "-key", certs.path("server.key"))
        with processes.Process(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", *pair, "-naccept", "1"]
        ) as other:
            port = int(other.stdout.wait_line(r"ACCEPT 127\.0\.0\.1:(\d+)").group(1))
            with OpenSslClient(port, "-sess_out", path) as client:
                # The tickets come before any data.
                other.write(b"whoever reads this has read the tickets\n")
                client.stdout.wait_bytes(b"has read the tickets")
                client.finish()
        self.assertGreater(os.path.getsize(path), 0)

    def test_s_client_resumes_with_tls1_2(self):
        """Reconnecting with the session of before works, resumed or not."""
        with Server("--tls-min", "1.2") as server, tempfile.TemporaryDirectory() as folder:
            session = os.path.join(folder, "session.pem")
            self.talk(server, "-tls1_2", "-sess_out", session)
            if os.path.exists(session):
                self.talk(server, "-tls1_2", "-sess_in", session)
            exchange_and_leave(server)

    def test_s_client_one_mebibyte(self):
        """Every byte is accounted for, in order, and every message is answered."""
        text = printable(MEBIBYTE, seed=1)
        with Server() as server, OpenSslClient(server.port, "-nocommands", "-brief") as client:
            client.write(text)
            server.stdout.wait(lambda: sum(map(len, server.received())) >= MEBIBYTE, "all of the input")
            messages = server.received()
            self.assertEqual("".join(messages).encode(), text)
            client.stdout.wait_bytes(DEFAULT_REPLY, count=len(messages))
            self.assertEqual(client.finish(), 0)
            self.assertEqual(bytes(client.stdout.data), DEFAULT_REPLY * len(messages))

    def test_s_client_message_without_newline(self):
        with Server() as server:
            self.talk(server, "-brief", message=b"Hello, server!")

    def test_s_client_message_with_crlf(self):
        with Server() as server:
            self.talk(server, "-brief", "-crlf")

    def test_s_client_several_messages(self):
        with Server() as server, OpenSslClient(server.port, "-brief") as client:
            for number in range(1, 6):
                client.write(b"message %d\n" % number)
                client.stdout.wait_bytes(DEFAULT_REPLY, count=number)
            self.assertEqual(client.finish(), 0)
            server.stop()
            self.assertEqual(server.received(), [f"message {number}" for number in range(1, 6)])
            connections = [line for line in server.stdout.lines if line.startswith("Connected by ")]
            self.assertEqual(len(connections), 1)

    def test_s_client_fifty_at_once(self):
        """All are connected before the first of them speaks."""
        with Server("--workers", "2") as server:
            clients = [OpenSslClient(server.port, "-brief") for _ in range(MANY_CLIENTS)]
            try:
                for client in clients:
                    client.stderr.wait_bytes(b"CONNECTION ESTABLISHED")
                for _ in clients:
                    server.wait_line(r"Connected by 127\.0\.0\.1:\d+")
                for number, client in enumerate(clients):
                    client.write(b"from client %d\n" % number)
                for number, client in enumerate(clients):
                    client.stdout.wait_bytes(DEFAULT_REPLY)
                    server.wait_received(f"from client {number}")
                for client in clients:
                    self.assertEqual(client.finish(), 0, client.report())
                    self.assertEqual(bytes(client.stdout.data), DEFAULT_REPLY)
            finally:
                for client in clients:
                    client.kill()
            self.assertEqual(len(server.received()), MANY_CLIENTS)


# The name that must be in the certificate. Connecting by address needs no /etc/hosts, which a fresh root
# lacks.
NAME = ("--verify-hostname=localhost", "--sni-hostname=localhost")


class OtherPeers(unittest.TestCase):
    """Programs and languages that know nothing of certpost."""

    def test_python_ssl(self):
        """The ten-line script of anybody, with blocking calls only."""
        with Server() as server:
            context = ssl.create_default_context(cafile=certs.path("ca.crt"))
            with socket.create_connection(("127.0.0.1", server.port), processes.DEADLINE_S) as plain:
                with context.wrap_socket(
                    plain, server_hostname="localhost", suppress_ragged_eofs=False
                ) as client:
                    for number in range(3):
                        client.sendall(b"message %d" % number)
                        self.assertEqual(client.recv(4096), DEFAULT_REPLY)
                    self.assertFalse(client.session.has_ticket)
                    client.unwrap().close()
            server.stop()
            self.assertEqual(server.received(), ["message 0", "message 1", "message 2"])

    def test_python_ssl_checks_the_address(self):
        with Server(listen=("127.0.0.1:0",)) as server:
            exchange_and_leave(server, server_name="127.0.0.1")

    def _talk(self, server, arguments):
        with processes.Process(arguments) as client:
            client.write(b"Hello, server!\n")
            client.stdout.wait_bytes(DEFAULT_REPLY)
            server.wait_received("Hello, server!")
            client.close_stdin()
            self.assertEqual(client.wait(), 0, client.report())
        exchange_and_leave(server)

    def test_gnutls_cli(self):
        program = processes.need_program("gnutls-cli")
        with Server() as server:
            trust = f"--x509cafile={certs.path('ca.crt')}"
            self._talk(server, [program, trust, *NAME, "--port", server.port, "127.0.0.1"])

    def test_gnutls_cli_tls1_2(self):
        program = processes.need_program("gnutls-cli")
        with Server("--tls-min", "1.2") as server:
            trust = f"--x509cafile={certs.path('ca.crt')}"
            priority = "--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2"
            self._talk(server, [program, trust, *NAME, priority, "--port", server.port, "127.0.0.1"])

    def test_socat(self):
        program = processes.need_program("socat")
        with Server() as server:
            target = f"OPENSSL:127.0.0.1:{server.port},cafile={certs.path('ca.crt')},verify=1"
            target += ",commonname=localhost"
            self._talk(server, [program, "-", target])

    def test_ncat(self):
        program = processes.need_program("ncat")
        with Server() as server:
            trust = ("--ssl", "--ssl-verify", "--ssl-trustfile", certs.path("ca.crt"))
            self._talk(server, [program, *trust, "--ssl-servername", "localhost", "127.0.0.1", server.port])

    def _curl(self, server, *options):
        program = processes.need_program("curl")
        url = f"https://localhost:{server.port}/"
        most = ("--max-time", str(processes.DEADLINE_S))
        most += ("--resolve", f"localhost:{server.port}:127.0.0.1")
        return processes.run([program, "-sS", *most, "--cacert", certs.path("ca.crt"), *options, url])

    def test_curl_is_told_no_application_protocol(self):
        processes.need_program("curl")
        with Server() as server:
            status, _, errors = self._curl(server)
            self.assertEqual(status, 35, errors)
            self.assertRegex(errors, "(?i)no application protocol")
            exchange_and_leave(server)

    def test_curl_without_alpn_ends_clearly(self):
        """It gets the reply to its request, which is no HTTP, and says so."""
        processes.need_program("curl")
        with Server() as server:
            status, _, errors = self._curl(server, "--no-alpn")
            self.assertEqual(status, 1, errors)
            self.assertIn("HTTP/0.9", errors)
            server.wait_line(r"Received: GET / HTTP/1\.1\\r\\nHost: localhost:\d+\\r\\n.*")
            exchange_and_leave(server)


class Ending(unittest.TestCase):
    """What peers see when the server is told to stop."""

    def _ends_for_all(self, signal_number):
        with Server("--workers", "2") as server:
            peers = [TlsPeer(server.port) for _ in range(8)]
            try:
                for peer in peers[:4]:
                    peer.exchange(GREETING, DEFAULT_REPLY)
                server.send_signal(signal_number)
                for peer in peers:
                    self.assertEqual(peer.receive_all(), b"")  # raises without a close_notify
                    peer.socket.close()
                self.assertEqual(server.wait(), 0)
            finally:
                for peer in peers:
                    peer.socket.close()

    def test_sigterm_says_close_notify_to_all(self):
        self._ends_for_all(signal.SIGTERM)

    def test_sigint_says_close_notify_to_all(self):
        self._ends_for_all(signal.SIGINT)

    def test_sigterm_with_a_peer_in_its_handshake(self):
        """A peer that has not even finished its handshake keeps nobody waiting."""
        with Server() as server, TlsPeer(server.port) as honest:
            with tls_peers.tcp_connect(server.port) as silent:
                silent.sendall(b"\x16\x03\x01")
                honest.exchange(GREETING, DEFAULT_REPLY)
                server.send_signal(signal.SIGTERM)
                tls_peers.raw_receive_all(silent)
                self.assertEqual(honest.receive_all(), b"")
                honest.socket.close()
                self.assertEqual(server.wait(), 0)

    def test_sigpipe_is_harmless(self):
        with Server() as server:
            server.send_signal(signal.SIGPIPE)
            exchange_and_leave(server)

    def test_new_connections_are_refused_after_the_end(self):
        with Server() as server:
            exchange_and_leave(server)
            server.stop()
            with self.assertRaises(ConnectionRefusedError):
                tls_peers.tcp_connect(server.port)

    def test_client_addresses_are_printed(self):
        with Server() as server:
            addresses = []
            for _ in range(3):
                with TlsPeer(server.port) as client:
                    addresses.append(client.address)
                    client.finish()
            server.stop()
            printed = [re.sub("^Connected by ", "", line) for line in server.stdout.lines[1:]]
            self.assertEqual(printed, addresses)
