"""Those who send: certpost/1 streams that are checked to the last message, spools, plain peers.

Each is a thread that drives programs or connections of its own until the run is over, and then ends
in order. All messages of a stream follow from its name, so what must be in the store needs no memory.
"""

import json
import signal
import ssl
import threading

import certificates as certs
import certpost_client
import certpost_server
import tls_peers
from world import PATIENCE_S, Child, message

TICK_S = 0.05
BATCH_BYTES = 1 << 16


class Actor(threading.Thread):
    """Runs `act` until it returns; an exception of its own is a fault of the run."""

    def __init__(self, world, name):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.random = world.draw(name)

    def run(self):
        try:
            self.act()
        except Exception as failure:  # the run must go on, and must not succeed
            self.world.fault(f"{self.name}: {type(failure).__name__}: {failure}")


class Feed:
    """The lines of one stream on their way into a client: paced, with bursts in between."""

    def __init__(self, world, stream, rate, random, next_number=1):
        self.world, self.stream, self.rate, self.random = world, stream, rate, random
        self.next_number = next_number
        self._rest = b""
        self._due = 0.0
        self._next_burst = world.now() + random.uniform(5, 25)
        world.offered.setdefault(stream, 0)

    def _take_due(self):
        now = self.world.now()
        if now >= self._next_burst:
            self._next_burst = now + self.random.uniform(15, 40)
            self._due += self.rate * self.random.uniform(1, 4)
            self.world.count("bursts")

    def tick(self, child):
        """Waits a tick and feeds what is due; true when the run is over or the client has gone."""
        if self.world.pause(TICK_S) or not child.is_running():
            return True
        if not self._rest and not self.world.is_full:
            self._due = min(self._due + self.rate * TICK_S, self.rate * 5)
            self._take_due()
            self._fill()
        self._rest = child.feed(self._rest, TICK_S)
        return False

    def _fill(self):
        lines, size = [], 0
        while self._due >= 1 and size < BATCH_BYTES:
            lines.append(message(self.stream, self.next_number) + b"\n")
            size += len(lines[-1])
            self.next_number += 1
            self._due -= 1
        # Before the client has them: an acknowledgement cannot come first.
        self.world.offered[self.stream] = max(self.world.offered[self.stream], self.next_number - 1)
        self._rest = b"".join(lines)

    def end(self, child):
        """What has begun is fed to its end, then the input is closed."""
        self._rest = child.feed(self._rest, PATIENCE_S)
        child.close_input()


class Sender(Actor):
    """`certpost send -l`, a stream for each client, one client after the other."""

    def __init__(self, world, name, rate, address, ca):
        super().__init__(world, name)
        self.rate, self._address, self._ca = rate, address, ca
        self.done = None  # the event of that name of the last client

    def start_client(self, stream, *options):
        def on_line(line):
            event = json.loads(line)
            if event["event"] == "acked":
                self.world.ack(stream, event["seq"])
            elif event["event"] == "done":
                self.done = event
            self.world.count(f"client_{event['event']}")

        self.done = None
        return Child([certpost_client.BINARY, "send", "--cacert", self._ca, "--servername", "localhost", "--json",
                      "--stream", stream, "--require", "stored", "--retry-for", "100s", "--ack-timeout", "8s",
                      "--connect-timeout", "8s", *options, self._address()], on_line=on_line)

    def finish(self, child, stream):
        """The client must end with success; true if it did."""
        status = child.wait()
        if status != 0:
            self.world.fault(f"{stream}: the client {'does not end' if status is None else f'ended with {status}'}"
                             f"{child.report()}")
        child.kill()
        return status == 0

    def act(self):
        generation = 0
        while not self.world.stopping.is_set():
            generation += 1
            self._send(f"{self.name}-{generation}")

    def _send(self, stream):
        feed = Feed(self.world, stream, self.rate, self.random)
        child = self.start_client(stream, "-l")
        ends_at = self.world.now() + self.random.uniform(20, 60)
        while not feed.tick(child) and self.world.now() < ends_at:
            pass
        feed.end(child)
        if self.finish(child, stream) and self.world.acked.get(stream, 0) != self.world.offered[stream]:
            self.world.fault(f"{stream}: success with {self.world.acked.get(stream, 0)} acknowledged of "
                             f"{self.world.offered[stream]}")


