"""Mutual TLS: who is served, who is refused, with which alert, and what the log says about it.

The peers are Python's ssl, openssl s_client and certpost itself. With TLS 1.2 a refused client hears
the alert inside its handshake, with TLS 1.3 only from its first read; `hear_refusal` covers both.

One case alone: ctest --preset dev -R 'integration.mutual_tls.revoked'
"""

import pathlib
import re
import signal
import ssl
import tempfile
import unittest

import certificates as certs
import certpost_client
from authority import Authority, pin_of, serial_of
from certpost_server import DEFAULT_REPLY, Server, run_certpostd
from tls_peers import OpenSslClient, TlsPeer, client_context

TLS_1_2 = ssl.TLSVersion.TLSv1_2
TLS_1_3 = ssl.TLSVersion.TLSv1_3
VERSIONS = (TLS_1_3, TLS_1_2)

# RFC 8446, section 6.2, by the names that Python has for them.
BAD_CERTIFICATE = "SSLV3_ALERT_BAD_CERTIFICATE"
UNSUPPORTED_CERTIFICATE = "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"
CERTIFICATE_REVOKED = "SSLV3_ALERT_CERTIFICATE_REVOKED"
CERTIFICATE_EXPIRED = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
CERTIFICATE_UNKNOWN = "SSLV3_ALERT_CERTIFICATE_UNKNOWN"
UNKNOWN_CA = "TLSV1_ALERT_UNKNOWN_CA"
CERTIFICATE_REQUIRED = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
HANDSHAKE_FAILURE = "SSLV3_ALERT_HANDSHAKE_FAILURE"

USAGE, OWN_CERTIFICATE, PEER_CERTIFICATE, CA_FILE = 2, 58, 60, 77
NOT_LISTED = "the client's certificate is refused: it is on none of the allow lists"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def pair(name):
    """The paths of a certificate and its key, by the name that make-certs gives them."""
    return certs.path(f"{name}.crt"), certs.path(f"{name}.key")


def context_for(client, version=TLS_1_3):
    """A client's context with the certificate and key of `client`, or none."""
    context = client_context(minimum=version, maximum=version)
    if client is not None:
        context.load_cert_chain(*client)
    return context


def connection_ended(server):
    """The fields of the next line about a connection's end."""
    line = server.stderr.wait_line(r".*connection ended (.*)").group(1)
    return {key: value.strip('"') for key, value in FIELD.findall(line)}


class MutualTlsCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def enterContext(self, context):  # of unittest itself only since Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def server(self, *options, ca=None):
        return Server("--tls-min", "1.2", "--client-ca", ca or certs.path("ca.crt"), *options)

    def hear_refusal(self, server, client, version=TLS_1_3):
        """Connects, sends a message at once, and returns the alert that comes instead of a reply."""
        with self.assertRaises(ssl.SSLError) as caught:
            with TlsPeer(server.port, context_for(client, version)) as peer:
                peer.send(b"I should not be here")
                peer.receive_some()
        return caught.exception.reason

    def check_served(self, server, client, identity, version=TLS_1_3):
        with TlsPeer(server.port, context_for(client, version)) as peer:
            peer.exchange(b"Hello, server!", DEFAULT_REPLY)
            peer.finish()
        ended = connection_ended(server)
        self.assertEqual(ended["reason"], "closed")
        self.assertEqual(ended.get("identity"), identity)
        self.assertEqual(ended["tls"], version.name.replace("v1_", "v1."))
        self.assertNotIn("subject", ended)

    def check_refused(self, server, client, alert, detail, version=TLS_1_3):
        self.assertEqual(self.hear_refusal(server, client, version), alert)
        ended = connection_ended(server)
        self.assertEqual(ended["reason"], "peer-certificate")
        self.assertRegex(ended["detail"], rf"\A(?:{detail})\Z")
        self.assertNotIn("identity", ended)
        self.assertNotIn("messages", ended)
        if client is not None:
            self.assertEqual(ended["serial"].lstrip("0"), serial_of(client[0]).lstrip("0"))
            self.assertIn("CN=", ended["subject"])
            self.assertIn("CN=", ended["issuer"])
        return ended

    def check_refused_in_all_versions(self, client, alert, detail, *options):
        with self.server(*options) as server:
            for version in VERSIONS:
                with self.subTest(version=version):
                    self.check_refused(server, client, alert, detail, version)
        self.assertEqual(server.received(), [])


