"""What certpostd's TLS does beyond one certificate: SNI, key types, stapling, passphrases, reload.

One case alone: ctest --preset dev -R 'integration.tls_details.sni_exact'
"""

import os
import pathlib
import re
import shutil
import signal
import ssl
import unittest

import pki
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, PROGRAM, Server, run_certpostd
from tls_peers import OpenSslClient, TlsPeer

GREETING = b"Hello, server!"
KEY_UPDATES_MAX = 32
SIGALGS = {
    "p256": "ECDSA+SHA256",
    "p384": "ECDSA+SHA384",
    "rsa2048": "rsa_pss_rsae_sha256",
    "rsa3072": "rsa_pss_rsae_sha256",
    "ed25519": "ed25519",
}


def pairs(*pairs_of_paths):
    """The options for more pairs than the first."""
    options = []
    for certificate, key in pairs_of_paths:
        options += ["--cert", certificate, "--key", key]
    return options


def serve(*pairs_of_paths, options=()):
    """A server with these pairs, the first one first."""
    first, *rest = pairs_of_paths
    return Server(*pairs(*rest), *options, cert=first[0], key=first[1])


def s_client(server, authority, *options):
    """Connects with `openssl s_client`, exchanges nothing, and returns all that it printed."""
    with OpenSslClient(server.port, *options, ca=authority.ca) as client:
        client.finish()
        return client.everything()


def shown_name(server, authority, name, *options):
    """The common name of the certificate for SNI `name`; None sends no SNI."""
    asked = ["-noservername"] if name is None else ["-servername", name]
    text = s_client(server, authority, *asked, *options)
    if "Verify return code: 0 (ok)" not in text:
        raise AssertionError(f"not verified: {text}")
    return pki.served_name(text)


def context_for(authority, **settings):
    return tls_peers.client_context(ca=authority.ca, **settings)


def check_exchange(server, authority, name="localhost", **settings):
    with TlsPeer(server.port, context_for(authority, **settings), server_name=name) as client:
        client.exchange(GREETING, DEFAULT_REPLY)
        client.finish()
        return client.tls.version(), client.tls.cipher()[0]