class SpoolSender(Sender):
    """The same with a spool, and the client is killed now and then, at any moment.

    How much of its input a killed client took is its secret: the next one delivers what is in the
    spool and says how far the stream is; the input goes on from there.
    """

    def act(self):
        stream, spool = self.name, self.world.folder / f"{self.name}.spool"
        reached = 0
        while not self.world.stopping.is_set():
            self._feed_and_kill(stream, spool, reached + 1)
            delivery = self.start_client(stream, "--spool", spool)
            delivery.close_input()
            if not self.finish(delivery, stream) or self.done is None:
                return
            last_seq = self.done["last_seq"]
            if not max(reached, self.world.acked.get(stream, 0)) <= last_seq <= self.world.offered[stream]:
                self.world.fault(f"{stream}: stands at {last_seq} after {reached}, {self.world.acked.get(stream, 0)} "
                                 f"acknowledged, {self.world.offered[stream]} fed")
            reached = last_seq
            self.world.ack(stream, reached)

    def _feed_and_kill(self, stream, spool, next_number):
        feed = Feed(self.world, stream, self.rate, self.random, next_number)
        child = self.start_client(stream, "--spool", spool, "-l")
        dies_at = self.world.now() + self.random.uniform(2, 12)
        while not feed.tick(child) and self.world.now() < dies_at:
            pass
        if not self.world.stopping.is_set():
            if not child.is_running():
                self.world.fault(f"{stream}: the client ended by itself, with {child.wait()}{child.report()}")
            child.kill()
            self.world.mark("client kill", self.world.now())
            return
        feed.end(child)
        self.finish(child, stream)


class PlainPeer(Actor):
    """Connections of the plain exchange, one after the other, with all kinds of ends."""

    def __init__(self, world, name, context):
        super().__init__(world, name)
        self._context = context

    def act(self):
        connection = 0
        while not self.world.pause(self.random.uniform(0.02, 0.4)):
            connection += 1
            began = self.world.now()
            try:
                self._visit(f"{self.name}-{connection}")
            except (OSError, tls_peers.Truncated, AssertionError) as failure:
                if not self.world.was_disturbed(began):
                    self.world.fault(f"{self.name}-{connection}: {type(failure).__name__}: {failure}")
                self.world.count("plain_broken")

    def _visit(self, label):
        with tls_peers.TlsPeer(int(self.world.address.rpartition(":")[2]), self._context) as peer:
            self.world.count("plain_connections")
            for number in range(1, self.random.randint(1, 20) + 1):
                if self.world.is_full or self.world.pause(self.random.uniform(0, 0.05)):
                    break
                peer.exchange(message(label, number)[:8000], certpost_server.DEFAULT_REPLY)
                self.world.plain_acked[label] = number
            self.random.choice((peer.finish, peer.finish, peer.vanish, peer.reset))()


class OpenSslPeer(Actor):
    """`openssl s_client`, a process for each message."""

    def act(self):
        connection = 0
        while not self.world.pause(self.random.uniform(2, 5)):
            connection += 1
            began = self.world.now()
            if not self._visit(f"{self.name}-{connection}") and not self.world.was_disturbed(began):
                self.world.fault(f"{self.name}-{connection}: no reply")

    def _visit(self, label):
        """True when the reply came."""
        with tls_peers.OpenSslClient(int(self.world.address.rpartition(":")[2]), "-quiet", "-servername",
                                     "localhost") as client:
            try:
                client.write(message(label, 1)[:8000])
                client.stdout.wait_bytes(certpost_server.DEFAULT_REPLY)
            except (AssertionError, OSError):
                return False
            self.world.plain_acked[label] = 1
            client.send_signal(signal.SIGTERM)
            client.wait()
            return True


def wide_context(ca):
    """A context of plain peers that trusts all authorities that the server's certificates come from."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