class TestServed(MutualTlsCase):
    def test_a_right_certificate_is_served_and_its_identity_logged(self):
        with self.server("--crlfile", certs.path("ca.crl")) as server:
            for version in VERSIONS:
                self.check_served(server, pair("client"), "dns:client", version)
                self.check_served(server, pair("client-sensor"), "uri:urn:certpost:sensor", version)

    def test_a_common_name_is_the_last_resort(self):
        authority = Authority(self.folder, "small")
        client = authority.issue("who", subject="/O=Sensors/CN=sensor seven")
        with self.server(ca=authority.certificate) as server:
            self.check_served(server, client, "cn:sensor seven")

    def test_openssl_s_client_with_a_certificate(self):
        certificate, key = pair("client")
        with self.server() as server:
            with OpenSslClient(server.port, "-cert", certificate, "-key", key) as client:
                client.write(b"from s_client\n")
                client.stdout.wait_bytes(DEFAULT_REPLY)
                client.finish()
            server.wait_received("from s_client")

    def test_optional_serves_a_client_without_certificate_as_anonymous(self):
        with self.server("--client-verify", "optional", "--allow-cn", "nobody") as server:
            for version in VERSIONS:
                self.check_served(server, None, "anonymous", version)

    def test_optional_refuses_a_bad_certificate(self):
        self.check_refused_in_all_versions(
            pair("bad-client-expired"), CERTIFICATE_EXPIRED, "the client's certificate has expired: .*",
            "--client-verify", "optional",
        )  # fmt: skip

    def test_without_verification_there_is_no_identity(self):
        with Server() as server:
            self.check_served(server, pair("client"), None)

    def test_the_names_of_the_client_cas_are_sent(self):
        with self.server() as server:
            with OpenSslClient(server.port) as client:
                client.close_stdin()
                client.wait()
                issuer = re.search(r"CN ?= ?(certpost CA \w+)", client.everything()).group(1)
                self.assertRegex(
                    client.everything(), rf"Acceptable client certificate CA names\nCN ?= ?{issuer}\n"
                )


class TestRefused(MutualTlsCase):
    def test_no_certificate(self):
        detail = "the peer sent no certificate, and one is required; it has to use --cert and --key"
        with self.server() as server:
            self.check_refused(server, None, CERTIFICATE_REQUIRED, detail, TLS_1_3)
            self.check_refused(server, None, HANDSHAKE_FAILURE, detail, TLS_1_2)

    def test_wrong_ca(self):
        self.check_refused_in_all_versions(
            pair("bad-client-unknown-ca"), UNKNOWN_CA,
            r"the client's certificate is from an unknown CA \(CN=certpost CA \w+\); .*",
        )  # fmt: skip

    def test_self_signed(self):
        self.check_refused_in_all_versions(
            pair("bad-client-self-signed"), UNKNOWN_CA,
            "the client's certificate is self-signed and not trusted here; .*",
        )  # fmt: skip

    def test_expired(self):
        self.check_refused_in_all_versions(
            pair("bad-client-expired"), CERTIFICATE_EXPIRED,
            f"the client's certificate has expired: it ended on {TIME}; .*",
        )  # fmt: skip

    def test_not_yet_valid(self):
        self.check_refused_in_all_versions(
            pair("bad-client-not-yet-valid"), CERTIFICATE_EXPIRED,
            f"the client's certificate is not valid yet: it begins on {TIME}; .*",
        )  # fmt: skip

    def test_revoked(self):
        self.check_refused_in_all_versions(
            pair("client-revoked"), CERTIFICATE_REVOKED,
            "the client's certificate has been revoked by its CA; .*",
            "--crlfile", certs.path("ca.crl"),
        )  # fmt: skip

    def test_wrong_extended_key_usage(self):
        self.check_refused_in_all_versions(
            pair("bad-client-wrong-eku"), UNSUPPORTED_CERTIFICATE,
            r"the client's certificate is not for this purpose \(extended key usage\); .*",
        )  # fmt: skip

    def test_s_client_shows_the_alert(self):
        certificate, key = pair("client-revoked")
        with self.server("--crlfile", certs.path("ca.crl")) as server:
            with OpenSslClient(server.port, "-cert", certificate, "-key", key) as client:
                client.wait()
                self.assertRegex(client.everything(), "alert certificate revoked.*SSL alert number 44")

    def test_a_key_that_does_not_belong_to_the_certificate(self):
        """The proof of possession is TLS's own; here it is only seen to hold."""
        with self.assertRaises(ssl.SSLError):
            context_for((certs.path("client.crt"), certs.path("client-sensor.key")))


