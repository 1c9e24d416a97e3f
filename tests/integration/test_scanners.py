"""What three well-known scanners find at a server with default settings: nothing of medium severity.

testssl.sh, sslscan and nmap are Debian packages; where one is missing its test is skipped, loudly.
"""

import json
import os
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree

import certificates as certs
import processes
from certpost_server import Server

SCAN_S = 280
SEVERE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
# What is about the certificate for trying things out, and not about the server: it is of a private
# authority, which publishes no list of revoked certificates and no OCSP responder, and logs nowhere.
OF_THE_TEST_CERTIFICATE = {
    "cert_chain_of_trust",
    "cert_revocation",
    "cert_crlDistributionPoints",
    "cert_ocspURL",
    "cert_trust",
}


class Testssl(unittest.TestCase):
    def _scan(self, *options, server_options=()):
        program = processes.need_program("testssl")
        with tempfile.TemporaryDirectory(prefix="certpost-testssl-") as folder, Server(*server_options) as server:
            findings = pathlib.Path(folder) / "findings.json"
            arguments = [
                program, "--quiet", "--color", "0", "--ip", "127.0.0.1", "--nodns", "none", "--warnings", "off",
                "--add-ca", certs.path("ca.crt"), "--jsonfile", findings, *options, f"localhost:{server.port}",
            ]
            status, output, errors = processes.run(arguments, timeout_s=SCAN_S, cwd=folder)
            if not findings.exists():
                raise AssertionError(f"status {status}: {output[-2000:]} {errors[-2000:]}")
            return json.loads(findings.read_text(encoding="utf-8"))

    def _check(self, found, least):
        self.assertGreater(len(found), least, found)
        severe = [row for row in found if row["severity"] in SEVERE and row["id"] not in OF_THE_TEST_CERTIFICATE]
        self.assertEqual(severe, [])
        print(f"{len(found)} findings, none of medium severity or above")

    def test_testssl_protocols_and_certificate(self):
        found = self._scan("--protocols", "--std", "--server-defaults", "--fs")
        self._check(found, 20)
        self.assertIn(("TLS1_3", "OK"), [(row["id"], row["severity"]) for row in found])

    def test_testssl_vulnerabilities(self):
        self._check(self._scan("--vulnerable"), 5)


class Sslscan(unittest.TestCase):
    def test_sslscan(self):
        program = processes.need_program("sslscan")
        with tempfile.TemporaryDirectory(prefix="certpost-sslscan-") as folder, Server() as server:
            report = os.path.join(folder, "report.xml")
            arguments = [program, "--no-colour", f"--xml={report}", f"127.0.0.1:{server.port}"]
            status, output, errors = processes.run(arguments, timeout_s=SCAN_S)
            self.assertEqual(status, 0, output + errors)
            scan = xml.etree.ElementTree.parse(report).getroot().find("ssltest")
        enabled = {f"{row.get('type')} {row.get('version')}" for row in scan.iter("protocol") if row.get("enabled") == "1"}
        self.assertEqual(enabled, {"tls 1.3"})
        self.assertEqual(scan.find("renegotiation").get("supported"), "0")
        for row in scan.iter("compression"):  # not there when sslscan's OpenSSL has none
            self.assertEqual(row.get("supported"), "0")
        for row in scan.iter("heartbleed"):
            self.assertEqual(row.get("vulnerable"), "0")
        ciphers = list(scan.iter("cipher"))
        self.assertGreater(len(ciphers), 0)
        for cipher in ciphers:
            self.assertGreaterEqual(int(cipher.get("bits")), 128)
            self.assertNotRegex(cipher.get("cipher"), re.compile("RC4|3DES|NULL|EXP|CBC|MD5", re.IGNORECASE))
        for certificate in scan.iter("certificate"):
            for key in certificate.iter("pk"):
                self.assertFalse(key.get("error") not in (None, "false"))
        for group in scan.iter("group"):
            self.assertGreaterEqual(int(group.get("bits")), 112)


class Nmap(unittest.TestCase):
    """The script grades every cipher suite that a server accepts, from A to F."""

    def _enumerate(self, *options):
        program = processes.need_program("nmap")
        with tempfile.TemporaryDirectory(prefix="certpost-nmap-") as folder, Server(*options) as server:
            report = os.path.join(folder, "report.xml")
            # A connect scan needs no rights; "+" runs the script although the port is no known one.
            arguments = [
                program, "-sT", "-Pn", "-n", "-p", server.port, "--script", "+ssl-enum-ciphers", "-oX", report,
                "127.0.0.1",
            ]
            status, output, errors = processes.run(arguments, timeout_s=SCAN_S)
            self.assertEqual(status, 0, output + errors)
            script = xml.etree.ElementTree.parse(report).getroot().find(".//script[@id='ssl-enum-ciphers']")
        self.assertIsNotNone(script, output)
        self.assertEqual(script.find("elem[@key='least strength']").text, "A")
        self.assertEqual(list(script.iter("warnings")), [])
        return {table.get("key"): self._ciphers(table) for table in script.findall("table")}

    def _ciphers(self, version):
        grades = [row.text for row in version.iter("elem") if row.get("key") == "strength"]
        self.assertEqual(set(grades), {"A"})
        return [row.text for row in version.iter("elem") if row.get("key") == "name"]

    def test_nmap_enumerates_only_the_best(self):
        found = self._enumerate()
        self.assertEqual(list(found), ["TLSv1.3"])
        self.assertEqual(len(found["TLSv1.3"]), 3)

    def test_nmap_with_tls_1_2(self):
        found = self._enumerate("--tls-min", "1.2")
        self.assertEqual(sorted(found), ["TLSv1.2", "TLSv1.3"])
        for name in found["TLSv1.2"]:
            self.assertRegex(name, "^TLS_ECDHE_.*(GCM|CHACHA20)")


if __name__ == "__main__":
    unittest.main()