class Sni(unittest.TestCase):
    """The pair is chosen by the name that the client asks for."""

    def setUp(self):
        self.pki = pki.Pki()
        self.addCleanup(self.pki.__exit__, None, None, None)
        self.first = self.pki.issue("first", ["first.example", "localhost"], ips=["127.0.0.1"])
        self.wild = self.pki.issue("wild", ["*.wild.example"])
        self.exact = self.pki.issue("exact", ["exact.wild.example", "other.example"])

    def check(self, server, expected, *options):
        for name, certificate in expected.items():
            with self.subTest(name=name):
                self.assertEqual(shown_name(server, self.pki, name, *options), certificate)

    def test_sni_exact_name_and_wildcard(self):
        with serve(self.first, self.wild, self.exact) as server:
            expected = {
                "first.example": "first",
                "other.example": "exact",
                "a.wild.example": "wild",
                "exact.wild.example": "exact",
            }
            self.check(server, expected)
            self.check(server, expected, "-tls1_3", "-groups", "P-384:P-256")

    def test_sni_has_no_case(self):
        with serve(self.first, self.wild, self.exact) as server:
            self.check(server, {"OTHER.Example": "exact", "A.Wild.EXAMPLE": "wild"})

    def test_sni_wildcard_is_one_label(self):
        with serve(self.first, self.wild, self.exact) as server:
            self.check(server, {"a.b.wild.example": "first", "wild.example": "first", ".wild.example": "first"})

    def test_sni_unknown_and_none_get_the_first(self):
        with serve(self.first, self.wild, self.exact) as server:
            self.check(server, {"unknown.example": "first", None: "first"})

    def test_sni_in_tls_1_2(self):
        with serve(self.first, self.wild, self.exact, options=["--tls-min", "1.2"]) as server:
            self.check(server, {"other.example": "exact", "a.wild.example": "wild", None: "first"}, "-tls1_2")

    def test_sni_the_whole_exchange_under_each_name(self):
        with serve(self.first, self.wild, self.exact) as server:
            for name in ("first.example", "a.wild.example", "other.example"):
                for alpn in (None, ["certpost-plain"]):
                    check_exchange(server, self.pki, name, alpn=alpn)

    def test_sni_other_settings_hold_under_each_name(self):
        """No ticket, ALPN, versions: not only for the first pair."""
        with serve(self.first, self.wild, self.exact) as server:
            for name in ("first.example", "a.wild.example", "other.example"):
                text = s_client(server, self.pki, "-servername", name, "-msg", "-alpn", "h2")
                self.assertIn("no_application_protocol", text.replace(" ", "_"))
                text = s_client(server, self.pki, "-servername", name, "-msg")
                self.assertNotIn("NewSessionTicket", text)
                text = s_client(server, self.pki, "-servername", name, "-tls1_2")
                self.assertIn("protocol version", text)

    def test_sni_strict_refuses_unknown_names(self):
        with serve(self.first, self.wild, options=["--sni-strict", "--tls-min", "1.2"]) as server:
            for version in ("-tls1_2", "-tls1_3"):
                text = s_client(server, self.pki, "-servername", "evil\x1b.example", version)
                self.assertIn("unrecognized name", text)
                server.wait_log(r"ended.*reason=handshake.*asks by SNI for evil\\+x1b\.example.*")
            self.check(server, {"first.example": "first", "a.wild.example": "wild", None: "first"})

    def test_sni_strict_serves_clients_without_sni(self):
        with serve(self.first, options=["--sni-strict"]) as server:
            check_exchange(server, self.pki, "127.0.0.1")

    def test_sni_same_names_and_key_type_are_refused(self):
        twin = self.pki.issue("twin", ["LOCALHOST", "first.example"], ips=["127.0.0.1"])
        options = pairs(self.first, self.wild, twin)
        status, output, errors = run_certpostd("--listen", "127.0.0.1:0", *options)
        self.assertEqual((status, output), (58, ""))
        self.assertRegex(errors, "certificates .*first.crt and .*twin.crt have the same names and the same type")

    def test_sni_first_in_order_wins_where_names_overlap(self):
        second = self.pki.issue("second", ["other.example", "second.example"])
        with serve(self.first, self.exact, second) as server:
            self.check(server, {"other.example": "exact", "second.example": "second"})


class KeyTypes(unittest.TestCase):
    """Each type alone, and all of them side by side."""

    def check_alone(self, key_type):
        with pki.Pki(key_type) as authority:
            with serve(authority.issue(key_type, ["localhost"], key_type), options=["--tls-min", "1.2"]) as server:
                check_exchange(server, authority)
                check_exchange(server, authority, maximum=ssl.TLSVersion.TLSv1_2)
                self.assertEqual(shown_name(server, authority, "localhost"), key_type)

    def test_p256(self):
        self.check_alone("p256")

    def test_p384(self):
        self.check_alone("p384")

    def test_rsa2048(self):
        self.check_alone("rsa2048")

    def test_rsa3072(self):
        self.check_alone("rsa3072")

    def test_ed25519(self):
        self.check_alone("ed25519")

    def check_side_by_side(self, server, authority, name, key_types, *options):
        for key_type in key_types:
            with self.subTest(key_type=key_type, name=name):
                signatures = ["-sigalgs", SIGALGS[key_type]]
                self.assertEqual(shown_name(server, authority, name, *signatures, *options), key_type)

    def test_side_by_side(self):
        """The client's signature algorithms choose among pairs for the same names."""
        types = ("p256", "rsa2048", "ed25519")
        with pki.Pki() as authority:
            issued = [authority.issue(kind, ["localhost", "a.example"], kind) for kind in types]
            with serve(*issued, options=["--tls-min", "1.2"]) as server:
                for name in ("localhost", None, "unknown.example"):
                    self.check_side_by_side(server, authority, name, types)
                self.check_side_by_side(server, authority, "localhost", types[:2], "-tls1_2")

    def test_side_by_side_under_two_names(self):
        with pki.Pki() as authority:
            first = authority.issue("first", ["first.example"])
            others = [authority.issue(kind, ["b.example"], kind) for kind in ("rsa2048", "ed25519", "p384")]
            with serve(first, *others) as server:
                self.check_side_by_side(server, authority, "b.example", ("rsa2048", "ed25519", "p384"))
                self.assertEqual(shown_name(server, authority, "first.example"), "first")
                text = s_client(server, authority, "-servername", "first.example", "-sigalgs", SIGALGS["ed25519"])
                self.assertIn("handshake failure", text)

    def test_pairs_of_the_first_name_are_not_served_under_another(self):
        with pki.Pki() as authority:
            issued = [authority.issue(kind, ["a.example"], kind) for kind in ("p256", "ed25519")]
            other = authority.issue("other", ["b.example"], "rsa2048")
            with serve(*issued, other) as server:
                self.assertEqual(shown_name(server, authority, "b.example"), "other")
                text = s_client(server, authority, "-servername", "b.example", "-sigalgs", SIGALGS["ed25519"])
                self.assertIn("handshake failure", text)

    def test_exact_and_wildcard_complete_each_other(self):
        """A key type that has the name only by a wildcard still serves clients that know no other."""
        with pki.Pki() as authority:
            exact = authority.issue("p256", ["a.example"], "p256")
            wild = authority.issue("rsa2048", ["*.example"], "rsa2048")
            with serve(exact, wild) as server:
                self.check_side_by_side(server, authority, "a.example", ("p256", "rsa2048"))


