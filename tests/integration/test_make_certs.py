"""scripts/make-certs: what it makes, keeps and refuses, judged by the openssl command.

Uses: the Python standard library, the openssl command. Each case works in a temporary folder of its
own. CERTPOST_SOURCE_DIR names the source tree; without it, the tree that this file is in is meant.
"""

import datetime
import os
import pathlib
import re
import shutil
import signal
import stat
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


class StandardSet(MakeCertsCase):
    def test_makes_six_files_and_says_so(self):
        output = self.make()
        self.assertEqual(self.files(), STANDARD)
        for name in STANDARD:
            self.assertIn(name, output)
        self.assertLessEqual(len(output.splitlines()), 6)

    def test_each_certificate_file_holds_one_certificate(self):
        self.make()
        for name in ("ca.crt", "server.crt", "client.crt"):
            text = (self.out / name).read_text()
            self.assertEqual(text.count("BEGIN CERTIFICATE"), 1)
            self.assertTrue(text.startswith("-----BEGIN"))

    def test_verifies_strictly_for_its_purpose_and_no_other(self):
        self.make()
        for name in ("localhost",):
            self.assertEqual(
                self.verify("server.crt", "-purpose", "sslserver", "-verify_hostname", name), []
            )
        for address in ("127.0.0.1", "::1"):
            self.assertEqual(self.verify("server.crt", "-verify_ip", address), [])
        self.assertEqual(self.verify("client.crt", "-purpose", "sslclient"), [])
        self.assertEqual(self.verify("ca.crt"), [])
        self.assertEqual(self.verify("server.crt", "-purpose", "sslclient"), [ERROR_PURPOSE])
        self.assertEqual(self.verify("client.crt", "-purpose", "sslserver"), [ERROR_PURPOSE])
        self.assertEqual(self.verify("server.crt", "-verify_hostname", "other"), [ERROR_HOSTNAME])

    def test_default_names_are_localhost_and_both_loopback_addresses(self):
        self.make()
        self.assertEqual(
            self.sans("server.crt"),
            ["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"],
        )
        self.assertEqual(self.sans("client.crt"), ["DNS:client"])
        self.assertEqual(self.common_name("client.crt"), "client")

    def test_extensions_of_the_ca(self):
        self.make()
        label, value = self.extension("ca.crt", "basicConstraints")
        self.assertIn("critical", label)
        self.assertEqual(value, "CA:TRUE, pathlen:0")
        label, value = self.extension("ca.crt", "keyUsage")
        self.assertIn("critical", label)
        self.assertEqual(value, "Certificate Sign, CRL Sign")
        self.assertNotIn("Extended Key Usage", self.certificate("ca.crt"))

    def test_extensions_of_server_and_client(self):
        self.make()
        for name, purpose in (
            ("server.crt", "TLS Web Server Authentication"),
            ("client.crt", "TLS Web Client Authentication"),
        ):
            label, value = self.extension(name, "basicConstraints")
            self.assertIn("critical", label)
            self.assertEqual(value, "CA:FALSE")
            label, value = self.extension(name, "keyUsage")
            self.assertIn("critical", label)
            self.assertEqual(value, "Digital Signature")
            self.assertEqual(self.extension(name, "extendedKeyUsage")[1], purpose)

    def test_key_identifiers_lead_to_the_ca(self):
        self.make()
        ca_key_id = self.extension("ca.crt", "subjectKeyIdentifier")[1]
        own = set()
        for name in ("ca.crt", "server.crt", "client.crt"):
            own.add(self.extension(name, "subjectKeyIdentifier")[1])
            self.assertEqual(
                self.extension(name, "authorityKeyIdentifier")[1].replace("keyid:", ""), ca_key_id
            )
        self.assertEqual(len(own), 3)

    def test_serial_numbers_are_random_positive_and_20_bytes(self):
        self.make("--bad", "self-signed", "--client", "one")
        names = ["ca.crt", "server.crt", "client.crt", "client-one.crt", "bad-self-signed.crt"]
        serials = [self.serial(name) for name in names]
        for serial in serials:
            self.assertRegex(serial, r"\A[0-7][0-9A-F]{39}\Z")
        for digits in (slice(0, 20), slice(20, 40)):
            self.assertEqual(len({serial[digits] for serial in serials}), len(serials))

    def test_quiet_prints_nothing(self):
        self.assertEqual(self.make("--quiet"), "")
        self.assertEqual(self.make("-q"), "")
        self.assertEqual(self.files(), STANDARD)

    def test_help_names_every_option_and_goes_to_standard_output(self):
        result = run(SCRIPT, "--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for word in (
            "--client", "--uri", "--bad", "--revoke", "--key-type", "--days", "--out", "--force",
            "--force-ca", "--quiet", "--help", "825", *SERVER_BAD, *CLIENT_BAD,
        ):  # fmt: skip
            self.assertIn(word, result.stdout)
        for line in result.stdout.splitlines():
            self.assertLessEqual(len(line), 100)

    def test_default_folder_is_certs_beside_the_script_from_anywhere(self):
        tree = self.top / "tree with space"
        # All of the folder: the script may have parts of its own there.
        shutil.copytree(SCRIPT.parent, tree / "scripts")
        (self.top / "elsewhere").mkdir()
        result = run(tree / "scripts" / "make-certs", cwd=self.top / "elsewhere")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({path.name for path in (tree / "certs").iterdir()}, STANDARD)
        self.assertEqual(list((self.top / "elsewhere").iterdir()), [])

    def test_folder_is_taken_relative_to_where_the_caller_is(self):
        result = run(SCRIPT, "--out", "a/b c", cwd=self.top)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({path.name for path in (self.top / "a" / "b c").iterdir()}, STANDARD)


