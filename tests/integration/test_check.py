"""certpost check: each layer, when it holds and when it does not, against real peers.

Where a peer cannot be served, `certpost send` must end with the same status.
"""

import contextlib
import json
import os
import pathlib
import pty
import socket
import sqlite3
import ssl
import tempfile
import unittest

import certificates as made
import certpost1
import certpost_client
import certpost_server
import pki
from certified_servers import Peer, context, unused_port
from plain_servers import Server, certificates, hold_still, read_and_hold_still, s_server, server_context


def setUpModule():
    certificates.begin()


def lines_of(result, mark, layer=None):
    """The texts of the findings with this mark, of one layer or of all."""
    found = []
    for line in result.output:
        words = line.split(maxsplit=2)
        if words[0] == mark and layer in (None, words[1]):
            found.append(words[2])
    return found


class CheckCase(unittest.TestCase):
    def check(self, port, status, *arguments, ca=None, same=True, send=()):
        """Runs check, and send against the same peer; returns what check said."""
        target = (*(("--cacert", ca or certificates.ca()) if ca != "" else ()), *arguments,
                  "--connect-timeout", "5s", f"127.0.0.1:{port}")
        result = certpost_client.run("check", *target)
        self.assertEqual((result.status, result.errors), (status, []), result)
        if same:
            sent = certpost_client.run("send", "--retry-for", "0", *send, *target)
            self.assertEqual(sent.status, status, sent)
        return result

    def fails(self, result, layer, words):
        """Exactly one FAIL, of this layer, with these words in it."""
        failures = [line for line in result.output if line.startswith("FAIL")]
        self.assertEqual(len(failures), 1, result)
        self.assertEqual(failures[0].split()[1], layer, result)
        self.assertIn(words, failures[0])

    @contextlib.contextmanager
    def certpostd(self, *options, **named):
        with tempfile.TemporaryDirectory(prefix="certpost-check-") as folder:
            store = pathlib.Path(folder) / "store.db"
            with certpost_server.Server("--store", store, *options, **named) as server:
                server.store = store
                yield server

    @staticmethod
    def streams(store):
        with contextlib.closing(sqlite3.connect(store)) as database:
            return database.execute("SELECT count(*) FROM streams").fetchone()[0]


def own(name):
    return ("--cert", made.path(f"{name}.crt"), "--key", made.path(f"{name}.key"))


CLIENTS = ("--client-ca", "ca.crt")


def clients(verify):
    return ("--client-ca", made.path("ca.crt"), "--client-verify", verify)