class Stapling(unittest.TestCase):
    """OCSP responses out of files."""

    STAPLED = "OCSP Response Status: successful"
    NOT_STAPLED = "OCSP response: no response sent"

    def setUp(self):
        self.pki = pki.Pki()
        self.addCleanup(self.pki.__exit__, None, None, None)
        self.first = self.pki.issue("first", ["localhost"])
        self.second = self.pki.issue("second", ["second.example"], "rsa2048")

    def check_refused(self, words, *responses):
        options = [word for response in responses for word in ("--ocsp-file", response)]
        status, output, errors = run_certpostd(
            "--listen", "127.0.0.1:0", *pairs(self.first, self.second), *options, "--test-config"
        )
        self.assertEqual((status, output), (58, ""), errors)
        self.assertRegex(errors, words)
        self.assertEqual(errors.count("\n"), 1, errors)

    def test_stapled_to_the_right_certificate(self):
        responses = ["--ocsp-file", self.pki.ocsp("second"), "--ocsp-file", self.pki.ocsp("first"), "--tls-min", "1.2"]
        serials = {}
        with serve(self.first, self.second, options=responses) as server:
            for version in ("-tls1_2", "-tls1_3"):
                for name in ("localhost", "second.example"):
                    text = s_client(server, self.pki, "-status", version, "-servername", name)
                    self.assertIn(self.STAPLED, text)
                    self.assertIn("Cert Status: good", text)
                    serials[name] = re.search(r"Serial Number: (\w+)", text).group(1)
                    path = self.pki.path("first.crt" if name == "localhost" else "second.crt")
                    shown = pki.openssl("x509", "-in", path, "-noout", "-serial")
                    self.assertEqual(shown.strip(), f"serial={serials[name]}")
        self.assertNotEqual(serials["localhost"], serials["second.example"])

    def test_not_stapled_unless_asked_for(self):
        with serve(self.first, options=["--ocsp-file", self.pki.ocsp("first")]) as server:
            text = s_client(server, self.pki, "-msg")
            self.assertNotIn("OCSP Response", text)
            check_exchange(server, self.pki)

    def test_only_the_certificate_with_a_response_is_stapled(self):
        with serve(self.first, self.second, options=["--ocsp-file", self.pki.ocsp("second")]) as server:
            self.assertIn(self.NOT_STAPLED, s_client(server, self.pki, "-status", "-servername", "localhost"))
            self.assertIn(self.STAPLED, s_client(server, self.pki, "-status", "-servername", "second.example"))

    def test_expired_response_is_a_warning_and_not_stapled(self):
        old = self.pki.age_ocsp(self.pki.ocsp("first"))
        with serve(self.first, options=["--ocsp-file", old]) as server:
            server.wait_log("warning.*first.ocsp has expired and is not stapled")
            for _ in range(3):
                self.assertIn(self.NOT_STAPLED, s_client(server, self.pki, "-status"))
            server.stop()
            self.assertEqual(bytes(server.stderr.data).count(b"has expired"), 1)

    def test_revoked_is_refused(self):
        self.check_refused("first.ocsp says that the certificate is revoked", self.pki.ocsp("first", "R"))

    def test_unknown_is_refused(self):
        self.check_refused("first.ocsp says that the responder does not know", self.pki.ocsp("first", "unknown"))

    def test_foreign_is_refused(self):
        self.pki.issue("third", ["third.example"])
        self.check_refused("third.ocsp is about none of the certificates", self.pki.ocsp("third"))

    def test_without_next_update_is_refused(self):
        self.check_refused("does not say until when it holds", self.pki.ocsp("first", validity=()))

    def test_twice_is_refused(self):
        once = self.pki.ocsp("first")
        twice = shutil.copy(once, self.pki.path("again.ocsp"))
        self.check_refused("first.ocsp and .*again.ocsp are both about certificate .*first.crt", once, twice)

    def test_damaged_is_refused(self):
        good = pathlib.Path(self.pki.ocsp("first")).read_bytes()
        for number, data in enumerate((b"", b"x", good[:-1], good + b"\0", good[:40], self.first[0].encode())):
            path = self.pki.write(f"damaged{number}.ocsp", data)
            self.check_refused("damaged.*(is empty|is no OCSP response in DER format)", path)
        self.check_refused("cannot open the OCSP response /nowhere", "/nowhere")

    def test_failure_of_the_responder_is_refused(self):
        # OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED tryLater (3) }: RFC 6960, section 4.2.1.
        path = self.pki.write("later.ocsp", bytes.fromhex("30030a0103"))
        self.check_refused("later.ocsp reports a failure of the responder", path)


