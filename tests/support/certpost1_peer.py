"""certpost/1 over TLS to a server under test, and a look into its store with SQLite alone."""

import contextlib
import os
import sqlite3
import tempfile

import certificates as certs
import certpost1
import tls_peers


def context(client=None):
    """A client's context; `client` names a certificate of make-certs."""
    made = tls_peers.client_context(alpn=[certpost1.ALPN])
    if client is not None:
        made.load_cert_chain(certs.path(f"{client}.crt"), certs.path(f"{client}.key"))
    return made


def open_tls(port, client=None, session=None, **given):
    """A TLS socket that has agreed on certpost/1."""
    made = given.get("context") or context(client)
    stream = made.wrap_socket(tls_peers.tcp_connect(port), server_hostname="localhost", session=session)
    if stream.selected_alpn_protocol() != certpost1.ALPN:
        raise AssertionError("the server did not choose certpost/1")
    return stream


class Sender(certpost1.Client):
    """A certpost/1 client with its connection. Leaving the `with` closes that."""

    def __init__(self, name, **known):
        super().__init__(name, **known)
        self.socket = None

    def open(self, port, client=None):
        """Connects and returns the WELCOME."""
        self.close()
        self.socket = open_tls(port, client)
        return self.connect(self.socket)

    def send_all(self, messages):
        """Sends and waits until everything is acknowledged."""
        for message in messages:
            self.queue(message)
        self.deliver()

    def leave(self):
        self.bye()
        self.close()

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def hear_end(self):
        """What the server says until it ends the connection: [(type, value), …]."""
        heard = []
        while True:
            received = self.frames.receive(
                {certpost1.WELCOME, certpost1.ACK, certpost1.REJECT, certpost1.GOAWAY, certpost1.PONG})
            if received is None:
                self.close()
                return heard
            heard.append(received)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def refusal_of(heard):
    """The code of the one GOAWAY or REJECT in what was heard."""
    codes = [value["code"] for kind, value in heard if kind in (certpost1.GOAWAY, certpost1.REJECT)]
    if len(codes) != 1:
        raise AssertionError(f"not one refusal in {heard}")
    return codes[0]


class StoreFile:
    """A store's path in a folder of its own, and what is in it."""

    def __init__(self, folder=None):
        self._made = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = folder or self._made.name
        self.path = os.path.join(self.folder, "store.db")

    @contextlib.contextmanager
    def _snapshot(self):
        """The server may go on writing; all that is read in the `with` is of one moment."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")
            yield database

    @staticmethod
    def _streams(database):
        rows = database.execute("SELECT identity, name, last_seq, digest FROM streams")
        return {(identity, name): (last, digest) for identity, name, last, digest in rows}

    def streams(self):
        """{(identity, name): (last_seq, digest)}"""
        with self._snapshot() as database:
            return self._streams(database)

    def messages(self, identity, name):
        """The bodies of one stream, after everything about them was checked: numbers and digest."""
        with self._snapshot() as database:
            rows = database.execute(
                "SELECT m.seq, m.body FROM messages m JOIN streams s ON s.id = m.stream"
                " WHERE s.identity = ? AND s.name = ? ORDER BY m.seq", (identity, name)).fetchall()
            heads = self._streams(database)
        bodies = [body for _, body in rows]
        if [seq for seq, _ in rows] != list(range(1, len(rows) + 1)):
            raise AssertionError(f"gaps or duplicates in {name}")
        digest = certpost1.origin(identity.encode(), name.encode())
        for body in bodies:
            digest = certpost1.next_digest(digest, body)
        if heads.get((identity, name), (0, digest)) != (len(rows), digest):
            raise AssertionError(f"the head of {name} is not that of its messages")
        return bodies

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._made is not None:
            self._made.cleanup()
