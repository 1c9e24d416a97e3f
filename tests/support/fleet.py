"""Many certpost/1 clients at once that stay connected and send, for whoever looks at a server.

One thread serves them in turns. Run as a program, it starts a server with 500 of them and stores
pictures of its status page, on a desktop and on a phone, light and dark:

    python3 tests/support/fleet.py FOLDER [CLIENTS [SECONDS]]

with CERTPOST_BINARY_DIR and CERTPOST_SOURCE_DIR set as ctest sets them.
"""

import pathlib
import random
import ssl
import sys
import tempfile
import threading

import admin
import browser
import certificates as certs
import certpost1
import certpost1_peer
import processes
import tls_peers
from certpost_server import Server

SITES = ("berlin", "lyon", "porto", "turku", "wien")
KINDS = ("orders", "meter readings", "audit", "jobs/results")


class Fleet:
    """`count` clients of a server on `port`. Leaving the `with` ends them."""

    def __init__(self, port, count, client=None):
        context = certpost1_peer.context(client)
        self._random = random.Random(6)
        self._senders = []
        self._stops = threading.Event()
        self._failure = None
        for number in range(count):
            site = SITES[number % len(SITES)]
            sender = certpost1.Client(f"{site}/{KINDS[number % len(KINDS)]}/{number:03}".encode())
            stream = certpost1_peer.open_tls(port, context=context)
            sender.connect(stream)
            self._senders.append((sender, stream))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        try:
            while not self._stops.is_set():
                sender, _ = self._random.choice(self._senders)
                for _ in range(self._random.choice((1, 1, 2, 5, 40))):
                    sender.queue(self._random.randbytes(self._random.randrange(20, 900)))
                sender.deliver()
        except (OSError, certpost1.Truncated, certpost1.Refused) as failure:
            self._failure = failure

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._stops.set()
        self._thread.join()
        for _, stream in self._senders:
            stream.close()
        if kind is None and self._failure is not None:
            raise self._failure


def _refuse_some(port):
    """Clients of the kinds that a server on the internet meets."""
    for source, hello in (("127.0.0.2", b"GET / HTTP/1.1\r\n\r\n"), ("127.0.0.3", b"\x00" * 64),
                          ("127.0.0.4", b"SSH-2.0-x\r\n"), ("127.0.0.2", b"GET / HTTP/1.1\r\n\r\n")):
        connection = tls_peers.tcp_connect(port, source=source)
        connection.sendall(hello)
        tls_peers.raw_receive_all(connection)
        connection.close()
    context = tls_peers.client_context(maximum=ssl.TLSVersion.TLSv1_2)
    try:
        context.wrap_socket(tls_peers.tcp_connect(port, source="127.0.0.5"), server_hostname="localhost")
    except (ssl.SSLError, OSError):
        pass


def _take_pictures(folder, count, seconds):
    clients = ("--client-ca", certs.path("ca.crt"), "--client-verify", "optional")
    with tempfile.TemporaryDirectory() as store, Server(
        "--store", str(pathlib.Path(store) / "messages.db"), "--admin", "127.0.0.1:0", "--workers", "2",
        "--max-connections-per-address", "2000", *clients,
    ) as server:  # fmt: skip
        at = admin.address(server)
        with Fleet(server.port, count, "client"), browser.Browser() as page:
            _refuse_some(server.port)
            page.open(f"http://{at}/")
            page.wait_for(
                f"document.querySelectorAll('#connection-rows tr').length > 0 && performance.now() > {1000 * seconds}",
                "a page that has been looked at for a while", seconds + 60,
            )  # fmt: skip
            for scheme in ("light", "dark"):
                page.prefer(scheme)
                for name, width, height, is_phone in (
                    ("desktop", 1280, 900, False), ("phone", 390, 844, True),
                ):  # fmt: skip
                    page.resize(width, height, is_phone)
                    page.screenshot(pathlib.Path(folder) / f"{name}-{scheme}.png")
                    page.run("window.scrollTo(0, document.querySelector('#refusals').offsetTop - 8)")
                    page.screenshot(pathlib.Path(folder) / f"{name}-{scheme}-below.png")
                    page.run("window.scrollTo(0, 0)")
            print("\n".join(page.complaints()), sorted(page.hosts_asked()))


if __name__ == "__main__":
    processes.allow_descriptors(4096)
    given = sys.argv[1:]
    _take_pictures(given[0], int((given[1:2] or ["500"])[0]), int((given[2:3] or ["30"])[0]))
