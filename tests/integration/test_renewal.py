"""The deploy hook of docs/operations.md, run as certbot runs it, against a server that goes on serving.

Put in place of what the page says: its two folders, and the server's user by the one who runs this.
`systemctl` is a program of the test's, which sends the signal that the unit would.
"""

import os
import pathlib
import pwd
import re
import signal
import ssl
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, Server
from tls_peers import TlsPeer

OPERATIONS = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"]) / "docs" / "operations.md"
LIVE = "/etc/letsencrypt/live/post.example.org"
SERVED = "/etc/certpost"
OLD, NEW = "", "ed25519/"  # two authorities of scripts/make-certs, with a server each
FAILED = "error reload failed, nothing has changed reason="

SYSTEMCTL = """#!/bin/sh -e
test "$*" = "reload certpostd"
kill -HUP "$SERVER_PID"
"""


def pem(name):
    return pathlib.Path(certs.path(name)).read_text(encoding="ascii")


def fullchain(authority):
    return pem(f"{authority}server.crt") + pem(f"{authority}ca.crt")


def leaf(authority):
    return ssl.PEM_cert_to_DER_cert(pem(f"{authority}server.crt"))


class Hook(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.archive, self.live, self.served, programs = (
            self.folder / name for name in ("archive", "live", "served", "bin"))
        for made in (self.archive, self.live, self.served, programs):
            made.mkdir()
        self.renewals = 0
        self.hook = self._write(self.folder / "hook", self._documented(), 0o755)
        self._write(programs / "systemctl", SYSTEMCTL, 0o755)
        self.path = f"{programs}:{os.environ['PATH']}"
        self._write(self.served / "server.crt", fullchain(OLD), 0o444)
        self._write(self.served / "server.key", pem("server.key"), 0o400)
        self.context = tls_peers.client_context()
        self.context.load_verify_locations(certs.path(f"{NEW}ca.crt"))

    @staticmethod
    def _write(path, text, mode):
        path.write_text(text, encoding="ascii")
        path.chmod(mode)
        return path

    def _documented(self):
        hook = re.search(r"(?s)\n### Renewal\n.*?\n```sh\n(.*?)```\n", OPERATIONS.read_text(encoding="utf-8")).group(1)
        user = pwd.getpwuid(os.geteuid()).pw_name
        for shown, ours, times in ((LIVE, str(self.live), 1), (SERVED, str(self.served), 1),
                                   ("-o certpost", f"-o {user}", 2)):
            self.assertEqual(hook.count(shown), times, f"{shown!r} in\n{hook}")
            hook = hook.replace(shown, ours)
        return hook

    def renew(self, chain, key):
        """What certbot does: new files in its archive, and links that lead to them."""
        self.renewals += 1
        for name, text in (("fullchain", chain), ("privkey", key)):
            file = self._write(self.archive / f"{name}{self.renewals}.pem", text, 0o600)
            link = self.folder / "link"
            link.symlink_to(file)
            link.rename(self.live / f"{name}.pem")

    def run_hook(self, server, lineage=None):
        environment = {"PATH": self.path, "SERVER_PID": str(server.pid), "RENEWED_LINEAGE": str(lineage or self.live)}
        status, said, errors = processes.run([self.hook], environment=environment)
        self.assertEqual((status, said, errors), (0, "", ""))

    def serve(self):
        return Server(cert=str(self.served / "server.crt"), key=str(self.served / "server.key"))

    def check_serves(self, server, authority):
        """The server's own certificate, and as many above it as the file has."""
        with TlsPeer(server.port, self.context) as peer:
            self.assertEqual(peer.tls.getpeercert(binary_form=True), leaf(authority))
            peer.exchange(b"a newcomer", DEFAULT_REPLY)
            peer.finish()
        _, shown, _ = processes.run(["openssl", "s_client", "-connect", server.address, "-showcerts"])
        self.assertEqual(shown.count("-----BEGIN CERTIFICATE-----"), 2)

    def test_the_renewed_certificate_is_served(self):
        with self.serve() as server, TlsPeer(server.port, self.context) as standing:
            self.check_serves(server, OLD)
            self.renew(fullchain(NEW), pem(f"{NEW}server.key"))
            self.run_hook(server)
            server.wait_log("info reloaded")
            self.check_serves(server, NEW)
            standing.exchange(b"from before", DEFAULT_REPLY)
            standing.finish()
            modes = {path.name: path.stat().st_mode & 0o777 for path in self.served.iterdir()}
            self.assertEqual(modes, {"server.crt": 0o444, "server.key": 0o400})

    def test_a_pair_that_does_not_match_leaves_the_old_in_service(self):
        broken = {
            "another's key": (fullchain(NEW), pem("server.key"), "does not belong to certificate"),
            "half a certificate": (fullchain(NEW)[:300], pem(f"{NEW}server.key"), "server.crt"),
            "half of the chain": (fullchain(NEW)[:-200], pem(f"{NEW}server.key"), "server.crt"),
            "half a key": (fullchain(NEW), pem(f"{NEW}server.key")[:60], "server.key"),
            "no key": (fullchain(NEW), "", "server.key"),
        }
        with self.serve() as server:
            for name, (chain, key, words) in broken.items():
                with self.subTest(name):
                    self.renew(chain, key)
                    self.run_hook(server)
                    self.assertIn(words, server.wait_log(FAILED).group())
                    self.check_serves(server, OLD)
            self.renew(fullchain(NEW), pem(f"{NEW}server.key"))
            self.run_hook(server)
            server.wait_log("info reloaded")
            self.check_serves(server, NEW)

    def test_another_certificate_of_the_machine_is_left_alone(self):
        self.renew(fullchain(NEW), pem(f"{NEW}server.key"))
        other = self.folder / "other"
        self.live.rename(other)
        with self.serve() as server:
            self.run_hook(server, lineage=other)
            self.assertEqual((self.served / "server.crt").read_text(encoding="ascii"), fullchain(OLD))
            self.assertEqual(sorted(os.listdir(self.served)), ["server.crt", "server.key"])

    def test_links_of_certbot_can_be_used_directly(self):
        """By a server that may read what they lead to, in its sandbox too."""
        self.renew(fullchain(OLD), pem("server.key"))
        files = {"cert": str(self.live / "fullchain.pem"), "key": str(self.live / "privkey.pem")}
        with Server(sandbox=True, **files) as server:
            self.check_serves(server, OLD)
            self.renew(fullchain(NEW), pem(f"{NEW}server.key"))
            server.send_signal(signal.SIGHUP)
            server.wait_log("info reloaded")
            self.check_serves(server, NEW)


if __name__ == "__main__":
    unittest.main()