class Passphrases(unittest.TestCase):
    """Encrypted keys."""

    def setUp(self):
        self.pki = pki.Pki()
        self.addCleanup(self.pki.__exit__, None, None, None)

    def check_served(self, key_type, traditional, line_end=b"\n"):
        certificate, _ = self.pki.issue("server", ["localhost"], key_type)
        key = self.pki.encrypt("server", "correct horse", traditional)
        self.assertIn(b"ENCRYPTED", pathlib.Path(key).read_bytes())
        secret = self.pki.write("passphrase", b"correct horse" + line_end + b"second line\n")
        with serve((certificate, key), options=["--passphrase-file", secret]) as server:
            check_exchange(server, self.pki)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            check_exchange(server, self.pki)
            server.stop()
            self.assertNotRegex(bytes(server.stderr.data), rb"warning (?!serving as root)")

    def test_pkcs8_ec(self):
        self.check_served("p256", False)

    def test_pkcs8_rsa(self):
        self.check_served("rsa2048", False)

    def test_pkcs8_ed25519(self):
        self.check_served("ed25519", False)

    def test_traditional_ec(self):
        self.check_served("p256", True)

    def test_traditional_rsa(self):
        self.check_served("rsa2048", True, b"\r\n")

    def test_one_passphrase_for_several_keys_and_plain_ones(self):
        certificate, _ = self.pki.issue("one", ["localhost"])
        locked = (certificate, self.pki.encrypt("one", "secret"))
        clear = self.pki.issue("two", ["two.example"])
        secret = self.pki.write("passphrase", b"secret")
        with serve(locked, clear, options=["--passphrase-file", secret]) as server:
            check_exchange(server, self.pki)
            check_exchange(server, self.pki, "two.example")

    def check_refused(self, words, key, *options):
        status, output, errors = run_certpostd(
            "--listen", "127.0.0.1:0", "--cert", self.pki.path("server.crt"), "--key", key, *options
        )
        self.assertEqual((status, output), (58, ""), errors)
        self.assertRegex(errors, words)
        self.assertNotIn("horse", errors)
        self.assertEqual(errors.count("\n"), 1, errors)

    def test_wrong_missing_and_unreadable_passphrases(self):
        self.pki.issue("server", ["localhost"])
        wrong = self.pki.write("wrong", b"horse correct\n")
        for traditional in (False, True):
            key = self.pki.encrypt("server", "correct horse", traditional)
            name = re.escape(os.path.basename(key))
            self.check_refused(f"{name} is encrypted; name the file with its passphrase with --passphrase-file", key)
            words = f"{name} cannot be decrypted with the passphrase in .*/wrong: it is the wrong passphrase"
            self.check_refused(words, key, "--passphrase-file", wrong)
        self.check_refused("cannot open the passphrase file /nowhere: No such", key, "--passphrase-file", "/nowhere")
        empty = self.pki.write("empty", b"\nsecond\n")
        self.check_refused("first line of the passphrase file .*/empty is empty", key, "--passphrase-file", empty)
        long = self.pki.write("long", b"horse" * 300)
        self.check_refused("passphrase file .*/long is too long", key, "--passphrase-file", long)

    def test_files_that_everybody_can_read_are_warned_of(self):
        certificate, key = self.pki.issue("server", ["localhost"])
        os.chmod(key, 0o644)
        secret = self.pki.write("passphrase", b"secret\n", mode=0o644)
        with serve((certificate, key), options=["--passphrase-file", secret]) as server:
            server.wait_log(f"warning.*passphrase file {secret} can be read by everybody")
            server.wait_log(f"warning.*private key {key} can be read by everybody")
            check_exchange(server, self.pki)

    def test_passphrase_is_not_kept(self):
        """Not anywhere in the memory of the running server; the control finds what is there."""
        certificate, _ = self.pki.issue("server", ["localhost"])
        key = self.pki.encrypt("server", "correct horse battery staple")
        secret = self.pki.write("passphrase", b"correct horse battery staple\n")
        with serve((certificate, key), options=["--passphrase-file", secret]) as server:
            check_exchange(server, self.pki)
            memory = process_memory(server.pid)
            self.assertIn(b"Message received!", memory)
            self.assertIn(secret.encode(), memory)
            self.assertNotIn(b"correct horse battery", memory)


