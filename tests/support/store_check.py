"""What is in a store, found out without certpost's own code: sqlite3 and hashlib alone.

The digests are computed as docs/protocol.md, section 5, defines them; the tables are those of
src/store/schema.c. Tests of crashes and faults compare what a sender was told with what is here.

    with StoreCheck(path) as store:
        store.check()                                     # numbers, checkpoints, heads
        store.check_claims(("dns:a", "log"), claims)      # acknowledged, so stored
        assert list(store.messages(("dns:a", "log"))) == sent

Nothing is kept in memory but a stream's state, so large stores are fine. The file is opened for
reading only; all that one StoreCheck says is about one moment, also while a server writes.
"""

import hashlib
import pathlib
import sqlite3
import urllib.parse

APPLICATION_ID = 0x43505354
SCHEMA_VERSION = 1


class StoreFault(AssertionError):
    """The store is not what it has to be; `faults` has a sentence for each reason."""

    def __init__(self, faults):
        super().__init__("\n".join(faults))
        self.faults = faults


def as_bytes(text):
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)


def first_digest(identity, name):
    """D(0)."""
    return hashlib.sha256(b"certpost/1\0" + as_bytes(identity) + b"\0" + as_bytes(name)).digest()


def next_digest(digest, message):
    """D(n) from D(n-1) and message n."""
    return hashlib.sha256(digest + len(message).to_bytes(4, "big") + message).digest()


def digests(key, messages):
    """D(1), D(2), … of the stream `key` = (identity, name) with these messages."""
    digest = first_digest(*key)
    for message in messages:
        digest = next_digest(digest, as_bytes(message))
        yield digest


class _Stream:
    """A row of `streams`, and how far the check of its messages has come."""

    def __init__(self, number, identity, name, last_seq, digest):
        self.number = number
        self.key = (identity, name)
        self.last_seq = last_seq
        self.head = as_bytes(digest)
        self.label = f"stream {name!r} of {identity!r}"
        self.faults = []
        self.broken = False  # a number was wrong: nothing that comes can be right
        self.seq, self.digest = 0, first_digest(identity, name)
        self.checkpoint = None  # the one that covers the next message
        self.covered = 0  # the last number that checkpoints cover so far

    def fault(self, text):
        self.faults.append(f"{self.label}: {text}")

    def take(self, row, number, body, find_checkpoint):
        """The stream's next message, in the order of arrival."""
        if self.broken:
            return
        if number != self.seq + 1:
            self.broken = True
            self.fault(f"message {number} follows {self.seq}")
            return
        self.seq, self.digest = number, next_digest(self.digest, body)
        if number > self.covered:
            self.checkpoint = find_checkpoint(self.number, number)
            if self.checkpoint is None or self.checkpoint[0] != number:
                self.broken = True
                self.fault(f"no checkpoint begins with message {number}")
                return
            self.covered = self.checkpoint[1]
        first_seq, last_seq, first_row, last_row, wanted = self.checkpoint
        if not first_row <= row <= last_row:
            self.fault(f"message {number} is not in the rows of its checkpoint")
        if number == last_seq and as_bytes(wanted) != self.digest:
            self.fault(f"the checkpoint of {first_seq} to {last_seq} has another digest")

    def end(self, last_checkpoint):
        """After the last message."""
        if self.broken:
            return
        if last_checkpoint != self.seq:
            self.fault(f"the last checkpoint is that of {last_checkpoint}, the last message is {self.seq}")
        if self.seq != self.last_seq:
            self.fault(f"the head says {self.last_seq}, the last message is {self.seq}")
        if self.digest != self.head:
            self.fault("the head has another digest than the messages")


