"""certpost receipt: what it accepts, what it refuses and with which words; and what openssl alone says."""

import email
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
import unittest

import certificates
import pki
import processes
import receipt_maker
from certpost_client import run
from receipt_maker import DAY_S

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
MESSAGES = (b"one", b"two", b"three")
LINES = b"one\ntwo\r\nthree"


DATED_CONFIG = b"""\
[ca]
default_ca = this
[this]
database = %(folder)s/index
new_certs_dir = %(folder)s
rand_serial = yes
default_md = sha256
policy = policy
[policy]
commonName = supplied
[req]
distinguished_name = policy
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:post.example
authorityKeyIdentifier = keyid
"""


def old_pair(folder):
    """A CA that is 30 days old, and a server certificate of its, 20 days to 1 day ago: three paths."""
    config, index = folder / "openssl.cnf", folder / "index"
    config.write_bytes(DATED_CONFIG % {b"folder": str(folder).encode()})
    index.write_bytes(b"")
    for name, began, ended, issuer in (("authority", 30, -30, ["-selfsign"]),
                                       ("server", 20, 1, ["-cert", folder / "authority.crt"])):
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - days * DAY_S))
                      for days in (began, ended))
        paths = [folder / f"{name}.{suffix}" for suffix in ("key", "csr", "crt")]
        pki.openssl("req", "-new", "-config", config, *pki.KEY_TYPES["p256"], "-noenc", "-subj", f"/CN={name}",
                    "-keyout", paths[0], "-out", paths[1])
        pki.openssl("ca", "-batch", "-config", config, "-keyfile", folder / "authority.key", *issuer,
                    "-extensions", name, "-startdate", start, "-enddate", end, "-in", paths[1],
                    "-out", paths[2], "-notext")
    return folder / "authority.crt", folder / "server.crt", folder / "server.key"


class ReceiptCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "receipt.eml"

    def make(self, certificate="server.crt", key="server.key", **options):
        data = receipt_maker.make(certificates.path(certificate), certificates.path(key), MESSAGES, **options)
        self.file.write_bytes(data)
        return data

    def verify(self, *arguments, ca="ca.crt", **options):
        return run("receipt", "verify", "--cacert", certificates.path(ca), self.file, *arguments, **options)

    def assert_verdict(self, result, status, words=""):
        self.assertEqual(result.status, status, result)
        self.assertIn(words, "\n".join(result.errors))
        if status != 0:
            self.assertEqual(result.output, [])

    def alter(self, old, new):
        data = self.file.read_bytes()
        self.assertIn(old, data)
        self.file.write_bytes(data.replace(old, new, 1))