class KeyTypes(MakeCertsCase):
    def test_default_is_p256(self):
        self.make()
        for name in ("ca.crt", "server.crt", "client.crt"):
            self.assertIn("prime256v1", self.certificate(name))

    def test_ed25519(self):
        self.make("--key-type", "ed25519")
        for name in ("ca.crt", "server.crt", "client.crt"):
            self.assertRegex(self.certificate(name), r"Public Key Algorithm: ED25519")
            self.assertEqual(self.verify(name), [])
        self.assertEqual(self.extension("server.crt", "keyUsage")[1], "Digital Signature")

    def test_rsa3072_and_its_key_usage(self):
        self.make("--key-type=rsa3072")
        for name in ("ca.crt", "server.crt", "client.crt"):
            self.assertIn("(3072 bit)", self.certificate(name))
            self.assertEqual(self.verify(name), [])
        self.assertEqual(
            self.extension("server.crt", "keyUsage")[1], "Digital Signature, Key Encipherment"
        )
        self.assertEqual(self.extension("client.crt", "keyUsage")[1], "Digital Signature")

    def test_new_certificate_follows_the_type_of_the_existing_ca(self):
        self.make("--key-type", "ed25519")
        self.make("--client", "later")
        self.assertIn("ED25519", self.certificate("client-later.crt"))
        self.assertEqual(self.verify("client-later.crt"), [])

    def test_mixed_chain_is_made_when_asked_for_with_a_note(self):
        self.make()
        result = self.attempt("--client", "mixed", "--key-type", "ed25519")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"\Amake-certs: note: .*another key type")
        self.assertEqual(self.verify("client-mixed.crt"), [])

    def test_unknown_type_is_a_usage_error(self):
        self.refuse(2, "--key-type rsa1024: not one of", "--key-type", "rsa1024")
        self.assertFalse(self.out.exists())


class Names(MakeCertsCase):
    def test_names_and_addresses_are_told_apart(self):
        self.make(
            "Post.Example.org", "*.example.org", "my_host-1", "10.0.0.255",
            "2001:DB8::A", "::ffff:192.0.2.1", "fe80::", "1:2:3:4:5:6:7:8",
        )  # fmt: skip
        self.assertEqual(
            self.sans("server.crt"),
            [
                "DNS:post.example.org", "DNS:*.example.org", "DNS:my_host-1",
                "IP Address:10.0.0.255", "IP Address:2001:DB8:0:0:0:0:0:A",
                "IP Address:0:0:0:0:0:FFFF:C000:201", "IP Address:FE80:0:0:0:0:0:0:0",
                "IP Address:1:2:3:4:5:6:7:8",
            ],
        )  # fmt: skip
        self.assertEqual(self.verify("server.crt", "-verify_hostname", "a.example.org"), [])
        self.assertEqual(self.verify("server.crt", "-verify_ip", "2001:db8::a"), [])
        self.assertEqual(self.common_name("server.crt"), "post.example.org")

    def test_the_same_name_twice_is_carried_once(self):
        self.make("Host", "host", "::1", "0:0::1")
        self.assertEqual(self.sans("server.crt"), ["DNS:host", "IP Address:0:0:0:0:0:0:0:1"])

    def test_server_with_addresses_only(self):
        self.make("192.0.2.7")
        self.assertEqual(self.sans("server.crt"), ["IP Address:192.0.2.7"])
        self.assertEqual(self.verify("server.crt", "-verify_ip", "192.0.2.7"), [])

    def test_name_longer_than_a_common_name_may_be(self):
        name = ".".join(["a" * 60] * 4)
        self.make(name)
        self.assertEqual(self.sans("server.crt"), [f"DNS:{name}"])
        self.assertEqual(self.verify("server.crt", "-verify_hostname", name), [])

    def test_hostile_names_are_refused_before_anything_is_made(self):
        hostile = [
            "", "-", " ", " a", "a ", "a b", "a,DNS:evil", "a\nDNS.9=evil", "a\n", "\na", "a\tb", "a=b", "a;b",
            "$HOME", "${ENV::HOME}", "a#b", "a\\nb", "'a'", '"a"', "a/b", "../a", "a..b", ".a",
            "a.", "-a.b", "a-", "DNS:a", "IP:127.0.0.1", "*", "*.org", "a.*.org", "*a.b.org",
            "é.example", "a\x1b[31m", "a" * 64, ".".join(["a" * 62] * 5), "@section", "a%b",
        ]  # fmt: skip
        for name in hostile:
            with self.subTest(name=name):
                self.refuse(2, "neither a DNS name nor an IP address", "--", name)
        self.assertFalse(self.out.exists())

    def test_mistyped_addresses_are_not_taken_for_names(self):
        wrong = [
            "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.-4", "127.1", "123", "1.2.3.4.",
            ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::1", "::1%lo",
            "[::1]", "::1.2.3", "::1.2.3.256", "1:2:3:4:5:6:7::8", ":1::2", "1::2:", "::1/64",
            "1:2:3:4:5:6:7:1.2.3.4", "127.0.0.1:8080", "localhost:8080",
        ]  # fmt: skip
        for name in wrong:
            with self.subTest(name=name):
                self.refuse(2, "neither a DNS name nor an IP address", name)
        self.assertFalse(self.out.exists())