class TestHostileNames(MutualTlsCase):
    def check_name(self, shown, fault, **names):
        authority = Authority(self.folder, "mallory")
        client = authority.issue("hostile", **names)
        with self.server(ca=authority.certificate) as server:
            ended = self.check_refused(
                server, client, BAD_CERTIFICATE,
                re.escape(f"the client's certificate is refused: its {shown} {fault}"),
            )  # fmt: skip
        return ended

    def test_a_control_character_is_refused_and_escaped_in_the_log(self):
        ended = self.check_name(
            r"common name a\\nb", "has a control character in it", subject="/CN=a\nb"
        )
        self.assertNotIn("\n", ended["subject"])
        self.assertRegex(ended["subject"], r"\ACN=a\\+n?0?[aA]?b\Z")

    def test_a_name_that_imitates_another_kind(self):
        self.check_name(
            "common name uri:urn:certpost:sensor",
            "begins with uri:, dns: or cn:, and could pass for a name of that kind",
            subject="/CN=uri:urn:certpost:sensor",
        )

    def test_a_wildcard_is_nobody(self):
        self.check_name(
            "DNS name *.example.com", "is a wildcard, which names no single sender",
            alternative="DNS:*.example.com",
        )  # fmt: skip

    def test_several_common_names(self):
        self.check_name("subject has several", "common names", subject="/CN=honest/CN=mallory")

    def test_no_name_at_all(self):
        authority = Authority(self.folder, "mallory")
        client = authority.issue("nameless", subject="/O=nobody", alternative="email:a@b.example")
        with self.server(ca=authority.certificate) as server:
            self.assertEqual(self.hear_refusal(server, client), BAD_CERTIFICATE)
            self.assertIn("it has no name to know its owner by", connection_ended(server)["detail"])


class TestAllowLists(MutualTlsCase):
    def check_list(self, option, right, wrong, client="client-sensor"):
        """A list with the right entry serves; one with only a wrong entry refuses."""
        with self.server(f"--allow-{option}", wrong) as server:
            for version in VERSIONS:
                self.check_refused(server, pair(client), CERTIFICATE_UNKNOWN, NOT_LISTED, version)
            self.assertEqual(server.received(), [])
        with self.server(f"--allow-{option}", wrong, f"--allow-{option}", right) as server:
            for version in VERSIONS:
                self.check_served(server, pair(client), "uri:urn:certpost:sensor", version)

    def test_allow_dns(self):
        self.check_list("dns", "SENSOR", "sensors")

    def test_allow_uri(self):
        self.check_list("uri", "urn:certpost:sensor", "urn:certpost:Sensor")

    def test_allow_cn(self):
        self.check_list("cn", "sensor", "Sensor")

    def test_allow_spki(self):
        self.check_list("spki", self.pin("client-sensor"), self.pin("client"))

    def pin(self, name):
        copy = self.folder / f"{name}.crt"
        copy.write_bytes(pathlib.Path(certs.path(f"{name}.crt")).read_bytes())
        return pin_of(copy)

    def test_a_wildcard_fits_one_label(self):
        authority = Authority(self.folder, "fleet")
        inside = authority.issue("inside", alternative="DNS:seven.fleet.example")
        below = authority.issue("below", alternative="DNS:a.seven.fleet.example")
        parent = authority.issue("parent", alternative="DNS:fleet.example")
        with self.server("--allow-dns", "*.fleet.example", ca=authority.certificate) as server:
            self.check_served(server, inside, "dns:seven.fleet.example")
            self.check_refused(server, below, CERTIFICATE_UNKNOWN, NOT_LISTED)
            self.check_refused(server, parent, CERTIFICATE_UNKNOWN, NOT_LISTED)

    def test_a_list_does_not_stand_in_for_the_chain(self):
        with self.server("--allow-dns", "client") as server:
            self.check_refused(server, pair("bad-client-unknown-ca"), UNKNOWN_CA, ".*unknown CA.*")