class Openssl(ReceiptCase):
    """The line that the documents and the receipt itself tell people to type."""

    def documented_line(self):
        text = (SOURCE_DIR / "docs" / "receipts.md").read_text(encoding="utf-8")
        line = re.search(r"(?m)^openssl cms -verify .*$", text).group(0)
        self.assertIn(f"    {line}\n".encode(), self.file.read_bytes().replace(b"\r\n", b"\n"))
        return line.split()

    def run_line(self, ca=None, *more):
        ca = ca or certificates.path("ca.crt")
        words = [{"FILE": str(self.file), "CA.crt": ca}.get(word, word) for word in self.documented_line()]
        return processes.run([*words, *more])

    def assert_accepted(self, *arguments):
        status, output, errors = self.run_line(*arguments)
        self.assertEqual((status, errors.strip()), (0, "CMS Verification successful"))
        self.assertIn("\nseq: 3\n", output.replace("\r\n", "\n"))

    def test_the_documented_line_accepts_a_receipt(self):
        self.make()
        self.assert_accepted()

    def test_it_accepts_an_rsa_receipt(self):
        self.make("rsa3072/server.crt", "rsa3072/server.key")
        self.assert_accepted(certificates.path("rsa3072/ca.crt"))

    def test_it_accepts_lines_that_end_in_cr_lf(self):
        self.file.write_bytes(self.make().replace(b"\n", b"\r\n"))
        self.assert_accepted()

    def test_it_accepts_names_that_look_like_boundaries(self):
        name = "--certpost-receipt--" * 50
        self.make(identity=name, stream="--certpost-receipt\r\n\r\nseq: 9")
        self.assert_accepted()
        self.assert_verdict(self.verify(), 0)

    def test_it_refuses_another_text_and_another_ca(self):
        self.make()
        self.assertNotEqual(self.run_line(certificates.path("unknown-ca.crt"))[0], 0)
        self.alter(b"seq: 3", b"seq: 4")
        self.assertNotEqual(self.run_line()[0], 0)

    def test_it_accepts_an_expired_certificate_at_the_time_of_the_receipt(self):
        then = int(time.time()) - 10 * DAY_S
        ca, certificate, key = old_pair(self.folder)
        self.file.write_bytes(receipt_maker.make(certificate, key, MESSAGES, time_s=then))
        self.assertNotEqual(self.run_line(ca)[0], 0)
        self.assert_accepted(ca, "-attime", str(then))

    def test_it_accepts_the_two_fields_of_the_frame(self):
        text, signature = self.folder / "text", self.folder / "signature"
        receipt_maker.make(certificates.path("server.crt"), certificates.path("server.key"), MESSAGES,
                           fields=(text, signature))
        status, output, errors = processes.run(
            ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", signature, "-content", text,
             "-CAfile", certificates.path("ca.crt"), "-purpose", "sslserver"])
        self.assertEqual((status, errors.strip()), (0, "CMS Verification successful"))
        self.assertEqual(output.replace("\r\n", "\n"), text.read_text(encoding="ascii"))

    def test_it_is_a_mime_message_of_two_parts(self):
        message = email.message_from_bytes(self.make())
        text, signature = message.get_payload()
        self.assertEqual(message.defects + text.defects + signature.defects, [])
        self.assertEqual(message.get_content_type(), "multipart/signed")
        self.assertEqual(message.get_param("micalg"), "sha-256")
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertTrue(text.get_payload().startswith("certpost-receipt: 1\n"))
        self.assertEqual(signature.get_content_type(), "application/pkcs7-signature")


