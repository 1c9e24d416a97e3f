"""certpost send --plain judges the certificate of the server: each one that it refuses, and why."""

import unittest

import certpost_client
from plain_servers import SendPlainCase, Server, certificates, classic, server_context


def setUpModule():
    certificates.begin()


class TestServerCertificates(SendPlainCase):
    def check_certificate(self, words, *arguments, name, **made):
        certificate = certificates.leaf(name, **made)
        with Server(classic, server_context(name, certificate)) as server:
            self.check_failure(server, 60, f"the server's certificate {words}", *arguments)

    def test_an_expired_certificate(self):
        self.check_certificate("has expired: it ended on 2021-02-03 04:05:06 UTC; have it renewed, "
                               "or check this machine's clock", name="expired",
                               start="20200101000000Z", end="20210203040506Z")

    def test_a_certificate_that_is_not_valid_yet(self):
        self.check_certificate("is not valid yet: it begins on 2090-01-01 00:00:00 UTC; check the "
                               "clocks of both machines", name="early",
                               start="20900101000000Z", end="20910101000000Z")

    def test_a_certificate_for_another_name(self):
        self.check_certificate("is for other names: expected 127.0.0.1, it has mail.example.org, "
                               "10.0.0.1; use one of these names, or name the one you expect with "
                               "--servername", name="other", names="DNS:mail.example.org,IP:10.0.0.1")

    def test_a_servername_that_the_certificate_lacks(self):
        self.check_certificate("is for other names: expected db.example.org, it has localhost, "
                               "127.0.0.1, ::1; use one of these names, or name the one you expect "
                               "with --servername", "--servername", "db.example.org", name="plain")

    def test_a_servername_that_the_certificate_has(self):
        certificate = certificates.leaf("elsewhere", names="DNS:db.example.org")
        with Server(classic, server_context("elsewhere", certificate)) as server:
            result = self.send_to(server, "--servername", "db.example.org")
        self.assertEqual(result.status, 0, result)

    def test_a_common_name_is_no_name(self):
        # The leaf's CN is localhost, which counts for nothing (RFC 9525, section 2).
        certificate = certificates.leaf("localhost", names="URI:urn:certpost:x")
        with Server(classic, server_context("localhost", certificate)) as server:
            result = certpost_client.send("--cacert", certificates.ca(), "--servername", "localhost",
                                          f"127.0.0.1:{server.port}")
        self.assertEqual(result.status, 60, result)
        self.assertIn("is for other names: expected localhost, it has URI urn:certpost:x",
                      result.errors[0])

    def test_an_unknown_ca(self):
        self.check_certificate("is from an unknown CA (CN=certpost test stranger); give its CA's "
                               "certificate as the CA file (--cacert, --client-ca)",
                               name="foreign", ca="stranger")

    def test_a_self_signed_certificate(self):
        with Server(classic, server_context("s", certificates.self_signed("s"))) as server:
            self.check_failure(server, 60,
                               "the server's certificate is self-signed and not trusted here; if it "
                               "is the one you expect, give it as the CA file (--cacert)")

    def test_a_certificate_for_another_purpose(self):
        self.check_certificate("is not for this purpose (extended key usage); use one that was "
                               "issued for this role (serverAuth for servers, clientAuth for "
                               "clients)", name="wrongeku", purpose="clientAuth")

    def test_a_revoked_certificate(self):
        certificate = certificates.leaf("revoked")
        crl = certificates.crl(certificate)
        with Server(classic, server_context("revoked", certificate)) as server:
            self.check_failure(server, 60,
                               "the server's certificate has been revoked by its CA; do not trust "
                               "this peer until it has a new one", "--crlfile", crl)

    def test_a_crl_that_does_not_name_the_certificate(self):
        with Server(classic, server_context()) as server:
            result = self.send_to(server, "--crlfile", certificates.crl())
        self.assertEqual(result.status, 0, result)

    def test_names_of_a_certificate_are_escaped_and_bounded(self):
        names = ",".join(f"DNS:host{i}.example.org" for i in range(50))
        self.check_certificate("is for other names: expected 127.0.0.1, it has host0.example.org, "
                               "host1.example.org, host2.example.org, host3.example.org, "
                               "host4.example.org and 45 more; use one of these names, or name the "
                               "one you expect with --servername", name="many", names=names)


if __name__ == "__main__":
    unittest.main()