class TestRevocation(MutualTlsCase):
    def setUp(self):
        super().setUp()
        self.root = Authority(self.folder, "root")
        self.middle = Authority(self.folder, "middle", parent=self.root)
        self.client = self.middle.issue("who", alternative="DNS:who", chain=[self.middle.certificate])

    def lists(self, *paths):
        whole = self.folder / "all.crl"
        whole.write_bytes(b"".join(pathlib.Path(path).read_bytes() for path in paths))
        return ("--crlfile", str(whole))

    def server_with(self, *paths):
        return self.server(*self.lists(*paths), ca=self.root.certificate)

    def test_an_intermediate_without_lists_is_served(self):
        with self.server(ca=self.root.certificate) as server:
            self.check_served(server, self.client, "dns:who")

    def test_the_list_of_the_clients_own_ca_is_required(self):
        with self.server_with(self.root.revocation_list()) as server:
            self.check_refused(
                server, self.client, CERTIFICATE_UNKNOWN,
                r"the client's certificate cannot be checked: the CRL file has no list of its CA .*",
            )  # fmt: skip

    def test_the_list_of_a_ca_above_may_be_missing(self):
        with self.server_with(self.middle.revocation_list()) as server:
            self.check_served(server, self.client, "dns:who")

    def test_all_lists(self):
        with self.server_with(self.root.revocation_list(), self.middle.revocation_list()) as server:
            self.check_served(server, self.client, "dns:who")

    def test_a_revoked_intermediate(self):
        revoked = self.root.revocation_list([self.middle.certificate])
        with self.server_with(revoked, self.middle.revocation_list()) as server:
            self.check_refused(
                server, self.client, CERTIFICATE_REVOKED,
                "the client's certificate has been revoked by its CA; .*",
            )  # fmt: skip

    def test_a_list_out_of_date_refuses_and_says_so(self):
        with self.server_with(self.middle.revocation_list(ended=True)) as server:
            for version in VERSIONS:
                self.check_refused(
                    server, self.client, CERTIFICATE_UNKNOWN,
                    "the client's certificate is refused: it cannot be checked: the revocation list "
                    f"of CN=middle is out of date since {TIME}; get a current one, give it with "
                    "--crlfile and reload", version,
                )  # fmt: skip

    def test_a_list_out_of_date_of_a_ca_above_refuses_too(self):
        stale = self.root.revocation_list(ended=True)
        with self.server_with(stale, self.middle.revocation_list()) as server:
            self.check_refused(
                server, self.client, CERTIFICATE_UNKNOWN, ".* list of CN=root is out of date since .*"
            )


