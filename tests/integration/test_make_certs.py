"""scripts/make-certs: what is in the certificates that it makes, judged by the openssl command."""

import datetime
import shutil
import unittest

from make_certs_case import (
    CLIENT_BAD, ERROR_HOSTNAME, ERROR_PURPOSE, MakeCertsCase, SCRIPT, SERVER_BAD, STANDARD, run)


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