class Signer(ReceiptCase):
    def test_a_good_receipt(self):
        self.make()
        result = self.verify()
        self.assert_verdict(result, 0)
        self.assertEqual(result.output[:4], [
            "certpost-receipt: 1", "server: post.example", "identity: dns:sensor.example", "stream: log"])
        self.assertIn("signed by: localhost, 127.0.0.1, ::1", result.output)
        self.assertEqual(result.output[-1], "signer: good")
        self.assertEqual(self.verify("--quiet").output, [])

    def test_name(self):
        self.make()
        self.assert_verdict(self.verify("--servername", "localhost"), 0)
        self.assert_verdict(self.verify("--servername", "127.0.0.1"), 0)
        self.assert_verdict(
            self.verify("--servername", "post.example"), 60,
            "is for other names: expected post.example, it has localhost")

    def test_another_ca(self):
        self.make()
        self.assert_verdict(self.verify(ca="unknown-ca.crt"), 60, "is from an unknown CA (its issuer is CN=")

    def test_a_certificate_that_is_not_for_servers(self):
        self.make("bad-wrong-eku.crt", "bad-wrong-eku.key")
        self.assert_verdict(self.verify(), 60, "is not for this purpose")

    def test_a_self_signed_certificate(self):
        self.make("bad-self-signed.crt", "bad-self-signed.key")
        self.assert_verdict(self.verify(), 60, "self-signed")

    def test_an_expired_certificate_is_good_for_its_time_only(self):
        now = time.time()
        ca, certificate, key = old_pair(self.folder)
        for time_s, arguments, status in (
            (now - 10 * DAY_S, (), 0),
            (now - 10 * DAY_S, ("--at", "receipt"), 0),
            (now - 10 * DAY_S, ("--at", "now"), 60),
            (now - 25 * DAY_S, (), 60),
            (now, (), 60),
        ):
            self.file.write_bytes(receipt_maker.make(certificate, key, MESSAGES, time_s=time_s))
            result = run("receipt", "verify", "--cacert", ca, *arguments, self.file)
            words = "the certificate that signed the receipt is not valid at 20" if status else ""
            self.assert_verdict(result, status, words)

    def test_a_receipt_survives_the_renewal_of_its_certificate(self):
        with pki.Pki() as authority:
            for name in ("old", "new"):
                data = receipt_maker.make(*authority.issue(name, ["post.example"]), MESSAGES)
                self.file.write_bytes(data)
                result = run("receipt", "verify", "--cacert", authority.ca, "--servername", "post.example",
                             self.file)
                self.assert_verdict(result, 0)

    def test_a_receipt_from_the_future(self):
        self.make(time_s=time.time() + 3600)
        self.assert_verdict(self.verify(), 60, "is from the future")
        self.make(time_s=time.time() + 60)
        self.assert_verdict(self.verify(), 0)

    def test_a_chain_with_an_intermediate_verifies_from_the_root_alone(self):
        with pki.Pki() as authority:
            authority._request("between", "p256", pki.CA_EXTENSIONS + ("authorityKeyIdentifier=keyid",),
                               "-CA", authority.ca, "-CAkey", authority.path("ca.key"))
            authority._request("leaf", "p256", pki.LEAF_EXTENSIONS + ("subjectAltName=DNS:post.example",),
                               "-CA", authority.path("between.crt"), "-CAkey", authority.path("between.key"))
            parts = [pathlib.Path(authority.path(name)).read_bytes()
                     for name in ("leaf.crt", "between.crt", "ca.crt")]
            chain = authority.write("chain.crt", b"".join(parts))
            self.file.write_bytes(receipt_maker.make(chain, authority.path("leaf.key"), MESSAGES))
            self.assert_verdict(run("receipt", "verify", "--cacert", authority.ca, self.file), 0)
            status, _, errors = processes.run(
                ["openssl", "cms", "-verify", "-in", self.file, "-CAfile", authority.ca, "-purpose", "sslserver"])
            self.assertEqual((status, errors.strip()), (0, "CMS Verification successful"))
            # Without the one in between, there is no way up.
            self.file.write_bytes(
                receipt_maker.make(authority.path("leaf.crt"), authority.path("leaf.key"), MESSAGES))
            self.assert_verdict(run("receipt", "verify", "--cacert", authority.ca, self.file), 60,
                                "is from an unknown CA (its issuer is CN=between)")

    def test_revocation_is_as_of_now(self):
        with pki.Pki() as authority:
            pair = authority.issue("stolen", ["post.example"])
            self.file.write_bytes(receipt_maker.make(*pair, MESSAGES))
            index = pathlib.Path(authority.write("index.txt", b""))
            config = authority.write(
                "ca.cnf", b"[ca]\ndefault_ca = ours\n[ours]\ndatabase = %s\ndefault_md = sha256\n"
                          b"default_crl_days = 2\n" % str(index).encode())
            sign = ["ca", "-config", config, "-cert", authority.ca, "-keyfile", authority.path("ca.key")]
            crl = authority.path("ca.crl")
            arguments = ("receipt", "verify", "--cacert", authority.ca, "--crlfile", crl, self.file)
            pki.openssl(*sign, "-gencrl", "-out", crl)
            self.assert_verdict(run(*arguments), 0)
            pki.openssl(*sign, "-revoke", pair[0])
            pki.openssl(*sign, "-gencrl", "-out", crl)
            self.assert_verdict(run(*arguments), 60, "has been revoked by its CA")

    def test_ca_files(self):
        self.make()
        missing = self.folder / "none.crt"
        self.assert_verdict(run("receipt", "verify", "--cacert", missing, self.file), 77, "CA file")
        hashed = self.folder / "cas"
        hashed.mkdir()
        shutil.copy(certificates.path("ca.crt"), hashed)
        pki.openssl("rehash", hashed)
        self.assert_verdict(run("receipt", "verify", "--capath", hashed, self.file), 0)


