"""certpost send --plain against servers that are not certpost's: good, broken and hostile ones."""

import contextlib
import os
import pathlib
import queue
import re
import selectors
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import certpost_client

OK = "Received from server: Message received!"
PATIENCE_S = 30


class Certificates:
    """Makes what a test asks for with the openssl command, once each, in a folder of its own."""

    CONFIG = """
[ca]
default_ca = d
[d]
database = {folder}/index
new_certs_dir = {folder}
default_md = sha256
policy = p
rand_serial = yes
unique_subject = no
default_crl_days = 5
[p]
commonName = supplied
"""
    GOOD = "DNS:localhost,IP:127.0.0.1,IP:::1"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "config"
        self.config.write_text(self.CONFIG.format(folder=folder))
        (self.folder / "index").touch()

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, timeout=PATIENCE_S,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def key(self, name):
        path = self.folder / f"{name}.key"
        if not path.exists():
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                         "-out", path)
        return path

    def ca(self, name="ca"):
        path = self.folder / f"{name}.pem"
        if not path.exists():
            self.openssl("req", "-x509", "-new", "-key", self.key(name), "-out", path, "-days", 30,
                         "-subj", f"/CN=certpost test {name}",
                         "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        return path

    def leaf(self, name="server", *, ca="ca", names=GOOD, purpose="serverAuth",
             start=None, end=None):
        path = self.folder / f"{name}.pem"
        if path.exists():
            return path
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={purpose}\n"
                              "basicConstraints=critical,CA:false\n"
                              "keyUsage=critical,digitalSignature\n"
                              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("req", "-new", "-key", self.key(name), "-subj", f"/CN={name}", "-out", request)
        times = ["-startdate", start, "-enddate", end] if start else ["-days", "10"]
        self.openssl("ca", "-batch", "-notext", "-config", self.config, "-cert", self.ca(ca),
                     "-keyfile", self.key(ca), "-in", request, "-out", path, "-extfile", extensions,
                     *times)
        return path

    def self_signed(self, name="selfsigned"):
        path = self.folder / f"{name}.pem"
        self.openssl("req", "-x509", "-new", "-key", self.key(name), "-out", path, "-days", 10,
                     "-subj", f"/CN={name}", "-addext", f"subjectAltName={self.GOOD}")
        return path

    def crl(self, *revoked):
        for path in revoked:
            self.openssl("ca", "-config", self.config, "-cert", self.ca(), "-keyfile",
                         self.key("ca"), "-revoke", path)
        path = self.folder / "crl.pem"
        self.openssl("ca", "-config", self.config, "-cert", self.ca(), "-keyfile", self.key("ca"),
                     "-gencrl", "-out", path)
        return path


def setUpModule():
    global certificates
    folder = tempfile.mkdtemp(prefix="certpost-send-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    certificates = Certificates(folder)


def server_context(name="server", certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate or certificates.leaf(name), certificates.key(name))
    return context


class Server:
    """Runs `handler(connection, server)` in a thread for each connection, over TLS or raw."""

    def __init__(self, handler, context=None, family=socket.AF_INET, host="127.0.0.1"):
        self.handler = handler
        self.context = context
        self.received = queue.Queue()
        self.released = threading.Event()  # handlers that hold still wait for it
        self.threads = []
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()
        return self

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            # Otherwise Nagle's algorithm holds a reply back, and a reset throws it away unsent.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        with contextlib.closing(connection):
            # What the client does to the connection is for the test to judge, not for the server.
            with contextlib.suppress(OSError):
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
                with contextlib.closing(connection):
                    self.handler(connection, self)

    def __exit__(self, *_):
        self.released.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(PATIENCE_S)
        for thread in self.threads:
            thread.join(PATIENCE_S)


def classic(connection, server):
    """The classic example: print what one recv returns, answer, until the client ends."""
    while data := connection.recv(16384):
        server.received.put(data)
        connection.sendall(b"Message received!")
    connection.unwrap()


def replies(*answers):
    """A server that gives these replies, one for each thing that it reads, and then goes on."""
    def handler(connection, server):
        for answer in answers:
            server.received.put(connection.recv(16384))
            connection.sendall(answer)
        connection.recv(16384)
        connection.unwrap()
    return handler


def lines(connection, server):
    """Line framing."""
    with connection.makefile("rb") as reader:
        for line in reader:
            server.received.put(line)
            connection.sendall(b"Message received!\n")
    connection.unwrap()


def hold_still(connection, server):
    server.released.wait(PATIENCE_S)


def read_and_hold_still(connection, server):
    server.received.put(connection.recv(16384))
    server.released.wait(PATIENCE_S)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def s_server(*arguments):
    """openssl s_server on a free port; gives the port."""
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificates.leaf(),
               "-key", certificates.key("server"), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        try:
            while not (match := re.match(r"ACCEPT .*:(\d+)", read_line(process.stdout))):
                pass
            yield int(match[1])
        finally:
            process.kill()


class SendPlainCase(unittest.TestCase):
    def check(self, result, status, output, errors):
        self.assertEqual((result.status, result.output, result.errors), (status, output, errors))

    def send_to(self, server, *arguments, **options):
        port = server if isinstance(server, int) else server.port
        return certpost_client.send("--cacert", certificates.ca(), *arguments,
                                    f"127.0.0.1:{port}", **options)

    def check_failure(self, server, status, words, *arguments, total=1, acknowledged=0):
        """One line with the peer's address and the words, then the summary."""
        port = server if isinstance(server, int) else server.port
        result = self.send_to(server, *arguments)
        self.check(result, status, [OK] * acknowledged,
                   [f"certpost: 127.0.0.1:{port}: {words}",
                    f"certpost: {acknowledged} of {total} messages acknowledged"])


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


def read_line(stream):
    """One line from an unbuffered view of a pipe, within the patience."""
    deadline = time.monotonic() + PATIENCE_S
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(deadline - time.monotonic()):
                raise AssertionError(f"no line in time, only {line!r}")
            byte = os.read(stream.fileno(), 1)
            if not byte:
                raise AssertionError(f"no line before the end, only {line!r}")
            line += byte
    return line.decode().rstrip("\n")


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


class TestServerCertificates(SendPlainCase):
    def check_certificate(self, words, *arguments, name, **made):
        certificate = certificates.leaf(name, **made)
        with Server(classic, server_context(name, certificate)) as server:
            self.check_failure(server, 60, f"the server's certificate {words}", *arguments)

    def test_an_expired_certificate(self):
        self.check_certificate("has expired: it ended on 2021-02-03 04:05:06 UTC; have it renewed, "
                               "or check this machine's clock", name="expired",
                               start="20200101000000Z", end="20210203040506Z")

    def test_a_certificate_that_is_not_valid_yet(self):
        self.check_certificate("is not valid yet: it begins on 2090-01-01 00:00:00 UTC; check the "
                               "clocks of both machines", name="early",
                               start="20900101000000Z", end="20910101000000Z")

    def test_a_certificate_for_another_name(self):
        self.check_certificate("is for other names: expected 127.0.0.1, it has mail.example.org, "
                               "10.0.0.1; use one of these names, or name the one you expect with "
                               "--servername", name="other", names="DNS:mail.example.org,IP:10.0.0.1")

    def test_a_servername_that_the_certificate_lacks(self):
        self.check_certificate("is for other names: expected db.example.org, it has localhost, "
                               "127.0.0.1, ::1; use one of these names, or name the one you expect "
                               "with --servername", "--servername", "db.example.org", name="plain")

    def test_a_servername_that_the_certificate_has(self):
        certificate = certificates.leaf("elsewhere", names="DNS:db.example.org")
        with Server(classic, server_context("elsewhere", certificate)) as server:
            result = self.send_to(server, "--servername", "db.example.org")
        self.assertEqual(result.status, 0, result)

    def test_a_common_name_is_no_name(self):
        # The leaf's CN is localhost, which counts for nothing (RFC 9525, section 2).
        certificate = certificates.leaf("localhost", names="URI:urn:certpost:x")
        with Server(classic, server_context("localhost", certificate)) as server:
            result = certpost_client.send("--cacert", certificates.ca(), f"localhost:{server.port}")
        self.assertEqual(result.status, 60, result)
        self.assertIn("is for other names: expected localhost, it has URI urn:certpost:x",
                      result.errors[0])

    def test_an_unknown_ca(self):
        self.check_certificate("is from an unknown CA (CN=certpost test stranger); give its CA's "
                               "certificate as the CA file (--cacert, --client-ca)",
                               name="foreign", ca="stranger")

    def test_a_self_signed_certificate(self):
        with Server(classic, server_context("s", certificates.self_signed("s"))) as server:
            self.check_failure(server, 60,
                               "the server's certificate is self-signed and not trusted here; if it "
                               "is the one you expect, give it as the CA file (--cacert)")

    def test_a_certificate_for_another_purpose(self):
        self.check_certificate("is not for this purpose (extended key usage); use one that was "
                               "issued for this role (serverAuth for servers, clientAuth for "
                               "clients)", name="wrongeku", purpose="clientAuth")

    def test_a_revoked_certificate(self):
        certificate = certificates.leaf("revoked")
        crl = certificates.crl(certificate)
        with Server(classic, server_context("revoked", certificate)) as server:
            self.check_failure(server, 60,
                               "the server's certificate has been revoked by its CA; do not trust "
                               "this peer until it has a new one", "--crlfile", crl)

    def test_a_crl_that_does_not_name_the_certificate(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "--crlfile", certificates.crl())
        self.assertEqual(result.status, 0, result)

    def test_names_of_a_certificate_are_escaped_and_bounded(self):
        names = ",".join(f"DNS:host{i}.example.org" for i in range(50))
        self.check_certificate("is for other names: expected 127.0.0.1, it has host0.example.org, "
                               "host1.example.org, host2.example.org, host3.example.org, "
                               "host4.example.org and 45 more; use one of these names, or name the "
                               "one you expect with --servername", name="many", names=names)


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


class TestCommandLine(SendPlainCase):
    def check_usage(self, words, *arguments):
        result = certpost_client.run(*arguments)
        self.check(result, 2, [], [f"certpost: {words}"])

    def test_certpost_1_is_named_as_missing(self):
        self.check_usage("certpost/1 is not part of this version; use --plain", "send")

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
        with open("/dev/full", "wb") as full:
            result = certpost_client.run("--help", stdout=full)
        self.assertEqual(result.status, 74, result)


if __name__ == "__main__":
    unittest.main()