class TestCheckHolds(CheckCase):
    def test_everything_holds_and_nothing_is_left_in_the_store(self):
        with self.certpostd("--name", "post.example", "--reply", "thanks") as server:
            result = self.check(server.port, 0, ca=made.path("ca.crt"), same=False)
            self.assertEqual(self.streams(server.store), 0)
            sent = certpost_client.run("send", "--cacert", made.path("ca.crt"), f"127.0.0.1:{server.port}")
            self.assertEqual((sent.status, self.streams(server.store)), (0, 1), sent)
            log = server.wait_log("software=\"certpost check").group()
        self.assertIn("messages=0", log)
        self.assertEqual(lines_of(result, "FAIL") + lines_of(result, "warning"), [], result)
        layers = [line.split()[1] for line in result.output]
        for layer in ("resolve", "tcp", "tls", "chain", "name", "expiry", "alpn", "client", "server", "time"):
            self.assertIn(layer, layers)
        self.assertIn("TLSv1.3", lines_of(result, "ok", "tls")[0])
        self.assertEqual(lines_of(result, "ok", "tls")[1:],
                         ["resumption is offered (2 tickets)", "no OCSP response is stapled"])
        self.assertEqual(lines_of(result, "ok", "alpn"), ["the server has certpost/1",
                         "the server has certpost-plain, the exchange of certpost send --plain"])
        self.assertEqual(lines_of(result, "ok", "server")[0],
                         'post.example: acknowledges what is stored, signs receipts, replies "thanks"')
        self.assertRegex(lines_of(result, "ok", "time")[0], r"^round trip [\d.]+ m?s \(least .*, of 5\)$")

    def test_json_is_one_object(self):
        with self.certpostd(*clients("optional"), "--max-message", "1000") as server:
            result = self.check(server.port, 0, "--json", *own("client-sensor"), ca=made.path("ca.crt"),
                                same=False)
        self.assertEqual(len(result.output), 1)
        found = json.loads(result.output[0])
        self.assertEqual((found["result"], found["status"], found["port"]), ("ok", 0, server.port))
        self.assertEqual(found["tls"]["alpn"], ["certpost/1", "certpost-plain"])
        self.assertIs(found["tls"]["ocsp_stapled"], False)
        self.assertNotIn("tls", found["addresses"][0])
        self.assertEqual(found["client_certificate"],
                         {"asked": True, "sent": True, "accepted": True, "identity": "uri:urn:certpost:sensor"})
        self.assertEqual((found["server"]["level"], found["server"]["max_message_bytes"]), ("stored", 1000))
        self.assertEqual([link["sent"] for link in found["chain"]], [True, False])
        self.assertEqual(found["round_trip"]["count"], 5)
        self.assertEqual({finding["result"] for finding in found["findings"]}, {"ok"})
        self.assertTrue(found["addresses"][0]["connected"])

    def test_a_stapled_ocsp_response(self):
        with pki.Pki() as authority:
            certificate, key = authority.issue("stapled", ["localhost"], ips=["127.0.0.1"])
            with certpost_server.Server("--no-print", "--ocsp-file", authority.ocsp("stapled"), cert=certificate,
                                        key=key) as server:
                result = self.check(server.port, 0, ca=authority.ca, same=False)
                found = json.loads(self.check(server.port, 0, "--json", ca=authority.ca, same=False).output[0])
        self.assertRegex(lines_of(result, "ok", "tls")[-1],
                         r"^an OCSP response is stapled \(\d+ bytes; it is not verified here\)$")
        self.assertIs(found["tls"]["ocsp_stapled"], True)

    def test_quiet_prints_nothing_when_all_holds(self):
        with certpost_server.Server("--no-print") as server:
            result = self.check(server.port, 0, "-q", ca=made.path("ca.crt"), same=False)
        self.assertEqual(result.output, [])

    def test_colour_only_on_a_terminal_and_never_with_no_color(self):
        def on_terminal(**environment):
            master, slave = pty.openpty()
            with certpost_client.start("check", f"127.0.0.1:{unused_port()}", stdout=slave,
                                       env={"TERM": "xterm", "NO_COLOR": "", **environment}) as process:
                os.close(slave)
                process.communicate(timeout=certpost_client.PATIENCE_S)
            data = os.read(master, 65536)
            os.close(master)
            return data

        self.assertIn(b"\x1b[1;31mFAIL", on_terminal())
        self.assertNotIn(b"\x1b", on_terminal(NO_COLOR="1"))
        self.assertNotIn(b"\x1b", on_terminal(TERM="dumb"))
        piped = certpost_client.run("check", f"127.0.0.1:{unused_port()}", env={"TERM": "xterm"})
        self.assertNotIn("\x1b", "".join(piped.output))

    def test_a_full_disk_behind_standard_output(self):
        with certpost_server.Server("--no-print") as server, open("/dev/full", "wb") as full:
            result = certpost_client.run("check", "--cacert", made.path("ca.crt"),
                                         f"127.0.0.1:{server.port}", stdout=full)
        self.assertEqual((result.status, result.errors),
                         (74, ["certpost: cannot write to standard output: No space left on device"]))


