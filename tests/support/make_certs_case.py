"""What every test of scripts/make-certs stands on: a folder of its own, and the openssl command.

Uses: the Python standard library, the openssl command. CERTPOST_SOURCE_DIR names the source tree;
without it, the tree that this file is in is meant.
"""

import datetime
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE_DIR = pathlib.Path(
    os.environ.get("CERTPOST_SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2]
)
SCRIPT = SOURCE_DIR / "scripts" / "make-certs"
DEADLINE_SECONDS = 60

STANDARD = {"ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"}
SERVER_BAD = ["expired", "not-yet-valid", "wrong-name", "unknown-ca", "self-signed", "wrong-eku"]
CLIENT_BAD = [
    "client-expired",
    "client-not-yet-valid",
    "client-unknown-ca",
    "client-self-signed",
    "client-wrong-eku",
]

# The X509_V_ERR_ numbers that `openssl verify` prints.
ERROR_ISSUER_UNKNOWN = 20
ERROR_SELF_SIGNED = 18
ERROR_NOT_YET_VALID = 9
ERROR_EXPIRED = 10
ERROR_PURPOSE = 26
ERROR_REVOKED = 23
ERROR_HOSTNAME = 62


def run(*command, cwd=None, env=None, preexec_fn=None):
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        preexec_fn=preexec_fn,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def openssl(*arguments):
    result = run("openssl", *arguments)
    if result.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {result.stderr}")
    return result.stdout


class MakeCertsCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.out = self.top / "certs"

    def attempt(self, *arguments, **keywords):
        return run(SCRIPT, "--out", self.out, *arguments, **keywords)

    def make(self, *arguments, **keywords):
        result = self.attempt(*arguments, **keywords)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def refuse(self, status, pattern, *arguments, **keywords):
        """A failure is one line with the script's name, which says what is wrong."""
        result = self.attempt(*arguments, **keywords)
        self.assert_failure(result, status, pattern)

    def assert_failure(self, result, status, pattern):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertRegex(result.stderr, r"\Amake-certs: [^\n]+\n\Z")
        self.assertRegex(result.stderr, pattern)
        self.assertTrue(result.stderr[:-1].isprintable())
        self.assertEqual(result.stdout, "")

    def files(self):
        return {path.name for path in self.out.iterdir()}

    def contents(self):
        return {path.name: path.read_bytes() for path in self.out.iterdir()}

    def certificate(self, name):
        return openssl("x509", "-in", self.out / name, "-noout", "-text")

    def extension(self, name, extension):
        lines = openssl("x509", "-in", self.out / name, "-noout", "-ext", extension).splitlines()
        return lines[0].strip(), " ".join(line.strip() for line in lines[1:])

    def sans(self, name):
        text = self.extension(name, "subjectAltName")[1]
        return text.split(", ")

    def common_name(self, name):
        line = openssl("x509", "-in", self.out / name, "-noout", "-subject")
        return re.search(r"CN ?= ?(.*)", line).group(1)

    def serial(self, name):
        return openssl("x509", "-in", self.out / name, "-noout", "-serial").strip().split("=")[1]

    def validity(self, name):
        text = openssl("x509", "-in", self.out / name, "-noout", "-dates")
        return [
            datetime.datetime.strptime(line.split("=")[1], "%b %d %H:%M:%S %Y GMT")
            for line in text.splitlines()
        ]

    def verify(self, name, *options, ca="ca.crt"):
        """The error numbers, in order; an empty list means that it verified."""
        result = run(
            "openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore",
            "-CAfile", self.out / ca, *options, self.out / name,
        )  # fmt: skip
        numbers = [int(number) for number in re.findall(r"error (\d+) at", result.stderr)]
        self.assertEqual(result.returncode == 0, not numbers, result.stderr)
        return numbers

    def make_foreign_ca(self, days=30, extra=("basicConstraints=critical,CA:TRUE",)):
        """A CA by other hands, as an operator may bring one."""
        self.out.mkdir(exist_ok=True)
        options = [part for line in (*extra, "keyUsage=critical,keyCertSign,cRLSign") for part in ("-addext", line)]
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-config", self.empty_config(), "-subj", "/CN=foreign", "-days", days,
            "-keyout", self.out / "ca.key", "-out", self.out / "ca.crt", *options,
        )  # fmt: skip

    def empty_config(self):
        path = self.top / "empty.cnf"
        path.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        return path
