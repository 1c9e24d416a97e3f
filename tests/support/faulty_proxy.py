"""A TCP proxy on loopback that does to connections what networks do, by a schedule that a seed repeats.

    with FaultyProxy(server.address, seed=7, modes=("cut_rst", "stall")) as proxy:
        … clients connect to proxy.address …
        proxy.heal()                # from now on connections pass unharmed
    print(proxy.report())           # what it did: put it into the message of a failure

Each connection has one fault at most, drawn from the seed and the connection's number alone, so that
the n-th connection of a seed always meets the same one:

    none        nothing
    cut_rst     after some bytes, both ends get a reset
    cut_fin     after some bytes, both ends get an end; what they send from then on is dropped
    half_close  after some bytes of one direction, its receiver gets an end; the other direction goes on
    stall       after some bytes of one direction, nothing more of it comes for a bounded time
    stall_cut   the same, and then both ends get a reset
    fragment    both directions arrive in pieces of a few bytes
    flip        one bit of one direction is changed, once
    delay       each piece of one direction waits for a bounded time

One thread does it all, and buffers a bounded number of bytes for each direction.
"""

import collections
import math
import random
import selectors
import socket
import struct
import threading
import time

MODES = ("none", "cut_rst", "cut_fin", "half_close", "stall", "stall_cut", "fragment", "flip", "delay")
DIRECTIONS = ("to_server", "to_client")

BUFFER_BYTES = 1 << 16
LINGER_S = 2.0  # how long a connection that was cut with an end may take to go
STOP_S = 10.0

Plan = collections.namedtuple("Plan", "number mode direction after_bytes duration_s bit")


class Settings:
    """The bounds of what the schedule draws."""

    def __init__(self, modes=MODES, after_bytes_max=1 << 16, stall_max_s=0.5, delay_max_s=0.005, piece_max_bytes=7,
                 fragmented_bytes=1 << 14):
        unknown = set(modes) - set(MODES)
        if unknown or not modes:
            raise ValueError(f"modes are {MODES}, not {sorted(unknown)}")
        self.modes = tuple(modes)
        self.after_bytes_max = after_bytes_max
        self.stall_max_s = stall_max_s
        self.delay_max_s = delay_max_s
        self.piece_max_bytes = piece_max_bytes
        self.fragmented_bytes = fragmented_bytes  # of each direction; the rest goes as it comes

    def plan(self, seed, number):
        """What happens to connection `number`, the first being 0."""
        draw = random.Random(f"{seed}/{number}")
        return Plan(
            number,
            draw.choice(self.modes),
            draw.choice(DIRECTIONS),
            # As often in the first hundred bytes of a handshake as in the last thousands of a stream.
            int(math.exp(draw.uniform(0, math.log(self.after_bytes_max + 1)))) - 1,
            draw.uniform(0.1, 1) * self.stall_max_s,
            draw.randrange(8),
        )


class _Direction:
    """Bytes from one socket to the other."""

    def __init__(self, connection, name, source, sink):
        self.connection = connection
        self.name = name
        self.source = source
        self.sink = sink
        self.waiting = bytearray()
        self.passed = 0  # bytes handed to the sink
        self.held_until = 0.0
        self.source_ended = False
        self.sink_ended = False
        self.dropping = False

    @property
    def wants_input(self):
        return not self.source_ended and len(self.waiting) < BUFFER_BYTES

    def wants_output(self, now):
        return bool(self.waiting) and not self.sink_ended and now >= self.held_until

    @property
    def is_over(self):
        return self.source_ended and not self.waiting

    def end_sink(self):
        if not self.sink_ended:
            self.sink_ended = True
            self.sink.shutdown(socket.SHUT_WR)

    def drop(self):
        self.dropping = True
        self.waiting.clear()
        self.end_sink()

    def receive(self):
        try:
            data = self.source.recv(BUFFER_BYTES - len(self.waiting))
        except BlockingIOError:
            return
        if not data:
            self.source_ended = True
        elif not self.dropping:
            self.waiting += data

    def send(self, most):
        piece = self.waiting[:most]
        try:
            sent = self.sink.send(piece)
        except BlockingIOError:
            return 0
        del self.waiting[:sent]
        self.passed += sent
        return sent


