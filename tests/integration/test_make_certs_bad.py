"""scripts/make-certs for tests of refusal: certificates wrong in one thing, and revoked ones."""

import re
import unittest

from make_certs_case import (
    CLIENT_BAD, ERROR_EXPIRED, ERROR_HOSTNAME, ERROR_ISSUER_UNKNOWN, ERROR_NOT_YET_VALID,
    ERROR_PURPOSE, ERROR_REVOKED, ERROR_SELF_SIGNED, MakeCertsCase, SCRIPT, SERVER_BAD,
    STANDARD, openssl)


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


if __name__ == "__main__":
    unittest.main()
