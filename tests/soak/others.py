"""Those who do not send: handshakes without end, a foreign hand on the database, readers beside it."""

import collections
import contextlib
import json
import random
import select
import signal
import socket
import sqlite3
import ssl
import sys

import certpost1
import certpost_client
import tls_peers
from senders import Actor
from world import PATIENCE_S, Child

HANDSHAKE_TIMEOUT_S = 30


class Churn(Actor):
    """Connections that come and go: resumed, cut in the middle, never begun, or full of nonsense."""

    def __init__(self, world, name, pause_s, ca):
        super().__init__(world, name)
        self._pause_s = pause_s
        self._context = ssl.create_default_context(cafile=ca)
        self._context.set_alpn_protocols([certpost1.ALPN])
        self._session = None

    def act(self):
        ways = (self._resume,) * 5 + (self._only_connect, self._nonsense, self._half_a_handshake)
        while not self.world.pause(self.random.uniform(0, 2 * self._pause_s)):
            began = self.world.now()
            try:
                self.random.choice(ways)()
            except (OSError, certpost1.Truncated, certpost1.Refused) as failure:
                self._session = None
                if not self.world.was_disturbed(began):
                    self.world.fault(f"{self.name}: {type(failure).__name__}: {failure}")
                self.world.count("churn_broken")

    def _connect(self):
        host, _, port = self.world.address.rpartition(":")
        connection = socket.create_connection((host, int(port)), HANDSHAKE_TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _resume(self):
        """A handshake, HELLO, WELCOME, and the session of it for the next one."""
        with self._connect() as raw, self._context.wrap_socket(
                raw, server_hostname="localhost", session=self._session) as tls:
            self.world.count("resumed" if tls.session_reused else "full_handshakes")
            certpost1.Client(self.name.encode()).connect(tls)
            self._session = tls.session
            if self.random.random() < 0.3:
                tls_peers.reset(socket.socket(fileno=tls.detach()))

    def _only_connect(self):
        self._connect().close()
        self.world.count("connections_cut")

    def _nonsense(self):
        with self._connect() as raw, contextlib.suppress(ConnectionError):
            raw.sendall(self.random.randbytes(self.random.randint(1, 4000)))
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        self.world.count("nonsense")

    def _half_a_handshake(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        raw = self._connect()
        raw.sendall(hello[: self.random.randint(1, len(hello))])
        tls_peers.reset(raw)
        self.world.count("connections_cut")


class SlowDisk(Actor):
    """Another program on the database: short locks, rarely a long one, and readers that hold the log."""

    LONG_LOCK_S = 3.5  # a commit waits for two seconds

    def act(self):
        while not self.world.pause(self.random.uniform(4, 12)):
            if not self.world.store.exists() or not self.world.is_serving:
                continue
            kind = self.random.choices(("lock", "long lock", "reader"), (6, 1, 4))[0]
            try:
                self._hold(kind)
            except sqlite3.OperationalError as failure:
                # The database is being made, or recovered by a server that has it alone.
                self.world.count(f"database not to be had: {failure}")

    def _hold(self, kind):
        seconds = {"lock": self.random.uniform(0.05, 0.8), "long lock": self.LONG_LOCK_S,
                   "reader": self.random.uniform(3, 10)}[kind]
        mode = "ro" if kind == "reader" else "rw"
        # In autocommit mode sqlite3 begins nothing of its own.
        with contextlib.closing(sqlite3.connect(f"file:{self.world.store}?mode={mode}", uri=True, timeout=5,
                                                isolation_level=None)) as database:
            database.execute("BEGIN" if kind == "reader" else "BEGIN IMMEDIATE")
            disturbance = None if kind == "reader" else self.world.disturb()
            begin = self.world.now()
            database.execute("SELECT max(id) FROM messages").fetchone()
            self.world.pause(seconds)
            database.execute("ROLLBACK")
            self.world.mark(kind, begin, self.world.now())
            if disturbance:
                self.world.calm(disturbance)
                # Nobody may notice a short lock; a busy machine can make it a long one.
                if self.world.now() - begin < 1.5:
                    self.world.disturbances.remove(disturbance)


class Follower:
    """`certpost read -f` for the whole run: every message once, each stream in order."""

    def __init__(self, world):
        self.world = world
        self.seqs = collections.defaultdict(int)
        self.total = 0
        self._child = Child([certpost_client.BINARY, "read", "-f", "--format", "text", world.store],
                            on_line=self._on_line)

    def _on_line(self, line):
        fields = line.split("\t", 4)
        if len(fields) != 5:
            self.world.fault(f"certpost read printed {line[:200]!r}")
            return
        key, seq = (fields[1], fields[2]), int(fields[3])
        if seq != self.seqs[key] + 1:
            self.world.fault(f"certpost read: {key}: {seq} follows {self.seqs[key]}")
        self.seqs[key] = seq
        self.total += 1

    def finish(self, stored):
        """Waits until it has printed all, ends it, and checks the number."""
        deadline = self.world.now() + PATIENCE_S
        while self.total < stored and self.world.now() < deadline and self._child.is_running():
            self._child.feed(b"", 0)
            select.select([], [], [], 0.05)
        if self.total != stored:
            self.world.fault(f"certpost read -f has printed {self.total} of {stored} messages{self._child.report()}")
        if not self._child.is_running():
            self.world.fault(f"certpost read -f ended by itself with {self._child.wait()}{self._child.report()}")
        self._child.signal(signal.SIGTERM)
        if self._child.wait() is None:
            self.world.fault("certpost read -f does not end")
        self._child.kill()


class Verifier(Actor):
    """`certpost verify` of the whole store beside the server; the longer it takes, the rarer."""

    def act(self):
        took_s = 0
        while not self.world.pause(max(15.0, 8 * took_s) * self.random.uniform(0.5, 1)):
            begin = self.world.now()
            verify(self.world)
            took_s = self.world.now() - begin
            self.world.mark("verify", begin, self.world.now())


def verify(world):
    """One run; a store that does not agree is a fault. Returns what it counted, as a dictionary."""
    lines = []
    child = Child([certpost_client.BINARY, "verify", "--json", world.store], on_line=lines.append)
    status = child.wait(10 * PATIENCE_S)
    child.kill()
    if status != 0:
        world.fault(f"certpost verify ended with {status}: {lines[:5]}{child.report()}")
        return {}
    return json.loads(lines[-1])


class Probe:
    """The honest small client, in a process of its own so that nothing here holds it up."""

    def __init__(self, world, program, ca, environment_address):
        self.world = world
        self.latencies = []  # (seconds since the start, milliseconds)
        self._child = Child([sys.executable, "-B", program, environment_address, ca, str(world.seed)],
                            on_line=self._on_line)
        world.offered["probe"] = 0

    def _on_line(self, line):
        if line.startswith("fault "):
            self.world.fault(f"probe: {line[6:]}")
            return
        ended, latency_ms, number = line.split()
        self.world.offered["probe"] = int(number)
        self.world.ack("probe", int(number))
        self.latencies.append((float(ended) - self.world.began, float(latency_ms)))

    def finish(self):
        self._child.close_input()
        if self._child.wait() != 0:
            self.world.fault(f"the probe did not end well{self._child.report()}")
        self._child.kill()


def choose_seed():
    return random.SystemRandom().randrange(1 << 32)