class Clients(MakeCertsCase):
    def test_client_carries_its_name(self):
        self.make("--client", "sensor-7.example", "--client=Other")
        self.assertEqual(
            self.files() - STANDARD,
            {"client-sensor-7.example.crt", "client-sensor-7.example.key",
             "client-Other.crt", "client-Other.key"},
        )  # fmt: skip
        self.assertEqual(self.common_name("client-sensor-7.example.crt"), "sensor-7.example")
        self.assertEqual(self.sans("client-sensor-7.example.crt"), ["DNS:sensor-7.example"])
        self.assertEqual(self.sans("client-Other.crt"), ["DNS:Other"])
        self.assertEqual(self.verify("client-Other.crt", "-purpose", "sslclient"), [])

    def test_with_an_existing_ca_a_client_is_all_that_is_made(self):
        self.make()
        for name in ("server.crt", "server.key", "client.crt", "client.key"):
            (self.out / name).unlink()
        self.make("--client", "a")
        self.assertEqual(self.files(), {"ca.crt", "ca.key", "client-a.crt", "client-a.key"})

    def test_uri_comes_first(self):
        uri = "spiffe://example.org/post/sensor;v=1,2?a=b&c=(d)!*@[::1]%20~+_"
        self.make("--client", "a", "--uri", uri, "--uri", "urn:uuid:1")
        self.assertEqual(self.sans("client-a.crt"), [f"URI:{uri}", "URI:urn:uuid:1", "DNS:a"])
        self.assertEqual(self.sans("client.crt"), ["DNS:client"])
        self.assertEqual(self.verify("client-a.crt"), [])

    def test_uri_without_client_goes_into_the_standard_client(self):
        self.make("--uri", "spiffe://example.org/x")
        self.assertEqual(self.sans("client.crt"), ["URI:spiffe://example.org/x", "DNS:client"])
        self.assertNotIn("URI:", self.certificate("server.crt"))

    def test_longest_uri_is_carried_whole(self):
        uri = "urn:x:" + "a" * (2048 - 6)
        self.make("--uri", uri)
        self.assertEqual(self.sans("client.crt")[0], f"URI:{uri}")
        self.refuse(2, "not an absolute URI", "--force", "--uri", uri + "a")

    def test_hostile_client_names_are_refused(self):
        for name in ("", "a b", "a/b", "../ca", "a,b", "a\nb", "*.a.b", "1.2.3.4", "::1", "a" * 65,
                     "é", "$a", "a.", "a" * 60 + ".bbbb"):  # fmt: skip
            with self.subTest(name=name):
                self.refuse(2, "--client", "--client", name)
        self.assertFalse(self.out.exists())

    def test_hostile_uris_are_refused(self):
        for uri in ("", "no-scheme", "http:", "1a:b", "a:b c", "a:b\nDNS.2=evil", "a:$ENV::HOME",
                    "a:b#c", "a:'b'", 'a:"b"', "a:b\\c", "a:é", ":b", "a:b\x7f"):  # fmt: skip
            with self.subTest(uri=uri):
                self.refuse(2, "--uri", "--uri", uri)
        self.assertFalse(self.out.exists())

    def test_uri_for_two_clients_is_a_usage_error(self):
        self.refuse(2, "more than one --client", "--client", "a", "--client", "b", "--uri", "a:b")