class TestCheckReach(CheckCase):
    def test_a_name_that_does_not_resolve(self):
        result = certpost_client.run("check", "a" * 64 + ".invalid")
        self.assertEqual(result.status, 6, result)
        self.fails(result, "resolve", ".invalid cannot be resolved")

    def test_nobody_listens(self):
        port = unused_port()
        self.fails(self.check(port, 7), "tcp", f"127.0.0.1:{port}: connection refused")

    def test_usage(self):
        for arguments, words in ((("a", "b"), "one server at a time"), (("h:0",), "h:0: write HOST"),
                                 (("--cert", "x"), "--cert needs --key"),
                                 (("--expiry-warning", "soon"), "--expiry-warning: a duration is")):
            result = certpost_client.run("check", *arguments)
            self.assertEqual((result.status, result.output), (2, []))
            self.assertIn(words, result.errors[0])


SOON = ("--expiry-warning", "1d")  # the certificates have ten
SEVERAL = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests" / "libseveral_addresses.so"


class TestCheckSeveralAddresses(CheckCase):
    """A name with addresses of this machine, at each of them a server of its own."""

    NAMES = "DNS:several.example"

    def several(self, port, status, *addresses, options=()):
        environment = {"LD_PRELOAD": str(SEVERAL), "SEVERAL_ADDRESSES": " ".join(addresses),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        result = certpost_client.run("check", "--cacert", certificates.ca(), "--connect-timeout", "20s", *options,
                                     f"several.example:{port}", env=environment)
        self.assertEqual((result.status, result.errors), (status, []), result)
        return result

    @contextlib.contextmanager
    def pair(self, other):
        """certpostd at 127.0.0.1 and `other` at 127.0.0.2, on one port."""
        leaf = certificates.leaf("several", names=self.NAMES)
        with certpost_server.Server("--no-print", cert=leaf, key=certificates.key("several")) as first:
            with other(f"127.0.0.2:{first.port}"):
                yield first

    def test_the_same_server_at_both(self):
        def same(address):
            return certpost_server.Server("--no-print", listen=(address,), cert=certificates.leaf(
                "several", names=self.NAMES), key=certificates.key("several"))

        with self.pair(same) as server:
            result = self.several(server.port, 0, "127.0.0.1", "127.0.0.2", options=SOON)
            found = json.loads(self.several(server.port, 0, "127.0.0.2", "127.0.0.1", options=("--json",)).output[0])
            alone = self.several(server.port, 0, "127.0.0.1", options=SOON)
        self.assertRegex(lines_of(result, "ok", "tls")[-1],
                         rf"^127\.0\.0\.2:{server.port}: TLSv1\.3, .*, group .*, the same certificate \(.*\)$")
        self.assertEqual(lines_of(result, "warning") + lines_of(alone, "warning"), [])
        self.assertEqual(len(result.output), len(alone.output) + 2)
        first, second = found["addresses"]
        self.assertEqual((first["address"], "tls" in first), (f"127.0.0.2:{server.port}", False))
        self.assertEqual((second["tls"]["ok"], second["tls"]["version"], second["tls"]["certpost"],
                          second["tls"]["same_certificate"]), (True, "TLSv1.3", True, True))

    def test_another_certificate(self):
        def another(address):
            return certpost_server.Server("--no-print", listen=(address,), cert=certificates.leaf(
                "another", names=self.NAMES), key=certificates.key("another"))

        with self.pair(another) as server:
            result = self.several(server.port, 0, "127.0.0.1", "127.0.0.2")
        self.assertIn("another certificate", lines_of(result, "ok", "tls")[-1])
        self.assertRegex("\n".join(lines_of(result, "warning", "expiry")),
                         rf"127\.0\.0\.2:{server.port}: CN=another: \d+ days left")

    def test_a_certificate_that_does_not_hold(self):
        """A warning, as of an address that cannot be reached: the first one is what send meets."""
        def wrong(address):
            return certpost_server.Server("--no-print", listen=(address,), cert=certificates.leaf(
                "wrong", names="DNS:wrong.example"), key=certificates.key("wrong"))

        with self.pair(wrong) as server:
            result = self.several(server.port, 0, "127.0.0.1", "127.0.0.2")
            strict = self.several(server.port, 60, "127.0.0.1", "127.0.0.2",
                                  options=("--strict", *SOON))
            found = json.loads(self.several(server.port, 0, "127.0.0.1", "127.0.0.2",
                                            options=("--json",)).output[0])
            self.several(server.port, 60, "127.0.0.2", "127.0.0.1")
        warning, = lines_of(result, "warning", "tls")
        self.assertRegex(warning, rf"^127\.0\.0\.2:{server.port}: .*wrong\.example")
        self.assertEqual(lines_of(strict, "warning"), [warning])
        self.assertEqual(found["addresses"][1]["tls"]["ok"], False)
        self.assertIn("wrong.example", found["addresses"][1]["tls"]["fault"])

    def test_one_that_refuses_and_one_that_is_no_certpostd(self):
        leaf = certificates.leaf("several", names=self.NAMES)

        def other(address):
            return s_server("-cert", leaf, "-key", certificates.key("several"), "-alpn", "h2", accept=address)

        with self.pair(other) as server:
            result = self.several(server.port, 0, "127.0.0.1", "127.0.0.2", "127.0.0.3")
        self.assertEqual(lines_of(result, "warning", "tls"),
                         [f"127.0.0.2:{server.port}: it does not speak certpost/1 (ALPN)"])
        self.assertIn("127.0.0.3", lines_of(result, "warning", "tcp")[0])


def says(data):
    """A peer that sends this as soon as it has read something."""
    def handler(connection, server):
        connection.recv(16384)
        connection.sendall(data)
        connection.recv(16384)
    return handler


def greets(data):
    def handler(connection, server):
        connection.sendall(data)
        connection.recv(16384)
    return handler


class TestCheckNoTls(CheckCase):
    def no_tls(self, handler, words, status=35, **named):
        with Server(handler) as server:
            self.fails(self.check(server.port, status, **named), "tls", words)

    def test_http(self):
        self.no_tls(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                    'the peer is an HTTP server without TLS; check the port (it said "HTTP/1.1 400 Bad Request")')

    def test_ssh(self):
        self.no_tls(greets(b"SSH-2.0-OpenSSH_9.2\r\n"), "the peer is an SSH server; check the port")

    def test_smtp(self):
        self.no_tls(greets(b"220 mail.example ESMTP\r\n"), "the peer is an SMTP or FTP server")

    def test_plain_text_is_escaped(self):
        self.no_tls(greets(b"hello \x1b[2J you there\n"),
                    'the peer does not speak TLS on this port; check the port (it said "hello \\x1b[2J you there")')

    def test_it_closes(self):
        self.no_tls(lambda connection, server: connection.recv(16384),
                    "the peer ended the connection during the TLS handshake")

    def test_it_hangs(self):
        with Server(hold_still) as server:
            result = certpost_client.run("check", "--connect-timeout", "300ms", f"127.0.0.1:{server.port}")
        self.assertEqual(result.status, 28, result)
        self.fails(result, "tls", "the TLS handshake did not complete in time")


class TestCheckTls(CheckCase):
    def test_a_server_of_tls_1_2(self):
        with s_server("-tls1_2", "-alpn", "certpost/1") as port:
            result = self.check(port, 35)
        self.fails(result, "tls", "the peer refused the TLS version")
        notes = lines_of(result, "-", "tls")
        self.assertIn("TLSv1.2", notes[0])
        self.assertIn("allow that here with --tls-min 1.2", notes[1])

    def test_no_group_in_common(self):
        with s_server("-groups", "P-521", "-alpn", "certpost/1") as port:
            result = self.check(port, 35, "--groups", "X25519")
        self.assertEqual([line.split()[1] for line in result.output if line.startswith("FAIL")], ["tls"])
        self.assertIn("secp521r1", lines_of(result, "-", "tls")[0])

    def test_a_server_that_knows_no_alpn(self):
        with s_server() as port:
            result = self.check(port, 35)
        self.fails(result, "alpn", "the server does not speak certpost/1 (ALPN)")
        self.assertEqual(lines_of(result, "-", "server"), ["not asked: it is no certpost server"])

    def test_a_server_that_refuses_our_alpn(self):
        with s_server("-alpn", "h2") as port:
            result = self.check(port, 35)
        self.fails(result, "alpn", "it refused that name")
        self.assertEqual(lines_of(result, "FAIL", "chain"), [])

    def test_a_server_of_the_plain_exchange_only(self):
        with s_server("-alpn", "certpost-plain") as port:
            result = self.check(port, 35)
        self.fails(result, "alpn", "it refused that name")
        self.assertIn("the server has certpost-plain", lines_of(result, "ok", "alpn")[0])


def intermediate(name="between"):
    """A CA below certificates.ca(), where certificates.leaf(ca=…) looks for it."""
    path = certificates.folder / f"{name}.pem"
    if not path.exists():
        certificates.openssl(
            "req", "-x509", "-new", "-key", certificates.key(name), "-out", path, "-days", 20, "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "basicConstraints=critical,CA:TRUE",
            "-CA", certificates.ca(), "-CAkey", certificates.key("ca"))
    return path


class TestCheckCertificates(CheckCase):
    def served(self, name, certificate, *more):
        return s_server("-cert", certificate, "-key", certificates.key(name), *more)

    def wrong(self, name, layer, words, *arguments, **options):
        with self.served(name, certificates.leaf(name, **options)) as port:
            result = self.check(port, 60, *arguments)
        self.fails(result, layer, words)
        self.assertEqual(lines_of(result, "-", "server"),
                         ["not asked: nothing was sent to a server that certpost send would not talk to"])
        return result

    def test_expired(self):
        self.wrong("expired", "expiry", "0: CN=expired has expired: it ended on 2021-02-03 04:05:06 UTC; have it "
                   "renewed, or check this machine's clock", start="20200101000000Z", end="20210203040506Z")

    def test_not_yet_valid(self):
        self.wrong("early", "expiry", "0: CN=early is not valid yet: it begins on 2090-01-01",
                   start="20900101000000Z", end="20910101000000Z")

    def test_wrong_name(self):
        self.wrong("other", "name", "expected 127.0.0.1, the certificate has mail.example.org; use one of these",
                   names="DNS:mail.example.org")

    def test_unknown_ca(self):
        result = self.wrong("foreign", "chain", "0: CN=foreign is from an unknown CA", ca="stranger")
        self.assertIn("nothing leads from there to CN=certpost test stranger", lines_of(result, "-", "chain")[0])

    def test_wrong_purpose(self):
        self.wrong("wrongeku", "chain", "0: CN=wrongeku is not for this purpose", purpose="clientAuth")

    def test_several_faults_at_once(self):
        with self.served("awful", certificates.leaf("awful", names="DNS:x.example", ca="stranger",
                                                    start="20200101000000Z", end="20210203040506Z")) as port:
            result = self.check(port, 60)
        self.assertEqual(sorted(line.split()[1] for line in result.output if line.startswith("FAIL")),
                         ["chain", "expiry", "name"])

    def test_self_signed(self):
        with self.served("s", certificates.self_signed("s")) as port:
            result = self.check(port, 60)
        self.fails(result, "chain", "0: CN=s is self-signed and not trusted here")

    def test_missing_intermediate(self):
        intermediate()
        leaf = certificates.leaf("below", ca="between")
        with self.served("below", leaf) as port:
            result = self.check(port, 60)
        self.fails(result, "chain", "0: CN=below is from an unknown CA")
        self.assertIn("the server sent 1 certificate, and nothing leads from there to CN=between",
                      lines_of(result, "-", "chain")[0])
        with self.served("below", leaf, "-cert_chain", intermediate(), "-alpn", "certpost-plain") as port:
            result = self.check(port, 35)
        self.assertEqual([line[:5] for line in lines_of(result, "ok", "chain")], ["0: CN", "1: CN", "2: CN"])

    def test_a_certificate_too_many(self):
        with self.served("server", certificates.leaf(), "-cert_chain", certificates.ca("stranger")) as port:
            result = self.check(port, 35)
        self.assertIn("the server also sent CN=certpost test stranger", lines_of(result, "warning", "chain")[0])

    def test_weak_key(self):
        certificates.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024",
                             "-out", certificates.folder / "weak.key")
        with self.served("weak", certificates.leaf("weak"), "-cipher", "DEFAULT:@SECLEVEL=0") as port:
            result = self.check(port, 60)
        self.fails(result, "chain", "0: CN=weak has a key that is too short; have it issued with a longer key")
        self.assertIn("RSA 1024 bits", lines_of(result, "warning", "chain")[0])

    def test_revoked(self):
        leaf = certificates.leaf("revoked")
        with self.served("revoked", leaf) as port:
            result = self.check(port, 60, "--crlfile", certificates.crl(leaf))
        self.fails(result, "chain", "0: CN=revoked has been revoked by its CA")

    def test_another_pin(self):
        with self.served("server", certificates.leaf()) as port:
            result = self.check(port, 60, "--pin", "sha256//" + "A" * 43 + "=")
        self.fails(result, "chain", "its key's pin is sha256//")

    def test_insecure_makes_faults_warnings(self):
        with certpost_server.Server("--no-print", cert="bad-expired.crt", key="bad-expired.key") as server:
            result = certpost_client.run("check", "-k", f"127.0.0.1:{server.port}")
        self.assertEqual(result.status, 0, result)
        self.assertEqual({line.split()[1] for line in result.output if line.startswith("warning")},
                         {"local", "chain", "expiry"})
        self.assertEqual(len(lines_of(result, "ok", "time")), 1)

    def test_a_ca_file_that_is_not_there(self):
        with self.served("server", certificates.leaf()) as port:
            result = self.check(port, 77, ca="/nowhere/ca.crt")
        self.fails(result, "local", "cannot open the CA file /nowhere/ca.crt")
        self.assertEqual(lines_of(result, "-", "chain"), ["not verified: the CA certificates cannot be used"])

    def test_expiry_warnings(self):
        def warnings(*arguments, status=0):
            result = self.check(server.port, status, *arguments, same=False)
            return lines_of(result, "warning", "expiry")

        leaf = certificates.leaf("soon")  # 10 days
        with certpost_server.Server("--no-print", cert=leaf, key=certificates.key("soon")) as server:
            self.assertRegex(warnings()[0], r"^0: CN=soon: \d+ days left, until .*; renew it$")
            self.assertEqual(warnings("--expiry-warning", "2d"), [])
            self.assertEqual(len(warnings("--strict", "--expiry-warning", "20d", status=60)), 1)


