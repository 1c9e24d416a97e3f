"""certpost/1 in Python, from docs/protocol.md alone; the standard library only.

Pure functions turn values into frames and back. `Client` and `Server` speak over anything that has
recv and sendall: an ssl socket, or a plain one in a test. Both are simple and blocking: they are
here to be right and to be independent of the C code, not to be fast.

The client keeps what is unacknowledged and verifies the digest of every WELCOME and ACK (section
6.3). The server keeps streams in memory; `Streams` outlives connections, as a store does.
"""

import hashlib
import struct
import threading

ALPN = "certpost/1"

(HELLO, WELCOME, MESSAGE, ACK, REJECT, GOAWAY, BYE, PING, PONG, RECEIPT_REQUEST,
 RECEIPT) = range(1, 12)

BODY_BOUNDS = {
    HELLO: (2, 1024), WELCOME: (51, 1024), MESSAGE: (0, 0xFFFFFF), ACK: (40, 40), REJECT: (11, 266),
    GOAWAY: (3, 258), BYE: (0, 0), PING: (8, 8), PONG: (8, 8), RECEIPT_REQUEST: (0, 0),
    RECEIPT: (4, 16384),
}

CODES = {
    "protocol": 1, "not_allowed": 2, "level_unavailable": 3, "superseded": 4, "shutting_down": 5,
    "store_full": 6, "store_failed": 7, "idle": 8, "busy": 9, "internal": 10, "exhausted": 11,
    "too_large": 32, "refused": 33,
}
# After these a client must not come back by itself; after any other GOAWAY it may.
FINAL_CODES = {CODES[name] for name in
               ("protocol", "not_allowed", "level_unavailable", "superseded", "exhausted")}

ACCEPTED, STORED, REPLICATED = 0, 1, 2
LAST_SEQ = 2 ** 63 - 1
OVERHEAD = 64


class ProtocolError(Exception):
    """The peer broke a rule of the document."""


class DigestError(Exception):
    """What the server holds is not what was sent."""


class Truncated(Exception):
    """The connection ended in the middle of something."""


class Refused(Exception):
    """REJECT or GOAWAY came."""

    def __init__(self, frame_type, code, text, seq=None):
        super().__init__(f"code {code}: {text}")
        self.frame_type, self.code, self.text, self.seq = frame_type, code, text, seq


# ---- digest (section 5) ----

def origin(identity, name):
    """D(0). Both arguments are bytes."""
    return hashlib.sha256(b"certpost/1\0" + identity + b"\0" + name).digest()


def next_digest(digest, message):
    """D(n) from D(n - 1) and message n."""
    return hashlib.sha256(digest + struct.pack(">I", len(message)) + message).digest()


# ---- values to bytes (sections 3 and 4) ----

def encode(frame_type, body=b""):
    least, most = BODY_BOUNDS[frame_type]
    if not least <= len(body) <= most:
        raise ValueError(f"a body of {len(body)} bytes cannot be of type {frame_type}")
    return bytes([frame_type]) + len(body).to_bytes(3, "big") + body


def str8(data):
    return bytes([len(data)]) + data


def option(tag, data=b""):
    return bytes([tag, len(data)]) + data


def encode_hello(name, required_level=0, software=b"", extra=b""):
    body = str8(name)
    if required_level:
        body += option(1, bytes([required_level]))
    if software:
        body += option(2, software)
    return encode(HELLO, body + extra)


def encode_welcome(last_seq, digest, level, max_message, window, server_name=b"", reply=b"",
                   stream_origin=None, idle_timeout_ms=0, receipts=False):
    body = struct.pack(">Q", last_seq) + digest + bytes([level])
    body += struct.pack(">II", max_message, window) + str8(server_name) + str8(reply)
    if stream_origin is not None:
        body += option(2, stream_origin)
    if idle_timeout_ms:
        body += option(4, struct.pack(">I", idle_timeout_ms))
    if receipts:
        body += option(6)
    return encode(WELCOME, body)


def encode_ack(last_seq, digest):
    return encode(ACK, struct.pack(">Q", last_seq) + digest)