class Tampering(ReceiptCase):
    def test_another_text(self):
        self.make()
        self.alter(b"seq: 3", b"seq: 4")
        for result in (self.verify(), run("receipt", "show", self.file)):
            self.assert_verdict(result, 60, "does not fit its text: one of them was altered")

    def test_another_signature(self):
        first = self.make()
        self.file.write_bytes(receipt_maker.make(
            certificates.path("server.crt"), certificates.path("server.key"), MESSAGES[:2]))
        end = first[first.rindex(b"\n\n", 0, -30):]
        data = self.file.read_bytes()
        self.file.write_bytes(data[:data.rindex(b"\n\n", 0, -30)] + end)
        self.assert_verdict(self.verify(), 60, "does not fit its text")

    def test_a_text_that_is_no_statement(self):
        for old, new, words in (
            (b"certpost-receipt: 1", b"certpost-receipt: 2", "of a version that this program does not know"),
            (b"seq: 3", b"seq: 03", "not in its canonical form"),
            (b"seq: 3\n", b"seq: 3\nseq: 3\n", 'another line where "digest" belongs'),
            (b"stream: log\n", b"", 'another line where "stream" belongs'),
        ):
            self.make()
            self.alter(old, new)
            self.assert_verdict(self.verify(), 74, words)

    def test_words_around_the_signed_text(self):
        for old, new in (
            (b"This is a receipt", b"seq: 1000\n\nThis is a receipt"),
            (b"MIME-Version: 1.0\n", b"MIME-Version: 1.0\nsubject: seq 1000\n"),
            (b"--certpost-receipt--\n", b"--certpost-receipt--\nseq: 1000\n"),
            (b"name=\"smime.p7s\"", b"name=\"seq 1000\""),
            (b"sha-256", b"sha-512"),
        ):
            self.make()
            self.alter(old, new)
            result = self.verify()
            self.assertEqual((result.status, result.output), (74, []), (old, result))

    def test_every_cut(self):
        data = self.make()
        for length in [0, 1, 20, *range(100, len(data), 211), len(data) - 2, len(data) - 1]:
            self.file.write_bytes(data[:length])
            result = self.verify()
            self.assertEqual((result.status, result.output), (74, []), (length, result))

    def test_files_that_are_no_receipts(self):
        for data in (b"hello\n", b"\0" * 100, b"\n" * 1000, b"MIME-Version: 1.0\n",
                     pathlib.Path(certificates.path("ca.crt")).read_bytes()):
            self.file.write_bytes(data)
            self.assert_verdict(self.verify(), 74)
        self.file.write_bytes(b"hello\n")
        self.assert_verdict(self.verify(), 74, "is not a receipt of certpost")

    def test_a_huge_file(self):
        with open(self.file, "wb") as file:
            file.truncate(1 << 34)
        self.assert_verdict(self.verify(), 74, "too large")
        self.file.write_bytes(b"MIME-Version: 1.0\n" * 3000)
        self.assert_verdict(self.verify(), 74, "larger than a receipt can be")

    def test_a_missing_file_and_a_folder(self):
        self.assert_verdict(self.verify(), 74, "cannot open the receipt")
        self.file.mkdir()
        self.assert_verdict(self.verify(), 74, "cannot read the receipt")