class TestCheckClientCertificate(CheckCase):
    CA = staticmethod(lambda: made.path("ca.crt"))

    def test_none_is_asked_for(self):
        with self.certpostd() as server:
            result = self.check(server.port, 0, ca=self.CA())
            given = self.check(server.port, 0, *own("client"), ca=self.CA())
        self.assertEqual(lines_of(result, "ok", "client"), ["the server does not ask for a certificate"])
        self.assertIn("does not ask for a certificate, so ours is of no use", lines_of(given, "warning", "client")[0])

    def test_optional(self):
        with self.certpostd(*clients("optional")) as server:
            without = self.check(server.port, 0, ca=self.CA())
            given = self.check(server.port, 0, *own("client"), ca=self.CA())
        self.assertRegex(lines_of(without, "ok", "client")[0], "^the server asks for a certificate of CN=certpost CA")
        self.assertEqual(lines_of(without, "ok", "client")[1],
                         "no certificate was sent, and the server serves this client without one")
        self.assertEqual(lines_of(given, "ok", "client")[1],
                         "own certificate was sent and accepted: this client is dns:client")

    def test_required(self):
        with self.certpostd(*clients("require")) as server:
            self.fails(self.check(server.port, 58, ca=self.CA()), "client",
                       "the server requires a certificate of its clients; give one with --cert and --key")
            self.check(server.port, 0, *own("client"), ca=self.CA())

    def test_refused(self):
        with self.certpostd(*clients("require")) as server:
            result = self.check(server.port, 58, *own("bad-client-expired"), ca=self.CA())
            self.fails(result, "client", "it has expired or is not valid yet")
            self.assertIn("own certificate: it ended on", lines_of(result, "warning", "expiry")[0])
            result = self.check(server.port, 58, *own("bad-client-unknown-ca"), ca=self.CA())
            self.fails(result, "client", "the server refused our certificate")
            self.assertIn("which is none of these", lines_of(result, "warning", "client")[0])
            result = self.check(server.port, 58, *own("bad-client-wrong-eku"), ca=self.CA())
            self.assertIn("it is not for clients", lines_of(result, "warning", "local")[0])

    def test_strict_about_an_own_certificate_that_has_ended(self):
        """It is ours that is at fault, not the server's."""
        with self.certpostd() as server:
            result = self.check(server.port, 58, *own("bad-client-expired"), "--strict", ca=self.CA(), same=False)
        self.assertIn("own certificate: it ended on", lines_of(result, "warning", "expiry")[0])

    def test_required_in_tls_1_2(self):
        with s_server("-tls1_2", "-Verify", "1", "-verify_return_error", "-alpn", "certpost/1") as port:
            result = self.check(port, 35, "--tls-min", "1.2")
        self.fails(result, "client", "it asked for a certificate and got none: give one with --cert and --key")

    def test_files_that_do_not_fit(self):
        with self.certpostd() as server:
            result = self.check(server.port, 58, "--cert", made.path("client.crt"), "--key", made.path("server.key"),
                                ca=self.CA())
        self.fails(result, "local", "client.crt")