def encode_reject(seq, code, text=b""):
    return encode(REJECT, struct.pack(">QH", seq, code) + str8(text))


def encode_goaway(code, text=b""):
    return encode(GOAWAY, struct.pack(">H", code) + str8(text))


def encode_receipt(statement, signature):
    return encode(RECEIPT, struct.pack(">H", len(statement)) + statement +
                  struct.pack(">H", len(signature)) + signature)


# ---- bytes to values ----

class _Reader:
    """Takes fields off the front of a body; what is missing breaks the protocol."""

    def __init__(self, body):
        self.left = body

    def take(self, length):
        if length > len(self.left):
            raise ProtocolError("a body ends before its fields do")
        taken, self.left = self.left[:length], self.left[length:]
        return taken

    def number(self, width):
        return int.from_bytes(self.take(width), "big")

    def str8(self):
        return self.take(self.number(1))

    def options(self):
        found = {}
        while self.left:
            tag = self.number(1)
            value = self.str8()
            if tag in found:
                raise ProtocolError(f"option {tag} came twice")
            found[tag] = value
        return found

    def end(self):
        if self.left:
            raise ProtocolError("a body is longer than its fields")


def is_text(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_plain_text(data):
    return is_text(data) and not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F
                                     for c in data.decode("utf-8"))


def _require(holds, what):
    if not holds:
        raise ProtocolError(what)


def _refuse_odd(options):
    for tag in options:
        _require(tag % 2 == 0, f"option {tag} is not known and must be understood")


def _decode_hello(reader):
    name = reader.str8()
    _require(1 <= len(name) and is_plain_text(name), "the name of the stream is not one")
    options = reader.options()
    level = options.pop(1, b"\0")
    _require(len(level) == 1 and level[0] <= REPLICATED, "the required level is not one")
    software = options.pop(2, None)
    _require(software is None or (software and is_plain_text(software)), "software is not text")
    _refuse_odd(options)
    return {"name": name, "required_level": level[0], "software": software or b""}


def _decode_welcome(reader):
    value = {"last_seq": reader.number(8), "digest": reader.take(32), "level": reader.number(1),
             "max_message": reader.number(4), "window": reader.number(4),
             "server_name": reader.str8(), "reply": reader.str8()}
    _require(value["last_seq"] <= LAST_SEQ, "last_seq is above 2^63 - 1")
    _require(value["level"] <= REPLICATED, "the level is not one")
    _require(value["max_message"] <= 0xFFFFFF, "max_message is too large")
    _require(value["window"] >= value["max_message"] + OVERHEAD, "the window is too small")
    _require(is_plain_text(value["server_name"]) and is_text(value["reply"]), "text is not valid")
    options = reader.options()
    value["origin"] = options.pop(2, None)
    _require(value["origin"] is None or len(value["origin"]) == 32, "the origin is not 32 bytes")
    idle = options.pop(4, None)
    _require(idle is None or (len(idle) == 4 and any(idle)), "the idle timeout is not one")
    value["idle_timeout_ms"] = int.from_bytes(idle or b"", "big")
    receipts = options.pop(6, None)
    _require(not receipts, "the option receipts has a value")
    value["receipts"] = receipts is not None
    _refuse_odd(options)
    return value


def _decode_refusal(reader, with_seq):
    value = {"seq": reader.number(8)} if with_seq else {}
    value["code"] = reader.number(2)
    value["text"] = reader.str8()
    _require(is_text(value["text"]), "text is not valid")
    return value


def decode(frame_type, body):
    """The value of a body: a dict for frames with fields, the bytes for the others."""
    reader = _Reader(body)
    if frame_type == HELLO:
        value = _decode_hello(reader)
    elif frame_type == WELCOME:
        value = _decode_welcome(reader)
    elif frame_type == ACK:
        value = {"last_seq": reader.number(8), "digest": reader.take(32)}
    elif frame_type in (REJECT, GOAWAY):
        value = _decode_refusal(reader, frame_type == REJECT)
    elif frame_type == RECEIPT:
        value = {"statement": reader.take(reader.number(2)),
                 "signature": reader.take(reader.number(2))}
    elif frame_type in BODY_BOUNDS:
        value = reader.take(len(body))
    else:
        raise ProtocolError(f"a frame of the unknown type {frame_type}")
    reader.end()
    return value