class Input(ReceiptCase):
    def setUp(self):
        super().setUp()
        self.make()

    def test_lines_of_standard_input_and_of_a_file(self):
        result = self.verify("--lines", data=LINES)
        self.assert_verdict(result, 0)
        self.assertEqual(result.output[-1], "input: agrees")
        self.assert_verdict(self.verify("-l", "-", data=LINES), 0)
        lines = self.folder / "input"
        lines.write_bytes(LINES)
        self.assert_verdict(self.verify("-l", lines), 0)

    def test_messages_and_files(self):
        two = self.folder / "two"
        two.write_bytes(b"two")
        self.assert_verdict(self.verify("-m", "one", "-f", two, "-m", "three"), 0)
        self.assert_verdict(self.verify("-m", "one", "-f", two, "-m", "three\n"), 76, "is not for this input")

    def test_one_message_as_a_whole_file(self):
        whole = self.folder / "whole"
        whole.write_bytes(LINES)
        self.file.write_bytes(receipt_maker.make(
            certificates.path("server.crt"), certificates.path("server.key"), (LINES,)))
        self.assert_verdict(self.verify(whole), 0)
        self.assert_verdict(self.verify("-", data=LINES), 0)
        self.assert_verdict(self.verify("-l", whole), 76, "at least one of messages 1 to 1")

    def test_every_other_input_is_refused(self):
        for lines in (b"one\ntwo\nthree!", b"two\none\nthree", b"one\ntwo \nthree", b"\none\ntwo\nthree"):
            self.assert_verdict(self.verify("-l", data=lines), 76, "at least one of messages 1 to 3")

    def test_input_that_ends_early_or_goes_on(self):
        self.assert_verdict(self.verify("-l", data=b"one\n"), 76, "message 2 is the first that is missing")
        self.assert_verdict(self.verify("-l", data=b""), 76, "message 1 is the first that is missing")
        result = self.verify("-l", data=LINES + b"\nfour\n")
        self.assert_verdict(result, 0)
        self.assertEqual(result.output[-1], "input: agrees, and goes on after what the receipt is for")

    def test_input_that_cannot_be_read(self):
        missing = self.folder / "missing"
        self.assert_verdict(self.verify("-l", missing), 74, "cannot read the input")
        self.assert_verdict(self.verify(missing), 74, "cannot read the file")

    def test_stream_and_identity(self):
        self.assert_verdict(self.verify("--stream", "log", "--identity", "dns:sensor.example"), 0)
        self.assert_verdict(self.verify("--stream", "lo"), 76, 'is for another stream: "log"')
        self.assert_verdict(self.verify("--identity", ""), 76, 'is for another identity: "dns:sensor.example"')


class Show(ReceiptCase):
    def test_show_checks_no_signer_and_says_so(self):
        self.make("bad-self-signed.crt", "bad-self-signed.key")
        result = run("receipt", "show", self.file)
        self.assert_verdict(result, 0)
        self.assertEqual(result.output[-1], "signer: not checked; see certpost receipt verify")

    def test_json(self):
        self.make(identity="dns:\x01\u202e", stream="caf\u00e9", time_s=1795353677.123)
        expected = {
            "server": "post.example", "identity": "dns:\x01\u202e", "stream": "caf\u00e9", "seq": 3,
            "digest": receipt_maker.digest_of(MESSAGES, "dns:\x01\u202e", "caf\u00e9").hex(),
            "signed_by": "localhost, 127.0.0.1, ::1", "signer": None, "input": None,
        }
        result = run("receipt", "show", "--json", self.file)
        found = json.loads(result.output[0])
        self.assertEqual(found.pop("time"), "2026-11-22T13:21:17.123Z")
        self.assertEqual(found, expected)
        self.make()
        found = json.loads(self.verify("--json", "-l", data=LINES).output[0])
        self.assertEqual((found["signer"], found["input"]), ("good", "agrees"))

    def test_what_a_peer_chose_is_shown_escaped(self):
        self.make(stream="a\nseq: 9\x1b[2J")
        result = run("receipt", "show", self.file)
        self.assertIn("stream: a\\x0aseq: 9\\x1b[2J", result.output)

    def test_usage(self):
        self.make()
        for arguments, words in (
            ((), "certpost receipt verify FILE"),
            (("print", self.file), "certpost receipt verify FILE"),
            (("show",), "which receipt"),
            (("show", self.file, "more"), "one operand too many"),
            (("show", self.file, "-m", "one"), "messages are for"),
            (("verify", self.file, "input", "more"), "one operand too many"),
            (("verify", self.file, "-m", "one", "input"), "not by both"),
            (("verify", self.file, "-m", "one", "-l"), "does not go together"),
            (("verify", self.file, "--at", "noon"), "it is receipt or now"),
            (("verify", self.file, "--servername", "."), "must have 1 to"),
        ):
            self.assert_verdict(run("receipt", *arguments), 2, words)

    def test_broken_output_is_reported(self):
        self.make()
        with open("/dev/full", "wb") as full:
            result = run("receipt", "show", self.file, stdout=full)
        self.assertEqual(result.status, 74)


if __name__ == "__main__":
    unittest.main()
