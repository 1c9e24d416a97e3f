"""Receipts in Python, from docs/receipts.md: reading statements, and signing with the openssl program.

Nothing of certpost's own code has a hand in it, so a receipt that both sides agree about is one.
"""

import pathlib
import re
import tempfile
import time

import certpost1
import processes

_LINES = ("certpost-receipt", "server", "identity", "stream", "seq", "digest", "time")
_HEADER = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"


def read(text):
    """{"server": …, …} of a statement; AssertionError for anything that is none."""
    if not text.startswith(_HEADER) or not text.endswith(b"\r\n"):
        raise AssertionError(f"no statement: {text!r}")
    lines = text[len(_HEADER):-2].decode("ascii").split("\r\n")
    fields = [line.partition(":") for line in lines]
    if tuple(name for name, _, _ in fields) != _LINES:
        raise AssertionError(f"the lines of a statement are others: {lines}")
    return {name: value.removeprefix(" ") for name, _, value in fields}


def write(seq, digest, *, stream="orders", identity="", server="scripted", version="1"):
    """The text of a statement that is signed now; names must need no escapes."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
    values = (version, server, identity, stream, str(seq), digest.hex(), stamp)
    lines = [f"{name}: {value}" if value else f"{name}:" for name, value in zip(_LINES, values)]
    return _HEADER + "".join(line + "\r\n" for line in lines).encode("ascii")


def sign(statement, certificate, key):
    """The detached signature, DER."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text").write_bytes(statement)
        status, _, errors = processes.run(
            ["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-nosmimecap", "-outform", "DER",
             "-signer", certificate, "-inkey", key, "-in", folder / "text", "-out", folder / "signature"])
        if status != 0:
            raise AssertionError(errors)
        return (folder / "signature").read_bytes()


def verify_fields(statement, signature, ca):
    """What openssl says of the two fields of RECEIPT."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text").write_bytes(statement)
        (folder / "signature").write_bytes(signature)
        status, _, errors = processes.run(
            ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "signature",
             "-content", folder / "text", "-CAfile", ca, "-purpose", "sslserver"])
        if status != 0 or "successful" not in errors:
            raise AssertionError(errors)
        return read(statement)


def verify_file(path, ca):
    """Runs the line that docs/receipts.md shows; returns what it prints of the statement."""
    status, output, errors = processes.run(
        ["openssl", "cms", "-verify", "-in", path, "-CAfile", ca, "-purpose", "sslserver"])
    if status != 0 or "successful" not in errors:
        raise AssertionError(errors)
    return read(re.sub(r"\r?\n", "\r\n", output).encode("ascii"))


def digest_of(messages, identity="", stream="orders"):
    digest = certpost1.origin(identity.encode(), stream.encode())
    for message in messages:
        digest = certpost1.next_digest(digest, message)
    return digest