def check_header(header, allowed, max_message=0xFFFFFF):
    """(type, length) of a header, judged before its body is waited for."""
    frame_type, length = header[0], int.from_bytes(header[1:4], "big")
    _require(frame_type in allowed, f"a frame of type {frame_type} is not allowed here")
    least, most = BODY_BOUNDS[frame_type]
    _require(least <= length <= most, f"a body of {length} bytes in a frame of type {frame_type}")
    if frame_type == MESSAGE and length > max_message:
        raise TooLarge(length)
    return frame_type, length


class TooLarge(Exception):
    """The header of a MESSAGE above max_message."""


def split(data, allowed=frozenset(BODY_BOUNDS)):
    """[(type, body), …] of whole frames; Truncated when the last is not whole."""
    frames = []
    while data:
        if len(data) < 4:
            raise Truncated("a header is cut")
        frame_type, length = check_header(data[:4], allowed)
        if len(data) < 4 + length:
            raise Truncated("a body is cut")
        frames.append((frame_type, data[4:4 + length]))
        data = data[4 + length:]
    return frames


class Frames:
    """Frames over a blocking socket."""

    def __init__(self, sock):
        self.sock = sock
        self.pending = b""

    def _fill(self, wanted):
        """True when `wanted` bytes are pending; False when the peer ended before the first."""
        while len(self.pending) < wanted:
            piece = self.sock.recv(65536)
            if not piece:
                if self.pending:
                    raise Truncated("the connection ended within a frame")
                return False
            self.pending += piece
        return True

    def receive(self, allowed, max_message=0xFFFFFF):
        """The next (type, value), or None when the peer has ended cleanly."""
        if not self._fill(4):
            return None
        frame_type, length = check_header(self.pending[:4], allowed, max_message)
        self._fill(4 + length)
        body, self.pending = self.pending[4:4 + length], self.pending[4 + length:]
        return frame_type, decode(frame_type, body)

    def send(self, frame):
        self.sock.sendall(frame)


# ---- client ----

