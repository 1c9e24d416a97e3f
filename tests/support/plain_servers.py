"""Servers of the plain exchange that are not certpost's, their certificates, and how a run of the
client against one of them is checked.
"""

import contextlib
import os
import pathlib
import queue
import re
import selectors
import shutil
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

    def __init__(self):
        self.folder = None
        self.config = None

    def begin(self):
        """An empty folder, for as long as the test module runs: each calls it in setUpModule."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="certpost-send-"))
        unittest.addModuleCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "config"
        self.config.write_text(self.CONFIG.format(folder=self.folder))
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


certificates = Certificates()


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


@contextlib.contextmanager
def s_server(*arguments, accept="127.0.0.1:0"):
    """openssl s_server, on a free port if `accept` names none; gives the port."""
    command = ["openssl", "s_server", "-accept", accept, "-cert", certificates.leaf(),
               "-key", certificates.key("server"), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        try:
            # It says the port only where it has chosen one.
            while not (match := re.match(r"ACCEPT(?: .*:(\d+))?", read_line(process.stdout))):
                pass
            yield int(match[1] or accept.rpartition(":")[2])
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