class Lifetime(MakeCertsCase):
    def lifetime_days(self, name):
        start, end = self.validity(name)
        return (end - start).total_seconds() / 86400

    def test_default_lifetimes(self):
        self.make()
        for name in ("server.crt", "client.crt"):
            self.assertAlmostEqual(self.lifetime_days(name), 397, places=3)
        self.assertAlmostEqual(self.lifetime_days("ca.crt"), 3650, places=3)

    def test_begins_a_little_in_the_past_and_not_more(self):
        before = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        self.make()
        for name in ("ca.crt", "server.crt", "client.crt"):
            age = (before - self.validity(name)[0]).total_seconds()
            self.assertGreater(age, 0)
            self.assertLessEqual(age, 301)

    def test_825_days_are_made_and_826_refused(self):
        self.refuse(2, "at most 825 days", "--days", "826")
        self.assertFalse(self.out.exists())
        self.make("--days", "825")
        start, end = self.validity("server.crt")
        # The last second belongs to the certificate's life (RFC 5280, 4.1.2.5).
        self.assertLessEqual(end - start + datetime.timedelta(seconds=1), datetime.timedelta(days=825))
        self.assertGreater(self.lifetime_days("server.crt"), 824.9)

    def test_days_that_are_no_number_are_refused(self):
        for days in ("0", "-1", "1.5", "x", "", "08", "1 ", "9" * 30, "0x10", "a[$(id)]"):
            with self.subTest(days=days):
                self.refuse(2, "--days", "--days", days)

    def test_never_outlives_the_ca(self):
        self.make_foreign_ca(days=10)
        self.make("--days", "30", "--bad", "wrong-name", "localhost")
        ca_end = self.validity("ca.crt")[1]
        for name in ("server.crt", "bad-wrong-name.crt"):
            self.assertEqual(self.validity(name)[1], ca_end)