class StoreCheck:
    def __init__(self, path):
        name = urllib.parse.quote(str(pathlib.Path(path).absolute()))
        self._database = sqlite3.connect(f"file:{name}?mode=ro", uri=True, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self._database.close()
            raise

    def _open(self):
        self._database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        self._database.execute("PRAGMA query_only=ON")
        found = tuple(
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if found != (APPLICATION_ID, SCHEMA_VERSION):
            raise StoreFault([f"no store of schema version {SCHEMA_VERSION}: id and version are {found}"])
        self._database.execute("BEGIN")
        self._streams = {stream.key: stream for stream in self._load()}

    def _load(self):
        rows = self._database.execute("SELECT id, identity, name, last_seq, digest FROM streams ORDER BY id")
        return [_Stream(*row) for row in rows]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        self._database.close()

    @property
    def keys(self):
        """(identity, name) of each stream, oldest first."""
        return list(self._streams)

    def head(self, key):
        """(last_seq, digest in hex); (0, D(0)) of a stream that is not there."""
        stream = self._streams.get(key)
        return (stream.last_seq, stream.head.hex()) if stream else (0, first_digest(*key).hex())

    def _numbered(self, key):
        stream = self._streams.get(key)
        if stream is None:
            return iter(())
        return self._database.execute(
            "SELECT seq, body FROM messages WHERE stream = ? ORDER BY id", (stream.number,))

    def messages(self, key):
        """The messages of a stream, in the order in which they were stored; none if it is not there."""
        for _, body in self._numbered(key):
            yield as_bytes(body)

    def arrivals(self):
        """((identity, name), number, message) of all messages, in the order in which they were stored."""
        keys = {stream.number: key for key, stream in self._streams.items()}
        for number, seq, body in self._database.execute("SELECT stream, seq, body FROM messages ORDER BY id"):
            if number in keys:
                yield keys[number], seq, as_bytes(body)

    def all_messages(self):
        """{(identity, name): [message, …]}; for stores that fit into memory."""
        keys = {stream.number: key for key, stream in self._streams.items()}
        found = {key: [] for key in self._streams}
        for number, body in self._database.execute("SELECT stream, body FROM messages ORDER BY id"):
            found[keys[number]].append(as_bytes(body))
        return found

    # ---- the checks ------------------------------------------------------------------------------------

    def faults(self):
        """A sentence for everything that is wrong; empty when all is well."""
        found = [f"the file: {line}" for (line,) in self._database.execute("PRAGMA integrity_check(10)") if line != "ok"]
        found += self._orphans("messages")
        found += self._orphans("commits")
        streams = {stream.number: stream for stream in self._load()}
        for row, number, seq, body in self._database.execute("SELECT id, stream, seq, body FROM messages ORDER BY id"):
            if number in streams:
                streams[number].take(row, seq, as_bytes(body), self._checkpoint)
        for stream in streams.values():
            stream.end(self._last_checkpoint(stream.number))
            found += stream.faults
        return found

    def _checkpoint(self, stream, seq):
        """The first checkpoint that reaches message `seq`."""
        return self._database.execute(
            "SELECT first_seq, last_seq, first_row, last_row, digest FROM commits"
            " WHERE stream = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1", (stream, seq)).fetchone()

    def _last_checkpoint(self, stream):
        return self._database.execute(
            "SELECT coalesce(max(last_seq), 0) FROM commits WHERE stream = ?", (stream,)).fetchone()[0]

    def check(self):
        """Raises StoreFault unless everything is as it must be."""
        found = self.faults()
        if found:
            raise StoreFault(found)

    def _orphans(self, table):
        rows = self._database.execute(
            f"SELECT stream, count(*) FROM {table} WHERE stream NOT IN (SELECT id FROM streams) GROUP BY stream")
        return [f"{count} rows of {table} belong to no stream, but to {number}" for number, count in rows]

    def check_claims(self, key, claims):
        """Acknowledged, so stored: each claim (seq, digest as hex or bytes) must hold.

        `claims` in any order, from ACKs, WELCOMEs or what a client printed. A digest stands for every
        message up to its number. Returns the highest number that was claimed.
        """
        wanted = {}
        found = []
        for seq, digest in claims:
            digest = bytes.fromhex(digest) if isinstance(digest, str) else bytes(digest)
            if wanted.setdefault(seq, digest) != digest:
                found.append(f"{key}: two claims for {seq} contradict each other")
        highest = max(wanted, default=0)
        digest = first_digest(*key)
        if wanted.pop(0, digest) != digest:
            found.append(f"{key}: claimed 0 has another digest")
        for expected, (seq, body) in enumerate(self._numbered(key), 1):
            if not wanted:
                break
            if seq != expected:
                found.append(f"{key}: number {seq} stands where {expected} should be")
                break
            digest = next_digest(digest, as_bytes(body))
            if wanted.pop(seq, digest) != digest:
                found.append(f"{key}: {seq} is acknowledged with another digest than is stored")
        found += [f"{key}: {seq} is acknowledged and not stored" for seq in sorted(wanted)]
        if found:
            raise StoreFault(found)
        return highest

    def check_sent(self, key, sent, acknowledged=None):
        """The stream holds the first messages of `sent`, once each and in order, and at least the first
        `acknowledged` of them (all, if None). Returns how many it holds."""
        count = 0
        sent = iter(sent)
        for stored in self.messages(key):
            expected = next(sent, None)
            count += 1
            if expected is None:
                raise StoreFault([f"{key}: message {count} was never sent: {stored[:80]!r}"])
            if stored != as_bytes(expected):
                raise StoreFault([f"{key}: message {count} is {stored[:80]!r}, sent was {as_bytes(expected)[:80]!r}"])
        if acknowledged is None:
            missing = next(sent, None)
            if missing is not None:
                raise StoreFault([f"{key}: only {count} are stored; missing: {as_bytes(missing)[:80]!r}"])
        elif count < acknowledged:
            raise StoreFault([f"{key}: {acknowledged} were acknowledged, {count} are stored"])
        return count


def check(path):
    """Checks the whole store; returns {(identity, name): [message, …]}."""
    with StoreCheck(path) as store:
        store.check()
        return store.all_messages()
