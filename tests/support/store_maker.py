"""Stores as certpostd writes them, made message by message by tests/support/make_store.c."""

import contextlib
import os
import pathlib
import sqlite3

import processes

PROGRAM = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests" / "make_store"


def _hex(data):
    data = data.encode() if isinstance(data, str) else data
    return data.hex() or "-"


class StoreMaker(processes.Process):
    """The owner of a store. `finish` closes it as a server does; leaving the `with` early kills it."""

    def __init__(self, path):
        super().__init__([PROGRAM, path])
        self.stdout.wait_line("ready")

    def _say(self, line, answer):
        self.write(line.encode() + b"\n")
        return self.stdout.wait_line(answer)

    def stream(self, identity, name):
        """The number that the other calls take."""
        return int(self._say(f"stream {_hex(identity)} {_hex(name)}", r"(\d+)").group(1))

    def message(self, stream, body):
        """Appends; returns the message's number and the digest, in hex, of the stream up to it."""
        seq, digest = self._say(f"message {stream} {_hex(body)}", r"(\d+) ([0-9a-f]{64})").groups()
        return int(seq), digest

    def many(self, stream, count):
        """Appends `message 1`, `message 2`, …; returns as `message` does, for the last one."""
        seq, digest = self._say(f"many {stream} {count}", r"(\d+) ([0-9a-f]{64})").groups()
        return int(seq), digest

    def commit(self):
        self._say("commit", "committed")

    def add(self, stream, *bodies):
        """One commit; returns the claims (seq, digest) of its messages."""
        claims = [self.message(stream, body) for body in bodies]
        self.commit()
        return claims

    def finish(self):
        self.close_stdin()
        if self.wait() != 0:
            raise AssertionError(self.report())


LOG = ("dns:a.example", "log")
OTHER = ("", "other")


def fill(maker):
    """Three commits of LOG (1 to 3, 4, 5 to 6), the last shared with OTHER (1 to 2)."""
    log = maker.stream(*LOG)
    other = maker.stream(*OTHER)
    maker.add(log, "one", "two", "three")
    maker.add(log, "four")
    for stream, body in ((log, "five"), (other, "un"), (log, "six"), (other, "deux")):
        maker.message(stream, body)
    maker.commit()
    return log, other


def make(path):
    with StoreMaker(path) as maker:
        fill(maker)
        maker.finish()


def damage(path, *statements):
    """Changes a store behind its server's back; each statement must change a row."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        for statement in statements:
            changed = database.execute(statement).rowcount
            if changed < 1:
                raise AssertionError(f"changes nothing: {statement}")
        database.commit()