class Client:
    """The client's role for one stream, over any number of connections.

    `unacked` holds the messages after `seq`; `seq` and `digest` are None until they are known.
    Give seq=0 and digest=None for an input that is the stream from its first message on.
    """

    def __init__(self, name, required_level=ACCEPTED, seq=None, digest=None):
        self.name, self.required_level = name, required_level
        self.seq, self.digest = seq, digest
        self.unacked = []
        self.may_have_sent = 0      # of `unacked`
        self.promised = seq or 0
        self.level = None
        self.welcome = None
        self.frames = None
        self.sent = 0               # of `unacked`, on this connection
        if seq is not None:
            self.may_have_sent = None  # whatever is in `unacked`

    def queue(self, message):
        self.unacked.append(bytes(message))

    def connect(self, sock, software=b"certpost1.py"):
        """HELLO and WELCOME; afterwards `unacked` is what is to be sent."""
        self.frames = Frames(sock)
        self.frames.send(encode_hello(self.name, self.required_level, software))
        self.sent = 0
        welcome = self._expect({WELCOME})
        if welcome["level"] < self.required_level:
            raise Refused(WELCOME, None, "the level is below what is required")
        self._resume(welcome)
        self.welcome, self.level = welcome, welcome["level"]
        return welcome

    def _expect(self, wanted):
        """The next frame of a wanted type; pings are answered, refusals raised."""
        allowed = set(wanted) | {PING, PONG, GOAWAY}
        while True:
            received = self.frames.receive(allowed)
            if received is None:
                raise Truncated("the server ended the connection")
            frame_type, value = received
            if frame_type == PING:
                self.frames.send(encode(PONG, value))
            elif frame_type in (GOAWAY, REJECT):
                raise Refused(frame_type, value["code"], value["text"], value.get("seq"))
            elif frame_type != PONG:
                return value

    def _digest_at(self, seq):
        """D(seq) by what is known here; None when it cannot be computed."""
        digest = self.digest
        if digest is None:
            return None
        for message in self.unacked[:seq - self.seq]:
            digest = next_digest(digest, message)
        return digest

    def _begins_anew(self, welcome):
        return (welcome["level"] == ACCEPTED and self.level == ACCEPTED
                and welcome["last_seq"] == 0 and self.promised > 0)

    def _resume(self, welcome):
        """Section 6.3."""
        last, digest = welcome["last_seq"], welcome["digest"]
        if self.seq is None or self._begins_anew(welcome):
            self.seq, self.digest, self.promised = last, digest, last
            return
        if self.seq == 0 and self.digest is None:
            self.digest = welcome["origin"]
        sent = len(self.unacked) if self.may_have_sent is None else self.may_have_sent
        if last < self.seq or last < self.promised:
            raise DigestError(f"the server has {last} messages and acknowledged {self.promised}")
        if last > self.seq + sent:
            raise DigestError(f"the server has {last} messages, more than were sent")
        known = self._digest_at(last)
        if known is not None and known != digest:
            raise DigestError(f"up to message {last} the server does not hold what was sent")
        self._release(last, digest)
        self.promised = last

    def _release(self, seq, digest):
        count = seq - self.seq
        del self.unacked[:count]
        if self.may_have_sent is not None:
            self.may_have_sent = max(0, self.may_have_sent - count)
        self.sent = max(0, self.sent - count)
        self.seq, self.digest = seq, digest

    def _in_flight(self):
        return sum(len(message) + OVERHEAD for message in self.unacked[:self.sent])

    def send_next(self):
        """Sends the next message that was not sent on this connection."""
        message = self.unacked[self.sent]
        if len(message) > self.welcome["max_message"]:
            raise ValueError("the message is longer than the server takes")
        while self._in_flight() + len(message) + OVERHEAD > self.welcome["window"]:
            self.receive_ack()
        self.frames.send(encode(MESSAGE, message))
        self.sent += 1
        if self.may_have_sent is not None:
            self.may_have_sent = max(self.may_have_sent, self.sent)

    def receive_ack(self):
        """Takes one ACK; returns its number."""
        ack = self._expect({ACK, REJECT})
        last = ack["last_seq"]
        _require(self.seq < last <= self.seq + self.sent, f"ACK {last} cannot be")
        if self._digest_at(last) != ack["digest"]:
            raise DigestError(f"up to message {last} the server does not hold what was sent")
        self._release(last, ack["digest"])
        self.promised = last
        return last

    def deliver(self):
        """Sends everything that is queued and waits until it is acknowledged."""
        while self.sent < len(self.unacked):
            self.send_next()
        while self.unacked:
            self.receive_ack()

    def ping(self, data=b"certpost"):
        """PING, and waits for its PONG."""
        self.frames.send(encode(PING, data))
        while True:
            received = self.frames.receive({PONG, PING, GOAWAY})
            if received is None:
                raise Truncated("the server ended the connection")
            if received == (PONG, data):
                return

    def request_receipt(self):
        """Asks for a receipt of all that was sent; returns its statement and signature (4.9)."""
        _require(self.welcome["receipts"], "the server gives no receipts")
        self.frames.send(encode(RECEIPT_REQUEST))
        while self.unacked[:self.sent]:
            self.receive_ack()
        receipt = self._expect({RECEIPT})
        return receipt["statement"], receipt["signature"]

    def bye(self):
        """BYE, the last acknowledgements, and the server's end of the connection."""
        self.frames.send(encode(BYE))
        while self.unacked[:self.sent]:
            self.receive_ack()
        received = self.frames.receive({ACK, GOAWAY, PING, PONG})
        _require(received is None, "something came after the last ACK")


# ---- server ----