class TestReload(MutualTlsCase):
    def setUp(self):
        super().setUp()
        self.config = self.folder / "certpostd.conf"

    def configure(self, **keys):
        lines = [f"{key.replace('_', '-')} = {value}\n" for key, value in keys.items()]
        self.config.write_text("".join(lines), encoding="utf-8")

    def reload(self, server):
        server.send_signal(signal.SIGHUP)
        server.wait_log("info reloaded")

    def running(self):
        return Server("--tls-min", "1.2", "--workers", "2", "--config", str(self.config))

    def check_change(self, change, alert, detail, **keys):
        """A client that is served, then a change that shuts it out: the connection lives on."""
        self.configure(**keys)
        with self.running() as server:
            with TlsPeer(server.port, context_for(pair("client"))) as peer:
                peer.exchange(b"before", DEFAULT_REPLY)
                change()
                self.reload(server)
                peer.exchange(b"after", DEFAULT_REPLY)
                self.check_refused(server, pair("client"), alert, detail)
                peer.exchange(b"still", DEFAULT_REPLY)
                peer.finish()
            self.assertEqual(connection_ended(server)["identity"], "dns:client")

    def test_of_an_allow_list(self):
        ca = certs.path("ca.crt")
        self.check_change(
            lambda: self.configure(client_ca=ca, allow_dns="sensor"),
            CERTIFICATE_UNKNOWN, NOT_LISTED, client_ca=ca, allow_dns="client",
        )  # fmt: skip

    def test_of_the_client_ca(self):
        ca = self.folder / "clients.crt"
        ca.write_bytes(pathlib.Path(certs.path("ca.crt")).read_bytes())
        other = pathlib.Path(certs.path("unknown-ca.crt")).read_bytes()
        self.check_change(
            lambda: ca.write_bytes(other), UNKNOWN_CA, ".*a root CA that is not trusted here.*", client_ca=ca
        )

    def test_of_the_revocation_list(self):
        authority = Authority(self.folder, "small")
        client = authority.issue("who", alternative="DNS:who")
        crl = authority.revocation_list()
        self.configure(client_ca=authority.certificate, crlfile=crl)
        with self.running() as server:
            with TlsPeer(server.port, context_for(client)) as peer:
                peer.exchange(b"before", DEFAULT_REPLY)
                authority.revocation_list([client[0]])
                self.reload(server)
                peer.exchange(b"after", DEFAULT_REPLY)
                self.check_refused(server, client, CERTIFICATE_REVOKED, ".*revoked by its CA.*")
                peer.finish()

    def test_a_bad_entry_changes_nothing(self):
        ca = certs.path("ca.crt")
        self.configure(client_ca=ca, allow_dns="client")
        with self.running() as server:
            self.configure(client_ca=ca, allow_dns="*.com")
            server.send_signal(signal.SIGHUP)
            server.wait_log(r"error reload failed, nothing has changed .*--allow-dns \*\.com: ")
            self.check_served(server, pair("client"), "dns:client")
            self.check_refused(server, pair("client-sensor"), CERTIFICATE_UNKNOWN, NOT_LISTED)