def process_memory(pid):
    """All writable memory of a process of ours."""
    found = bytearray()
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                area, rights = line.split()[:2]
                begin, end = (int(part, 16) for part in area.split("-"))
                if not rights.startswith("rw") or "[v" in line or end - begin > 1 << 28:
                    continue
                memory.seek(begin)
                found += memory.read(end - begin)
    except PermissionError as refusal:
        processes.skip(f"reading a process's memory is not allowed here: {refusal}")
    return bytes(found)


class Reload(unittest.TestCase):
    """SIGHUP: new connections see what is new, old ones live on, a bad file changes nothing."""

    def setUp(self):
        self.pki = pki.Pki()
        self.addCleanup(self.pki.__exit__, None, None, None)
        self.old = self.pki.issue("old", ["localhost"])
        self.new = self.pki.issue("new", ["localhost"], "rsa2048")
        self.live = (self.pki.path("live.crt"), self.pki.path("live.key"))
        self.install(self.old)

    def install(self, pair):
        for source, target in zip(pair, self.live):
            shutil.copyfile(source, target)

    def reload(self, server, expected):
        server.send_signal(signal.SIGHUP)
        return server.wait_log(expected)

    def test_reload_new_certificate(self):
        with serve(self.live) as server, TlsPeer(server.port, context_for(self.pki)) as client:
            client.exchange(GREETING, DEFAULT_REPLY)
            self.assertEqual(shown_name(server, self.pki, "localhost"), "old")
            self.install(self.new)
            self.assertEqual(shown_name(server, self.pki, "localhost"), "old")
            self.reload(server, "info reloaded")
            self.assertEqual(shown_name(server, self.pki, "localhost"), "new")
            client.exchange(GREETING, DEFAULT_REPLY)
            client.finish()

    def test_reload_with_a_bad_file_changes_nothing(self):
        response = self.pki.path("old.ocsp")
        with serve(self.live, options=["--ocsp-file", self.pki.ocsp("old")]) as server:
            with TlsPeer(server.port, context_for(self.pki)) as client:
                client.exchange(GREETING, DEFAULT_REPLY)
                for damage, words in (
                    (lambda: os.unlink(self.live[1]), "cannot open the private key"),
                    (lambda: shutil.copyfile(self.new[1], self.live[1]), "does not belong to certificate"),
                    (lambda: pathlib.Path(self.live[0]).write_bytes(b"junk"), "holds no certificate"),
                    (lambda: self.install(self.new), "is about none of the certificates"),
                    (lambda: pathlib.Path(response).write_bytes(b"junk"), "is no OCSP response"),
                ):
                    good = pathlib.Path(response).read_bytes()
                    damage()
                    self.reload(server, f"reload failed, nothing has changed.*{words}")
                    client.exchange(GREETING, DEFAULT_REPLY)
                    text = s_client(server, self.pki, "-status")
                    self.assertEqual(pki.served_name(text), "old")
                    self.assertIn(Stapling.STAPLED, text)
                    self.install(self.old)
                    pathlib.Path(response).write_bytes(good)
                self.reload(server, "info reloaded")
                client.exchange(GREETING, DEFAULT_REPLY)
            server.stop()
            self.assertEqual(bytes(server.stderr.data).count(b"reload failed"), 5)

    def test_reload_new_ocsp_response(self):
        with serve(self.live, options=["--ocsp-file", self.pki.age_ocsp(self.pki.ocsp("old"))]) as server:
            self.assertIn(Stapling.NOT_STAPLED, s_client(server, self.pki, "-status"))
            self.pki.ocsp("old")
            self.reload(server, "info reloaded")
            self.assertIn(Stapling.STAPLED, s_client(server, self.pki, "-status"))

    def test_reload_warns_of_what_has_expired(self):
        response = self.pki.ocsp("old")
        with serve(self.live, options=["--ocsp-file", response]) as server:
            self.pki.age_ocsp(response)
            self.reload(server, "warning.*old.ocsp has expired and is not stapled")
            server.wait_log("info reloaded")
            self.assertIn(Stapling.NOT_STAPLED, s_client(server, self.pki, "-status"))