class Files(MakeCertsCase):
    def test_modes_even_under_the_loosest_umask(self):
        self.make("--bad", "all", "--client", "a", preexec_fn=lambda: os.umask(0))
        self.make("--revoke", self.out / "client-a.crt", preexec_fn=lambda: os.umask(0))
        for path in self.out.iterdir():
            wanted = 0o600 if path.suffix == ".key" else 0o644
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path.name)
        self.assertEqual(stat.S_IMODE(self.out.stat().st_mode), 0o755)

    def spy_on_openssl(self, body):
        """An openssl command that runs BODY (sh) first, then the real one."""
        folder = self.top / "spy"
        folder.mkdir()
        spy = folder / "openssl"
        spy.write_text(f'#!/bin/sh\n{body}\nexec {shutil.which("openssl")} "$@"\n')
        spy.chmod(0o755)
        return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

    def test_whatever_makes_a_key_runs_under_umask_077_in_a_private_folder(self):
        log = self.top / "log"
        env = self.spy_on_openssl(f'echo "$1 $(umask) $(stat -c %a .) $PWD" >>{log}')
        self.make("--bad", "all", env=env, preexec_fn=lambda: os.umask(0))
        lines = [line.split() for line in log.read_text().splitlines()]
        makers = [line for line in lines if line[0] in ("req", "genpkey", "genrsa", "ecparam")]
        self.assertEqual(len(makers), 3 + len(SERVER_BAD) + len(CLIENT_BAD) + 1)
        for _, umask, mode, folder in makers:
            self.assertEqual((umask, mode), ("0077", "700"))
            self.assertEqual(pathlib.Path(folder).parent, self.out)

    def test_nothing_is_in_place_until_everything_is_made(self):
        log = self.top / "log"
        env = self.spy_on_openssl(f"ls -A {self.out} 2>/dev/null | grep -v '^.make-certs' >>{log}")
        self.make(env=env)
        self.assertEqual(log.read_text(), "")

    def test_failure_half_way_leaves_nothing(self):
        env = self.spy_on_openssl('case "$*" in *server.crt*) echo full of sand >&2; exit 1;; esac')
        self.refuse(1, r"cannot make server.crt: openssl ca says: full of sand", env=env)
        self.assertFalse(self.out.exists())

    def test_failure_half_way_with_force_leaves_what_was_there(self):
        self.make()
        before = self.contents()
        env = self.spy_on_openssl('case "$*" in *client.crt*) exit 1;; esac')
        self.refuse(1, "cannot make client.crt", "--force-ca", env=env)
        self.assertEqual(self.contents(), before)

    def test_signals_leave_nothing(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
            with self.subTest(signal=number):
                self.interrupt(number, status)

    def interrupt(self, number, status):
        """The signal goes to the script while openssl has half of the set made."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "certs"
            spy = pathlib.Path(folder) / "openssl"
            spy.write_text(
                f'#!/bin/sh\ncase "$*" in *server.crt*) kill -{int(number)} $PPID;; esac\n'
                f'exec {shutil.which("openssl")} "$@"\n'
            )
            spy.chmod(0o755)
            env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            result = run(SCRIPT, "--out", out, env=env)
            self.assert_failure(result, status, "interrupted, nothing was changed")
            self.assertFalse(out.exists())

    def test_remains_of_a_killed_run_are_cleared_away(self):
        gone = subprocess.Popen(["true"])
        gone.wait(DEADLINE_SECONDS)
        remains = self.out / ".make-certs.tmp.AbCdEf"
        remains.mkdir(parents=True)
        (remains / "ca.key").write_text("secret")
        (self.out / ".make-certs.lock").symlink_to(str(gone.pid))
        self.make()
        self.assertEqual(self.files(), STANDARD)

    def test_second_run_at_the_same_time_is_refused(self):
        self.out.mkdir()
        (self.out / ".make-certs.lock").symlink_to(str(os.getpid()))
        self.refuse(1, f"process {os.getpid()} is at work in")
        self.assertEqual(self.files(), {".make-certs.lock"})

    def test_folder_that_cannot_be_made(self):
        (self.top / "file").write_text("")
        for out in (self.top / "file", self.top / "file" / "certs"):
            result = run(SCRIPT, "--out", out)
            self.assert_failure(result, 1, "cannot make the folder .*file")

    def test_folder_that_cannot_be_written(self):
        # Not even root can make a file there.
        self.assert_failure(run(SCRIPT, "--out", "/proc"), 1, "cannot write into /proc: ")

    @unittest.skipIf(os.geteuid() == 0, "root writes everywhere")
    def test_folder_without_permission(self):
        self.out.mkdir(mode=0o500)
        self.refuse(1, "cannot write into .*: Permission denied")

    def test_missing_openssl(self):
        tools = self.top / "tools"
        tools.mkdir()
        for tool in ("bash", "readlink", "dirname", "mkdir", "rmdir", "rm", "ln", "mktemp", "date"):
            (tools / tool).symlink_to(shutil.which(tool))
        env = {**os.environ, "PATH": str(tools)}
        self.refuse(1, "the openssl command is missing", env=env)
        self.assertFalse(self.out.exists())

    def test_openssl_that_is_too_old(self):
        for version in ("OpenSSL 1.1.1w  11 Sep 2023", "LibreSSL 3.9.0"):
            with self.subTest(version=version), tempfile.TemporaryDirectory() as folder:
                old = pathlib.Path(folder) / "openssl"
                old.write_text(f"#!/bin/sh\necho '{version}'\n")
                old.chmod(0o755)
                env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
                self.refuse(1, "OpenSSL 3.0 or later is needed", env=env)

    def test_needs_only_openssl_and_coreutils(self):
        tools = self.top / "tools"
        tools.mkdir()
        listed = run("sh", "-c", "dpkg -L coreutils 2>/dev/null").stdout.split()
        paths = [path for path in listed if "/bin/" in path and os.access(path, os.X_OK)]
        if not paths:
            self.skipTest("no list of the coreutils on this system")
        for path in [*paths, shutil.which("bash"), shutil.which("openssl")]:
            (tools / pathlib.Path(path).name).symlink_to(path)
        env = {**os.environ, "PATH": str(tools)}
        self.make("--bad", "all", env=env)
        self.make("--revoke", self.out / "server.crt", env=env)
        self.make("--force-ca", env=env)


class Keeping(MakeCertsCase):
    def test_second_run_changes_nothing_and_says_so(self):
        self.make()
        before = self.contents()
        self.assertRegex(self.make(), r"\Amake-certs: everything is already there in [^\n]*\n\Z")
        self.assertEqual(self.contents(), before)

    def test_second_run_with_bad_ones_changes_nothing(self):
        self.make("--bad", "all", "--client", "a")
        before = self.contents()
        self.assertIn("already there", self.make("--bad", "all", "--client", "a"))
        self.assertEqual(self.contents(), before)

    def test_existing_ca_is_reused_and_what_is_missing_is_made(self):
        self.make()
        before = self.contents()
        (self.out / "client.crt").unlink()
        (self.out / "client.key").unlink()
        self.assertIn("kept server", self.make())
        after = self.contents()
        for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
            self.assertEqual(after[name], before[name])
        self.assertNotEqual(after["client.crt"], before["client.crt"])
        self.assertEqual(self.verify("client.crt"), [])

    def test_force_makes_the_leaves_anew_under_the_same_ca(self):
        self.make()
        before = self.contents()
        self.make("--force")
        after = self.contents()
        for name in STANDARD:
            self.assertEqual(after[name] == before[name], name.startswith("ca."), name)
        self.assertEqual(self.verify("server.crt"), [])

    def test_force_with_client_leaves_the_others_alone(self):
        self.make("--client", "a")
        before = self.contents()
        self.make("--force", "--client", "a")
        changed = {name for name, content in self.contents().items() if before[name] != content}
        self.assertEqual(changed, {"client-a.crt", "client-a.key"})

    def test_force_ca_makes_all_anew_drops_the_crl_and_names_the_orphans(self):
        self.make("--client", "a")
        self.make("--revoke", self.out / "client-a.crt")
        before = self.contents()
        result = self.attempt("--force-ca")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("client-a.crt was issued by the old CA", result.stderr)
        after = self.contents()
        for name in STANDARD:
            self.assertNotEqual(after[name], before[name])
        self.assertNotIn("ca.crl", after)
        self.assertEqual(self.verify("server.crt"), [])
        self.assertEqual(self.verify("client-a.crt"), [ERROR_ISSUER_UNKNOWN])

    def test_other_names_than_those_in_the_kept_certificate(self):
        self.make("a.example", "10.0.0.1", "::1")
        before = self.contents()
        self.refuse(1, r"server.crt is there, but for DNS:a.example, IP.*--force", "b.example")
        self.assertEqual(self.contents(), before)
        self.assertIn("already there", self.make("0::1", "10.0.0.1", "A.example"))
        self.assertIn("already there", self.make())
        self.make("--force", "b.example")
        self.assertEqual(self.sans("server.crt"), ["DNS:b.example"])

    def test_other_uri_than_that_in_the_kept_certificate(self):
        self.make("--client", "a", "--uri", "x:1")
        self.refuse(1, "client-a.crt is there, but for", "--client", "a", "--uri", "x:2")
        self.assertIn("already there", self.make("--client", "a", "--uri", "x:1"))

    def test_other_key_type_than_that_of_the_kept_certificate(self):
        self.make()
        self.refuse(1, "server.crt is there, but its key is p256", "--key-type", "ed25519")

    def test_half_a_ca(self):
        for gone in ("ca.key", "ca.crt"):
            with self.subTest(gone=gone):
                self.make("--force-ca")
                (self.out / gone).unlink()
                before = self.contents()
                self.refuse(1, rf"half a CA: .*{gone} is missing")
                self.refuse(1, rf"half a CA: .*{gone} is missing", "--force")
                self.assertEqual(self.contents(), before)

    def test_ca_key_that_does_not_match(self):
        self.make()
        openssl("genpkey", "-algorithm", "ED25519", "-out", self.out / "ca.key")
        self.refuse(1, r"ca.key is not a readable key without passphrase that matches ca.crt")

    def test_ca_key_with_a_passphrase_is_an_error_and_no_question(self):
        self.make()
        key = self.out / "ca.key"
        locked = openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret")
        key.write_text(locked)
        self.refuse(1, r"ca.key is not a readable key without passphrase", "--client", "a")

    def test_leaf_in_place_of_the_ca(self):
        self.make()
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"server{suffix}", self.out / f"ca{suffix}")
        self.refuse(1, "ca.crt is not a CA certificate", "--client", "a")

    def test_ca_that_strict_peers_refuse(self):
        self.make_foreign_ca(extra=("basicConstraints=CA:TRUE",))
        self.refuse(1, "cannot make server.crt: .*ca.crt is not fit for it: .*[Cc]ritical")
        self.assertEqual(self.files(), {"ca.crt", "ca.key"})

    def test_expired_ca(self):
        self.make("--bad", "expired")
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"bad-expired{suffix}", self.out / f"ca{suffix}")
        self.refuse(1, "ca.crt has expired .--force-ca", "--client", "a")

    def test_half_a_pair(self):
        for gone in ("server.key", "client.crt"):
            with self.subTest(gone=gone):
                self.make("--force")
                (self.out / gone).unlink()
                before = self.contents()
                self.refuse(1, rf"{gone} is missing, the other half is there .--force")
                self.assertEqual(self.contents(), before)

    def test_kept_certificate_that_expired(self):
        self.make("--bad", "expired")
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"bad-expired{suffix}", self.out / f"server{suffix}")
        self.refuse(1, "server.crt has expired .--force")

    def test_kept_key_of_another_certificate(self):
        self.make()
        shutil.copy(self.out / "client.key", self.out / "server.key")
        self.refuse(1, "server.crt does not match its key")

    def test_kept_certificate_of_another_ca(self):
        self.make()
        (self.out / "ca.crt").unlink()
        (self.out / "ca.key").unlink()
        before = self.contents()
        self.refuse(1, "server.crt was not issued by the CA in use .--force")
        self.assertEqual(self.contents(), before)

    def test_link_in_place_of_a_file_is_not_followed(self):
        self.out.mkdir()
        target = self.top / "target"
        (self.out / "server.key").symlink_to(target)
        self.refuse(1, "server.crt is missing")
        self.make("--force")
        self.assertFalse(target.exists())
        self.assertFalse((self.out / "server.key").is_symlink())


class BadOnes(MakeCertsCase):
    def test_all_makes_every_kind(self):
        self.make("--bad", "all")
        wanted = {f"bad-{kind}{suffix}" for kind in SERVER_BAD + CLIENT_BAD for suffix in (".crt", ".key")}
        self.assertEqual(self.files() - STANDARD, wanted | {"unknown-ca.crt", "unknown-ca.key"})

    def test_one_kind_makes_no_other(self):
        self.make()
        self.make("--bad", "expired", "--bad=client-expired")
        self.assertEqual(
            self.files() - STANDARD,
            {"bad-expired.crt", "bad-expired.key", "bad-client-expired.crt", "bad-client-expired.key"},
        )

    def assert_bad_server(self, kind, errors, *repair, ca="ca.crt"):
        """Wrong in one thing, and right once that thing is put aside."""
        self.make("--bad", kind)
        name = f"bad-{kind}.crt"
        asked = ("-purpose", "sslserver", "-verify_hostname", "localhost")
        self.assertEqual(self.verify(name, *asked), errors)
        if repair or ca != "ca.crt":
            self.assertEqual(self.verify(name, *(repair or asked), ca=ca), [])
        if kind != "wrong-name":
            self.assertEqual(
                self.sans(name), ["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"]
            )

    def assert_bad_client(self, kind, errors, *repair, ca="ca.crt"):
        self.make("--bad", kind)
        name = f"bad-{kind}.crt"
        self.assertEqual(self.verify(name, "-purpose", "sslclient"), errors)
        self.assertEqual(self.verify(name, *(repair or ("-purpose", "sslclient")), ca=ca), [])
        self.assertEqual(self.sans(name), ["DNS:client"])

    def test_expired(self):
        self.assert_bad_server("expired", [ERROR_EXPIRED], "-purpose", "sslserver", "-no_check_time")

    def test_not_yet_valid(self):
        self.assert_bad_server(
            "not-yet-valid", [ERROR_NOT_YET_VALID], "-purpose", "sslserver", "-no_check_time"
        )

    def test_wrong_name(self):
        self.assert_bad_server(
            "wrong-name", [ERROR_HOSTNAME],
            "-purpose", "sslserver", "-verify_hostname", "wrong-name.invalid",
        )  # fmt: skip
        self.assertEqual(self.sans("bad-wrong-name.crt"), ["DNS:wrong-name.invalid"])

    def test_unknown_ca(self):
        self.assert_bad_server("unknown-ca", [ERROR_ISSUER_UNKNOWN], ca="unknown-ca.crt")

    def test_self_signed(self):
        self.assert_bad_server("self-signed", [ERROR_SELF_SIGNED], ca="bad-self-signed.crt")
        self.assertEqual(self.extension("bad-self-signed.crt", "basicConstraints")[1], "CA:FALSE")

    def test_wrong_eku(self):
        self.assert_bad_server("wrong-eku", [ERROR_PURPOSE], "-purpose", "sslclient")

    def test_client_expired(self):
        self.assert_bad_client("client-expired", [ERROR_EXPIRED], "-purpose", "sslclient", "-no_check_time")

    def test_client_not_yet_valid(self):
        self.assert_bad_client(
            "client-not-yet-valid", [ERROR_NOT_YET_VALID], "-purpose", "sslclient", "-no_check_time"
        )

    def test_client_unknown_ca(self):
        self.assert_bad_client("client-unknown-ca", [ERROR_ISSUER_UNKNOWN], ca="unknown-ca.crt")

    def test_client_self_signed(self):
        self.assert_bad_client("client-self-signed", [ERROR_SELF_SIGNED], ca="bad-client-self-signed.crt")

    def test_client_wrong_eku(self):
        self.assert_bad_client("client-wrong-eku", [ERROR_PURPOSE], "-purpose", "sslserver")

    def test_unknown_ca_is_kept_for_both_sides(self):
        self.make("--bad", "unknown-ca")
        before = self.contents()
        self.make("--bad", "client-unknown-ca")
        self.make("--bad", "client-unknown-ca", "--force")
        self.assertEqual(self.contents()["unknown-ca.crt"], before["unknown-ca.crt"])
        for name in ("bad-unknown-ca.crt", "bad-client-unknown-ca.crt"):
            self.assertEqual(self.verify(name, ca="unknown-ca.crt"), [])

    def test_keys_belong_to_their_certificates(self):
        self.make("--bad", "all")
        for path in self.out.glob("*.crt"):
            of_key = openssl("pkey", "-in", path.with_suffix(".key"), "-pubout")
            self.assertEqual(openssl("x509", "-in", path, "-noout", "-pubkey"), of_key, path.name)

    def test_unknown_kind_is_a_usage_error(self):
        self.refuse(2, "--bad ugly: not one of expired", "--bad", "ugly")


class Revocation(MakeCertsCase):
    def revoked(self):
        text = openssl("crl", "-in", self.out / "ca.crl", "-noout", "-text")
        return re.findall(r"Serial Number: ([0-9A-F]+)", text)

    def crl_number(self):
        text = openssl("crl", "-in", self.out / "ca.crl", "-noout", "-crlnumber")
        return int(text.strip().split("=")[1].removeprefix("0x"), 16)

    def check(self, name):
        return self.verify(name, "-crl_check", "-CRLfile", self.out / "ca.crl")

    def test_revoked_certificate_fails_and_others_pass(self):
        self.make()
        self.assertRegex(self.make("--revoke", self.out / "client.crt"), "revoked .*client.crt")
        self.assertEqual(self.check("client.crt"), [ERROR_REVOKED])
        self.assertEqual(self.check("server.crt"), [])
        self.assertEqual(self.files() - STANDARD, {"ca.crl"})

    def test_second_one_keeps_the_first(self):
        self.make("--client", "a", "--client", "b")
        self.make("--revoke", self.out / "client-a.crt")
        first = self.contents()["ca.crl"]
        self.make("--revoke", self.out / "client-b.crt")
        self.assertNotEqual(self.contents()["ca.crl"], first)
        self.assertEqual(
            set(self.revoked()), {self.serial("client-a.crt"), self.serial("client-b.crt")}
        )
        self.assertEqual(self.check("client-a.crt"), [ERROR_REVOKED])
        self.assertEqual(self.check("client-b.crt"), [ERROR_REVOKED])
        self.assertEqual(self.check("client.crt"), [])

    def test_several_in_one_run_from_a_relative_path(self):
        self.make("--client", "a")
        self.make("--revoke", "certs/client-a.crt", "--revoke", "certs/server.crt", cwd=self.top)
        self.assertEqual(len(self.revoked()), 2)

    def test_again_renews_the_crl_and_keeps_the_date(self):
        self.make()
        self.make("--revoke", self.out / "client.crt")
        text = openssl("crl", "-in", self.out / "ca.crl", "-noout", "-text")
        date = re.search("Revocation Date: .*", text).group(0)
        self.assertIn("revoked already", self.make("--revoke", self.out / "client.crt"))
        text = openssl("crl", "-in", self.out / "ca.crl", "-noout", "-text")
        self.assertIn(date, text)
        self.assertEqual(self.revoked(), [self.serial("client.crt")])
        self.assertEqual(self.crl_number(), 2)

    def test_crl_number_grows_past_one_byte(self):
        self.make()
        index, number = self.top / "index", self.top / "number"
        index.write_text("")
        number.write_text("0FFF\n")
        config = self.top / "ca.cnf"
        config.write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndatabase={index}\ncrlnumber={number}\ndefault_md=sha256\n"
            "default_crl_days=1\n"
        )
        openssl(
            "ca", "-gencrl", "-config", config, "-cert", self.out / "ca.crt",
            "-keyfile", self.out / "ca.key", "-out", self.out / "ca.crl",
        )  # fmt: skip
        self.make("--revoke", self.out / "client.crt")
        self.assertEqual(self.crl_number(), 0x1000)

    def test_ca_with_and_without_a_digest_signs_a_crl(self):
        # RSA keys take seconds to make, and sign like p256: by the default digest.
        for key_type in ("p256", "ed25519"):
            with self.subTest(key_type=key_type):
                self.make("--force-ca", "--key-type", key_type)
                self.make("--revoke", self.out / "client.crt")
                self.assertEqual(self.check("client.crt"), [ERROR_REVOKED])

    def test_expired_certificate_can_be_revoked(self):
        self.make("--bad", "expired")
        self.make("--revoke", self.out / "bad-expired.crt")
        self.assertEqual(self.revoked(), [self.serial("bad-expired.crt")])

    def test_what_cannot_be_revoked(self):
        self.make("--bad", "unknown-ca", "--bad", "self-signed")
        for name, pattern in (
            ("bad-unknown-ca.crt", "was not issued by"),
            ("bad-self-signed.crt", "was not issued by"),
            ("ca.crt", "it is the CA itself"),
            ("server.key", "there is no certificate in it"),
            ("missing.crt", "cannot read it"),
            ("", "cannot read it"),
        ):
            with self.subTest(name=name):
                self.refuse(1, pattern, "--revoke", self.out / name)
        self.assertNotIn("ca.crl", self.files())

    def test_without_a_ca(self):
        self.refuse(1, "there is no CA in", "--revoke", SCRIPT)
        self.assertFalse(self.out.exists())

    def test_crl_whose_ca_is_gone_is_not_removed(self):
        self.out.mkdir()
        (self.out / "ca.crl").write_text("a list")
        self.refuse(1, "ca.crl is there, its CA is not .*--force-ca")
        self.assertEqual(self.files(), {"ca.crl"})

    def test_crl_of_another_ca_is_not_overwritten(self):
        self.make()
        self.make("--revoke", self.out / "client.crt")
        crl = (self.out / "ca.crl").read_bytes()
        self.make("--force-ca")
        for content in (crl, b"no CRL at all"):
            (self.out / "ca.crl").write_bytes(content)
            self.refuse(1, "ca.crl is not a CRL of the CA", "--revoke", self.out / "client.crt")
            self.assertEqual((self.out / "ca.crl").read_bytes(), content)

    def test_goes_with_no_other_work(self):
        self.make()
        for extra in (["name"], ["--client", "a"], ["--bad", "all"], ["--force"], ["--days", "3"]):
            with self.subTest(extra=extra):
                self.refuse(2, "--revoke: goes with", "--revoke", self.out / "client.crt", *extra)


class Usage(MakeCertsCase):
    def test_unknown_options(self):
        for option in ("--nonsense", "-x", "--force=yes", "--nonsense=1", "--\n"):
            with self.subTest(option=option):
                self.refuse(2, "unknown option", option)

    def test_options_without_their_value(self):
        for option in ("--client", "--uri", "--bad", "--revoke", "--key-type", "--days", "--out"):
            with self.subTest(option=option):
                self.refuse(2, f"{option}: needs a value", option)
                self.refuse(2, f"{option}: needs a value", f"{option}=")

    def test_options_may_follow_names(self):
        self.make("host.example", "--key-type", "ed25519", "--", "other.example")
        self.assertEqual(self.sans("server.crt"), ["DNS:host.example", "DNS:other.example"])
        self.assertIn("ED25519", self.certificate("server.crt"))


if __name__ == "__main__":
    unittest.main()
