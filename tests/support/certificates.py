"""The certificates that the integration tests use: made once for a build folder, then kept.

`certificates.py make` is the command of the ctest fixture `certificates`; the tests ask `path()`.
Everything comes from scripts/make-certs, so that the tests use what people use. They are made anew
when they are older than MAX_AGE_DAYS, when something is missing, or when the script or this list
has changed. Run it by hand with CERTPOST_SOURCE_DIR and CERTPOST_BINARY_DIR set.

Folders: the default (ECDSA P-256) kinds, good and bad, are in certs/; certs/rsa3072 and
certs/ed25519 hold a CA, server and client of that key type.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
SCRIPT = SOURCE_DIR / "scripts" / "make-certs"
FOLDER = BINARY_DIR / "tests" / "certs"
STAMP = "made-from"
MAX_AGE_DAYS = 7
MAKE_TIMEOUT_S = 240

# Each row is one run of make-certs: the folder below FOLDER, and the arguments.
RUNS = (
    ("", ("--bad", "all")),
    ("", ("--client", "sensor", "--uri", "urn:certpost:sensor")),
    ("", ("--client", "revoked")),
    ("rsa3072", ("--key-type", "rsa3072")),
    ("ed25519", ("--key-type", "ed25519")),
)
REVOKED = "client-revoked.crt"


def path(name):
    """The path of one file, such as "ca.crt", "server.key", "bad-expired.crt" or "rsa3072/ca.crt".

    An absolute path stays what it is.
    """
    found = FOLDER / name
    if not found.exists():
        raise FileNotFoundError(f"{found}: run ctest, or the fixture that makes it")
    return str(found)


def _recipe():
    digest = hashlib.sha256()
    for part in (SCRIPT, *sorted(SCRIPT.parent.glob("lib/certificate-*.sh"))):
        digest.update(part.read_bytes())
    digest.update(repr((RUNS, REVOKED)).encode())
    return digest.hexdigest()


def _is_fresh():
    stamp = FOLDER / STAMP
    try:
        age_s = time.time() - stamp.stat().st_mtime
        return age_s < MAX_AGE_DAYS * 86400 and stamp.read_text(encoding="ascii") == _recipe()
    except FileNotFoundError:
        return False


def _make_certs(*arguments):
    command = [str(SCRIPT), "--quiet", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=MAKE_TIMEOUT_S)


def make():
    """Makes all of them, unless they are there; the folder appears whole or not at all."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with open(FOLDER.parent / "certs.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_fresh():
            return
        stage = FOLDER.with_name("certs.new")
        shutil.rmtree(stage, ignore_errors=True)
        for subfolder, arguments in RUNS:
            _make_certs("--out", str(stage / subfolder), *arguments)
        _make_certs("--out", str(stage), "--revoke", str(stage / REVOKED))
        (stage / STAMP).write_text(_recipe(), encoding="ascii")
        shutil.rmtree(FOLDER, ignore_errors=True)
        stage.rename(FOLDER)


if __name__ == "__main__":
    if sys.argv[1:] != ["make"]:
        sys.exit("usage: certificates.py make")
    make()