class Rules(unittest.TestCase):
    """What a connection may not do."""

    def setUp(self):
        self.pki = pki.Pki()
        self.addCleanup(self.pki.__exit__, None, None, None)
        self.pair = self.pki.issue("server", ["localhost"])

    def test_renegotiation_is_refused(self):
        with serve(self.pair, options=["--tls-min", "1.2"]) as server:
            with OpenSslClient(server.port, "-tls1_2", "-brief", ca=self.pki.ca) as client:
                client.stderr.wait_bytes(b"Verification: OK")
                client.write(b"R\n")
                client.wait()
                self.assertIn("no renegotiation", client.everything())
            check_exchange(server, self.pki)

    def key_updates(self, server, command, count):
        client = OpenSslClient(server.port, "-tls1_3", ca=self.pki.ca)
        client.stdout.wait_bytes(b"Verify return code: 0 (ok)")
        for number in range(1, count + 1):
            client.write(command)
            client.stderr.wait_bytes(b"KEYUPDATE", number)
        return client

    def test_some_key_updates_are_served(self):
        for command in (b"k\n", b"K\n"):
            with serve(self.pair) as server, self.key_updates(server, command, KEY_UPDATES_MAX) as client:
                client.write(GREETING + b"\n")
                client.stdout.wait_bytes(DEFAULT_REPLY)
                client.finish()

    def test_too_many_key_updates_end_the_connection(self):
        for command in (b"k\n", b"K\n"):
            with serve(self.pair) as server, self.key_updates(server, command, KEY_UPDATES_MAX + 1) as client:
                server.wait_log(f"ended.*reason=protocol.*more than {KEY_UPDATES_MAX} key updates without data")
                client.wait()
                check_exchange(server, self.pki)

    def test_plain_never_gets_a_ticket(self):
        with serve(self.pair, options=["--tls-min", "1.2"]) as server:
            for options in (["-tls1_3"], ["-tls1_2"], ["-tls1_3", "-alpn", "certpost-plain"]):
                with OpenSslClient(server.port, "-msg", *options, ca=self.pki.ca) as client:
                    client.write(GREETING + b"\n")
                    client.stdout.wait_bytes(DEFAULT_REPLY)
                    client.finish()
                    self.assertNotIn("NewSessionTicket", client.everything())
                    self.assertIn("ServerHello", client.everything())

    def test_certpost_1_is_preferred(self):
        with serve(self.pair) as server:
            text = s_client(server, self.pki, "-alpn", "certpost-plain,certpost/1")
            self.assertIn("ALPN protocol: certpost/1", text)


if __name__ == "__main__":
    unittest.main()
