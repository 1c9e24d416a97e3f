"""Receipts as certpostd signs them, made by tests/support/receipt_maker.c; digests by Python alone."""

import hashlib
import os
import pathlib
import time

import certpost1
import processes

PROGRAM = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests" / "receipt_maker"
SERVER_NAME = "post.example"
IDENTITY = "dns:sensor.example"
STREAM = "log"
DAY_S = 86400


def digest_of(messages, identity=IDENTITY, stream=STREAM):
    """D(n) of the stream that has just these messages."""
    digest = certpost1.origin(identity.encode(), stream.encode())
    for message in messages:
        digest = certpost1.next_digest(digest, message)
    return digest


def make(certificate, key, messages=(), *, identity=IDENTITY, stream=STREAM, seq=None, digest=None,
         time_s=None, fields=None):
    """The bytes of a receipt's file for these messages; or None, and the paths `fields` are written."""
    seq = len(messages) if seq is None else seq
    digest = digest_of(messages, identity, stream).hex() if digest is None else digest
    time_ms = int((time.time() if time_s is None else time_s) * 1000)
    extra = [] if fields is None else ["--fields", *fields]
    status, output, errors = processes.run(
        [PROGRAM, certificate, key, SERVER_NAME, identity, stream, str(seq), digest, str(time_ms), *extra])
    if status != 0:
        raise AssertionError(errors)
    return None if fields else output.encode()