class TestStart(MutualTlsCase):
    def fails(self, status, words, *arguments):
        found, output, errors = run_certpostd(
            "--listen", "127.0.0.1:0", "--cert", certs.path("server.crt"),
            "--key", certs.path("server.key"), *arguments,
        )  # fmt: skip
        self.assertEqual(errors, f"certpostd: {words}\n")
        self.assertEqual(found, status)
        self.assertEqual(output, "")

    def fails_with_ca(self, status, words, *arguments):
        self.fails(status, words, "--client-ca", certs.path("ca.crt"), *arguments)

    def file(self, name, content=b""):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def test_verification_without_a_ca(self):
        for how in ("require", "optional"):
            self.fails(USAGE, "--client-verify needs --client-ca", "--client-verify", how)

    def test_options_that_would_do_nothing(self):
        advice = (
            "has no effect unless clients are verified; give --client-ca, and --client-verify "
            "optional or require"
        )
        values = {
            "--crlfile": certs.path("ca.crl"), "--allow-dns": "a.example", "--allow-uri": "urn:a",
            "--allow-cn": "a", "--allow-spki": "sha256//" + "A" * 43 + "=",
        }  # fmt: skip
        for option, value in values.items():
            with self.subTest(option=option):
                self.fails(USAGE, f"{option} {advice}", option, value)
        self.fails_with_ca(USAGE, f"--client-ca {advice}", "--client-verify", "none")

    def test_a_client_ca_that_does_not_load(self):
        missing = str(self.folder / "missing")
        empty = self.file("empty")
        key = certs.path("ca.key")
        begin = "it must begin with -----BEGIN CERTIFICATE-----"
        self.fails(
            CA_FILE, f"cannot open the client CA file {missing}: No such file or directory",
            "--client-ca", missing,
        )  # fmt: skip
        self.fails(CA_FILE, f"the client CA file {empty} is empty", "--client-ca", empty)
        self.fails(
            CA_FILE, f"the client CA file {key} holds no certificate in PEM form; {begin}",
            "--client-ca", key,
        )  # fmt: skip

    def test_a_client_ca_file_that_is_damaged_after_its_beginning(self):
        whole = pathlib.Path(certs.path("ca.crt")).read_bytes()
        damaged = self.file("damaged", whole + whole[: len(whole) // 2])
        self.fails(
            CA_FILE, f"the client CA file {damaged} is damaged after its item number 1",
            "--client-ca", damaged,
        )  # fmt: skip

    def test_a_crl_that_does_not_load(self):
        ca = certs.path("ca.crt")
        missing = str(self.folder / "missing")
        crl = pathlib.Path(certs.path("ca.crl")).read_bytes()
        damaged = self.file("damaged", crl + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        self.fails_with_ca(
            CA_FILE, f"cannot open the CRL file {missing}: No such file or directory",
            "--crlfile", missing,
        )  # fmt: skip
        self.fails_with_ca(
            CA_FILE,
            f"the CRL file {ca} holds no CRL in PEM form; it must begin with -----BEGIN X509 CRL-----",
            "--crlfile", ca,
        )  # fmt: skip
        self.fails_with_ca(
            CA_FILE, f"the CRL file {damaged} is damaged after its item number 1", "--crlfile", damaged
        )

    def test_entries_that_could_never_fit(self):
        cases = (
            ("--allow-dns", "*.com", "it would admit a whole top-level domain; after *. come at least "
             "two labels"),
            ("--allow-dns", "10.0.0.1", "it looks like an address, and is no DNS name"),
            ("--allow-uri", "sensor", "it is no URI with a scheme"),
            ("--allow-cn", "a ", "it begins or ends with a space"),
            ("--allow-spki", "sha256//AAAA", "it is no pin; write sha256// and the 44 characters of "
             "base64 of a SHA-256 digest"),
        )  # fmt: skip
        for option, value, words in cases:
            with self.subTest(option=option, value=value):
                self.fails_with_ca(USAGE, f"{option} {value}: {words}", option, value)

    def test_a_hundred_thousand_entries(self):
        names = [*(f"sensor{number}.example" for number in range(99_999)), "client"]
        lines = "".join(f"allow-dns = {name}\n" for name in names)
        config = self.file("many.conf", lines.encode("ascii"))
        with self.server("--config", config, "--workers", "2") as server:
            self.check_served(server, pair("client"), "dns:client")
            self.check_refused(server, pair("client-sensor"), CERTIFICATE_UNKNOWN, NOT_LISTED)


class TestClient(MutualTlsCase):
    """What `certpost send` makes of it."""

    def send(self, server, client, *arguments):
        certificate = [] if client is None else ["--cert", client[0], "--key", client[1]]
        return certpost_client.send(
            "--cacert", certs.path("ca.crt"), "--tls-min", "1.2", *certificate, *arguments,
            f"127.0.0.1:{server.port}",
        )  # fmt: skip

    def check_told(self, server, result, status, words):
        self.assertEqual(
            result.errors,
            [f"certpost: 127.0.0.1:{server.port}: {words}", "certpost: 0 of 1 messages acknowledged"],
        )
        self.assertEqual(result.status, status)
        self.assertEqual(result.output, [])

    def check_hears(self, client, words, *options, server_options=()):
        """The server refuses; the client says so, with TLS 1.3 and with a server of TLS 1.2."""
        with self.server(*server_options) as server:
            self.check_told(server, self.send(server, client, *options), OWN_CERTIFICATE, words)

    def refused(self, what):
        return f"the server refused our certificate: {what}; the server's log says more"

    def test_certpost_hears_of_an_expired_certificate(self):
        self.check_hears(
            pair("bad-client-expired"),
            self.refused("it has expired or is not valid yet (alert certificate_expired); renew it, or "
                         "check both clocks"),
        )  # fmt: skip

    def test_certpost_hears_of_a_revoked_certificate(self):
        self.check_hears(
            pair("client-revoked"),
            self.refused("it is revoked (alert certificate_revoked); use another one"),
            server_options=("--crlfile", certs.path("ca.crl")),
        )

    def test_certpost_hears_of_an_unknown_ca(self):
        self.check_hears(
            pair("bad-client-unknown-ca"),
            self.refused("its CA is not known there (alert unknown_ca); have the CA added to the "
                         "server's client CAs, or give the chain in --cert"),
        )  # fmt: skip

    def test_certpost_hears_of_a_wrong_purpose(self):
        self.check_hears(
            pair("bad-client-wrong-eku"),
            self.refused("it is not for this purpose (alert unsupported_certificate); use one whose "
                         "extended key usage has clientAuth"),
        )  # fmt: skip

    def test_certpost_hears_of_the_allow_list(self):
        self.check_hears(
            pair("client"),
            self.refused("it is not one that is served there (alert certificate_unknown); have it "
                         "added to the server's allow list"),
            server_options=("--allow-cn", "other"),
        )  # fmt: skip

    def test_certpost_hears_of_no_certificate(self):
        self.check_hears(
            None, "the server requires a certificate of its clients; give one with --cert and --key"
        )

    def test_pins(self):
        server_certificate = self.folder / "server.crt"
        server_certificate.write_bytes(pathlib.Path(certs.path("server.crt")).read_bytes())
        right = pin_of(server_certificate)
        wrong = "sha256//" + "A" * 43 + "="
        words = (
            f"the server's certificate is refused: its key's pin is {right}, and not the one given "
            "with --pin; if this is the server's new key, give that pin"
        )
        with self.server() as server:
            client = pair("client")
            self.assertEqual(self.send(server, client, "--pin", right).status, 0)
            self.assertEqual(self.send(server, client, "--pin", wrong, "--pin", right).status, 0)
            result = self.send(server, client, "--pin", wrong)
            self.check_told(server, result, PEER_CERTIFICATE, words)
            server.wait_log("reason=handshake .*bad_certificate")
            self.assertEqual(len(server.received()), 2)

    def test_a_pin_does_not_stand_in_for_the_name(self):
        server_certificate = self.folder / "server.crt"
        server_certificate.write_bytes(pathlib.Path(certs.path("server.crt")).read_bytes())
        right = pin_of(server_certificate)
        with self.server() as server:
            result = self.send(server, pair("client"), "--pin", right, "--servername", "other.example")
            self.assertEqual(result.status, PEER_CERTIFICATE)
            self.assertIn("is for other names: expected other.example", result.errors[0])

    def test_an_insecure_client_still_checks_its_pin(self):
        wrong = "sha256//" + "A" * 43 + "="
        with self.server() as server:
            result = self.send(server, pair("client"), "--insecure", "--pin", wrong)
            self.assertEqual(result.status, PEER_CERTIFICATE)
            self.assertEqual(
                result.errors[0],
                "certpost: warning: --insecure: only the server's key is verified, by its pin",
            )

    def test_a_malformed_pin(self):
        result = certpost_client.send("--pin", "sha256//abc")
        self.assertEqual(result.status, USAGE)
        self.assertEqual(
            result.errors[0],
            "certpost: --pin: a pin is sha256// and the 44 characters of base64 of a SHA-256 digest",
        )


if __name__ == "__main__":
    unittest.main()