class _Connection:
    def __init__(self, proxy, plan, client, server):
        self.proxy = proxy
        self.plan = plan
        self.settings = proxy.settings
        self.sockets = (client, server)
        self.pieces = random.Random(f"{proxy.seed}/{plan.number}/pieces")
        self.directions = {
            "to_server": _Direction(self, "to_server", client, server),
            "to_client": _Direction(self, "to_client", server, client),
        }
        self.is_connected = False
        self.is_closed = False
        self.fired = plan.mode == "none"
        self.closes_at = math.inf  # whatever the state
        self.resets_at = math.inf

    # ---- what the loop asks ------------------------------------------------------------------------

    def interest(self, sock, now):
        if not self.is_connected:
            return selectors.EVENT_WRITE if sock is self.sockets[1] else 0
        wanted = 0
        for direction in self.directions.values():
            if direction.source is sock and direction.wants_input:
                wanted |= selectors.EVENT_READ
            if direction.sink is sock and direction.wants_output(now):
                wanted |= selectors.EVENT_WRITE
        return wanted

    def next_time(self, now):
        held = [each.held_until for each in self.directions.values() if each.waiting and each.held_until > now]
        return min([self.closes_at, self.resets_at, *held])

    # ---- what the loop tells -----------------------------------------------------------------------

    def on_ready(self, sock, events, now):
        try:
            if not self.is_connected:
                self._finish_connect()
                return
            for direction in self.directions.values():
                if direction.source is sock and events & selectors.EVENT_READ:
                    direction.receive()
                if direction.sink is sock and events & selectors.EVENT_WRITE:
                    self._pass(direction, now)
                self._fire_if_due(direction, now)
                if self.is_closed:  # by its fault
                    return
            self._settle()
        except OSError:
            self.reset()  # one end has gone: the other learns of it the hard way

    def on_time(self, now):
        if now >= self.resets_at:
            self.reset()
        elif now >= self.closes_at:
            self.close()

    def _finish_connect(self):
        failed = self.sockets[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self.proxy.count("refused")
            self.reset()
            return
        self.is_connected = True
        self.proxy.count("connections")

    def _settle(self):
        for direction in self.directions.values():
            if direction.is_over and not self.is_closed:
                direction.end_sink()
        if all(direction.is_over for direction in self.directions.values()):
            self.close()

    # ---- bytes and faults --------------------------------------------------------------------------

    def _is_mine(self, direction):
        return not self.fired and direction.name == self.plan.direction

    def _most(self, direction):
        """How many bytes may go at once: never past the place of the fault."""
        most = BUFFER_BYTES
        if self.plan.mode == "fragment" and direction.passed < self.settings.fragmented_bytes:
            most = self.pieces.randint(1, self.settings.piece_max_bytes)
        if self._is_mine(direction) and self.plan.mode not in ("fragment", "delay"):
            most = min(most, max(1, self.plan.after_bytes - direction.passed))
        return most

    def _pass(self, direction, now):
        while direction.wants_output(now) and not self.is_closed:
            self._fire_if_due(direction, now)
            if not direction.wants_output(now) or self.is_closed:
                return
            sent = direction.send(self._most(direction))
            if sent == 0:
                return
            self.proxy.count(f"bytes_{direction.name}", sent)
            self.proxy.count(f"sends_{direction.name}")
            if self.plan.mode == "fragment" and not self.fired:
                self._note()
            if self.plan.mode == "delay" and direction.name == self.plan.direction:
                direction.held_until = now + self.pieces.uniform(0, self.settings.delay_max_s)
                if not self.fired:
                    self._note()

    def _note(self):
        self.fired = True
        self.proxy.count(self.plan.mode)

    def _fire_if_due(self, direction, now):
        mode = self.plan.mode
        if not self._is_mine(direction) or mode in ("fragment", "delay") or self.is_closed:
            return
        if direction.passed < self.plan.after_bytes or (mode in ("flip", "stall") and not direction.waiting):
            return
        self._note()
        if mode == "cut_rst":
            self.reset()
        elif mode == "cut_fin":
            for each in self.directions.values():
                each.drop()
            self.closes_at = now + LINGER_S
        elif mode == "half_close":
            direction.drop()
        elif mode == "flip":
            direction.waiting[0] ^= 1 << self.plan.bit
        else:
            direction.held_until = now + self.plan.duration_s
            if mode == "stall_cut":
                self.resets_at = direction.held_until

    # ---- ends --------------------------------------------------------------------------------------

    def reset(self):
        if self.is_closed:
            return
        for sock in self.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if not self.is_closed:
            self.is_closed = True
            self.proxy.forget(self)
            for sock in self.sockets:
                sock.close()


class FaultyProxy:
    """`target` is (host, port) or "HOST:PORT"; further arguments are those of `Settings`."""

    def __init__(self, target, seed, **settings):
        self.seed = seed
        self.settings = Settings(**settings)
        self.plans = []  # of each connection that came, in order
        self.counts = collections.Counter()
        self._target = self._parse(target)
        self._changed = threading.Condition()
        self._is_healed = False
        self._is_stopping = False
        self._must_cut = False
        self._failure = None
        self._connections = set()
        self._registered = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, lambda: self._wake_read.recv(64))
        self._thread = threading.Thread(target=self._run, name=f"faulty proxy {seed}", daemon=True)
        self._thread.start()

    @staticmethod
    def _parse(target):
        if isinstance(target, str):
            host, _, port = target.rpartition(":")
            return host.strip("[]"), int(port)
        return target

    # ---- for tests -----------------------------------------------------------------------------------

    def set_target(self, target):
        """For connections from now on: a server that was started again has another port."""
        self._target = self._parse(target)

    def heal(self):
        """Connections from now on pass unharmed; those that there are keep their fault."""
        self._is_healed = True

    def cut_all(self):
        """Every connection that there is gets a reset, now."""
        self._must_cut = True
        self._wake()

    def wait_for(self, what, count=1, timeout_s=30):
        """Waits until counts[what] is at least `count`: a fault's mode, "connections", "refused",
        "bytes_to_server" or "bytes_to_client"."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.counts[what] >= count or self._failure, timeout_s):
                raise AssertionError(f"proxy: waiting for {count} {what}: time is up; {self.report()}")
        if self._failure:
            raise AssertionError("the proxy has failed") from self._failure

    def report(self):
        """For the message of a failure: the seed, what was done, and the last plans."""
        last = "\n".join(f"    {plan}" for plan in self.plans[-20:])
        return f"proxy with seed {self.seed!r}: {dict(self.counts)}; the last of {len(self.plans)} plans:\n{last}"

    def stop(self):
        """Resets what is open, and closes everything; raises what the proxy failed with, if it did."""
        if self._thread is None:
            return
        self._is_stopping = True
        self._wake()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            raise AssertionError(f"the proxy does not end; {self.report()}")
        self._thread = None
        for each in (self._selector, self._listener, self._wake_read, self._wake_write):
            each.close()
        if self._failure:
            raise AssertionError("the proxy has failed") from self._failure

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    # ---- the loop ------------------------------------------------------------------------------------

    def count(self, what, more=1):
        with self._changed:
            self.counts[what] += more
            self._changed.notify_all()

    def _wake(self):
        self._wake_write.send(b"x")

    def _accept(self):
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        number = len(self.plans)
        plan = self.settings.plan(self.seed, number)
        if self._is_healed:
            plan = plan._replace(mode="none")
        self.plans.append(plan)
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        connection = _Connection(self, plan, client, server)
        for sock in connection.sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(connection)
        try:
            server.connect(self._target)
        except BlockingIOError:
            pass
        except OSError:
            self.count("refused")
            connection.reset()

    def _register(self, connection, now):
        for sock in connection.sockets:
            wanted = connection.interest(sock, now)
            had = self._registered.get(sock, 0)
            if wanted and not had:
                self._selector.register(sock, wanted, connection)
            elif wanted and wanted != had:
                self._selector.modify(sock, wanted, connection)
            elif had and not wanted:
                self._selector.unregister(sock)
            self._registered[sock] = wanted

    def forget(self, connection):
        for sock in connection.sockets:
            if self._registered.pop(sock, 0):
                self._selector.unregister(sock)
        self._connections.discard(connection)
        self.count("ended")

    def _turn(self):
        now = time.monotonic()
        for connection in list(self._connections):
            connection.on_time(now)
        for connection in self._connections:
            self._register(connection, now)
        next_time = min((connection.next_time(now) for connection in self._connections), default=math.inf)
        ready = self._selector.select(None if next_time == math.inf else max(0, next_time - now))
        now = time.monotonic()
        for key, events in ready:
            if isinstance(key.data, _Connection):
                if not key.data.is_closed:
                    key.data.on_ready(key.fileobj, events, now)
            else:
                key.data()
        if self._must_cut:
            self._must_cut = False
            for connection in list(self._connections):
                connection.reset()

    def _run(self):
        try:
            while not self._is_stopping:
                self._turn()
        except Exception as failure:  # told by wait_for and stop
            self._failure = failure
            with self._changed:
                self._changed.notify_all()
        finally:
            for connection in list(self._connections):
                connection.reset()