class TestCheckExchange(CheckCase):
    def scripted(self, script, status, *arguments, same=True):
        def handler(connection, server):
            if connection.selected_alpn_protocol() == "certpost/1":
                script(Peer(connection, certpost1.Streams()), server)

        alpn = context()
        with Server(handler, alpn) as server:
            return self.check(server.port, status, *arguments, same=same)

    def test_sent_away_for_good(self):
        result = self.scripted(lambda peer, server: peer.hello().go_away(2, "not you"), 65)
        self.fails(result, "server", "the server sends this client away (not_allowed): not you")

    def test_sent_away_for_now(self):
        result = self.scripted(lambda peer, server: peer.hello().go_away(9, "full"), 75)
        self.fails(result, "server", "the server sends this client away (busy): full")

    def test_a_level_that_is_not_there(self):
        with certpost_server.Server("--no-print") as server:
            result = self.check(server.port, 65, "--require", "stored", ca=made.path("ca.crt"))
        self.fails(result, "server", "(level_unavailable)")

    def test_no_answer(self):
        def silent(peer, server):
            peer.hello()
            server.released.wait(certpost_client.PATIENCE_S)

        with Server(lambda connection, server: silent(Peer(connection, certpost1.Streams()), server)
                    if connection.selected_alpn_protocol() else None, context()) as server:
            result = certpost_client.run("check", "--cacert", certificates.ca(), "--connect-timeout", "2s",
                                         f"127.0.0.1:{server.port}")
        self.assertEqual(result.status, 28, result)
        self.fails(result, "server", "no WELCOME in time")

    def test_nonsense_for_an_answer(self):
        result = self.scripted(lambda peer, server: (peer.hello(), peer.connection.sendall(b"\xff" * 40)), 76)
        self.fails(result, "server", "")


if __name__ == "__main__":
    unittest.main()