class Streams:
    """What a store is to a server: heads and messages, and who owns a stream. In memory."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages = {}  # (identity, name) -> [bytes]
        self.digests = {}   # likewise -> [D(0), D(1), …]
        self.owners = {}

    def take_over(self, identity, name, owner):
        with self.lock:
            key = (identity, name)
            self.messages.setdefault(key, [])
            digests = self.digests.setdefault(key, [origin(identity, name)])
            self.owners[key] = owner
            return len(digests) - 1, digests[-1], digests[0]

    def append(self, identity, name, owner, message):
        """The new head, or None when `owner` is not the owner any more."""
        with self.lock:
            key = (identity, name)
            if self.owners.get(key) is not owner:
                return None
            self.messages[key].append(message)
            self.digests[key].append(next_digest(self.digests[key][-1], message))
            return len(self.messages[key]), self.digests[key][-1]


class Server:
    """The server's role for one connection. serve() returns when the conversation is over.

    `decide(seq, message)` may return (code, text) to reject a message. `ack_every` delays ACKs:
    one for so many messages; what is left is acknowledged at BYE or when the window is half full.
    `receipt(name, seq, digest)` gives statement and signature; None: there are no receipts.
    """

    def __init__(self, sock, streams, identity=b"", level=STORED, max_message=1 << 20,
                 window=4 << 20, reply=b"Message received!", server_name=b"certpost1.py",
                 decide=None, ack_every=1, receipt=None):
        self.frames = Frames(sock)
        self.streams, self.identity, self.level = streams, identity, level
        self.max_message, self.window = max_message, window
        self.reply, self.server_name = reply, server_name
        self.decide, self.ack_every, self.receipt = decide, ack_every, receipt
        self.name = None
        self.head = self.acked = (0, b"")
        self.unacked_bytes = 0

    def serve(self):
        try:
            if self._greet():
                self._take_messages()
        except ProtocolError as error:
            self._ack()
            self._go_away("protocol", str(error))
        except (Truncated, ConnectionError):
            pass  # nobody is left to be told

    def _go_away(self, code, text=""):
        self.frames.send(encode_goaway(CODES[code], text.encode("utf-8")[:255]))

    def _greet(self):
        received = self.frames.receive({HELLO})
        if received is None:
            return False
        hello = received[1]
        if hello["required_level"] > self.level:
            self._go_away("level_unavailable")
            return False
        self.name = hello["name"]
        seq, digest, first = self.streams.take_over(self.identity, self.name, self)
        self.head = self.acked = (seq, digest)
        self.frames.send(encode_welcome(seq, digest, self.level, self.max_message, self.window,
                                        self.server_name, self.reply, first,
                                        receipts=self.receipt is not None))
        return True

    def _ack(self):
        if self.head[0] > self.acked[0]:
            self.frames.send(encode_ack(*self.head))
            self.acked, self.unacked_bytes = self.head, 0

    def _take_messages(self):
        leaving = False
        while True:
            allowed = {PING, PONG} if leaving else {MESSAGE, BYE, PING, PONG}
            if self.receipt:
                allowed.add(RECEIPT_REQUEST)
            try:
                received = self.frames.receive(allowed, self.max_message)
            except TooLarge:
                self._reject(CODES["too_large"], b"")
                return
            if received is None or (received[0] == BYE and not leaving):
                self._ack()
                return
            frame_type, value = received
            if frame_type == PING:
                self.frames.send(encode(PONG, value))
            elif frame_type == RECEIPT_REQUEST:
                self._ack()
                self.frames.send(encode_receipt(*self.receipt(self.name, *self.head)))
            elif frame_type == MESSAGE and not self._take(value):
                return

    def _reject(self, code, text):
        self._ack()
        self.frames.send(encode_reject(self.head[0] + 1, code, text))

    def _take(self, message):
        self.unacked_bytes += len(message) + OVERHEAD
        verdict = self.decide and self.decide(self.head[0] + 1, message)
        if verdict:
            self._reject(*verdict)
            return False
        if self.head[0] == LAST_SEQ:
            self._ack()
            self._go_away("exhausted")
            return False
        head = self.streams.append(self.identity, self.name, self, message)
        if head is None:
            self._ack()
            self._go_away("superseded")
            return False
        self.head = head
        if head[0] - self.acked[0] >= self.ack_every or self.unacked_bytes * 2 >= self.window:
            self._ack()
        return True
