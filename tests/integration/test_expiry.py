"""What the server says before certificates, revocation lists and OCSP responses in use end.

Days and hours pass by the clocks of tests/support/fault_shim.h: the calendar says how near an end is,
the monotonic clock lets the hourly look come. The peer keeps to the real calendar.
One case alone: ctest --preset dev -R 'integration.expiry.each_step'
"""

import contextlib
import datetime
import json
import pathlib
import signal
import tempfile
import unittest

import certificates as certs
import faults
from authority import Authority
from certpost_server import DEFAULT_REPLY, Server, run_certpostd
from fault_scenes import pages
from pki import Pki, openssl
from tls_peers import TlsPeer, client_context

HOUR_S = 3600
DAY_S = 24 * HOUR_S
EVENTS = ("validity ends soon", "validity has ended", "more validities end soon")


def end_of(path, option="-enddate", kind="x509"):
    """The end that openssl reads in a file, as the log writes it."""
    text = openssl(kind, "-in", path, "-noout", option).strip().partition("=")[2]
    end = datetime.datetime.strptime(text, "%b %d %H:%M:%S %Y GMT")
    return end.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def expiry_lines(lines):
    """The log's lines about ends, taken apart."""
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in parsed if line["event"] in EVENTS]


class Stage:
    """A server with a certificate for `days` in a folder of its own, and clocks to set."""

    def __init__(self, page, pki, days):
        self.page = page
        self.pki = pki
        self.certificate, self.key = pki.issue("server", ["localhost"], days=days)
        self.server = None
        self._passed_s = 0
        self._seen = 0

    def start(self):
        return Server(
            "--log-format", "json", cert=self.certificate, key=self.key, program=faults.SERVER,
            environment=self.page.environment,
        )  # fmt: skip

    def renew(self, days):
        """Another certificate and key in the place of those in use, for the next reload."""
        self.pki.issue("server", ["localhost"], days=days)

    def set_calendar(self, days):
        self.page.set_calendar(round(days * DAY_S))

    def reload(self):
        self.server.send_signal(signal.SIGHUP)
        self.server.wait_log('"event":"reloaded"')
        return self._until_quiet()

    def look(self):
        """Lets an hour pass, in which the server looks at the calendar; returns what it said."""
        self.page.pass_time(HOUR_S)
        return self._until_quiet()

    def _until_quiet(self):
        """What was said about ends since the last call. A reload that fails wakes the server, which
        then deals with the timers that are due; so when a second one has failed, it has done that."""
        certificate = pathlib.Path(self.certificate)
        good = certificate.read_bytes()
        certificate.write_bytes(b"")
        for _ in range(2):
            self.server.send_signal(signal.SIGHUP)
            self.server.wait_log("reload failed, nothing has changed")
        certificate.write_bytes(good)
        lines = expiry_lines(self.server.stderr.lines)
        new, self._seen = lines[self._seen :], len(lines)
        return new


@contextlib.contextmanager
def stage(days):
    with pages() as page, Pki() as pki:
        made = Stage(page, pki, days)
        with made.start() as server:
            made.server = server
            yield made


class WhileItRuns(unittest.TestCase):
    def check_line(self, lines, level, days):
        """One line, and this one."""
        event = "validity has ended" if level == "error" else "validity ends soon"
        self.assertEqual([(line["event"], line["level"], line["days"]) for line in lines], [(event, level, days)])

    def test_each_step(self):
        with stage(days=60) as made:
            self.assertEqual(made.look(), [])
            made.set_calendar(29.9)
            self.assertEqual(made.look(), [])
            for passed, days in ((30.1, 29), (53.1, 6), (59.1, 0)):
                made.set_calendar(passed)
                lines = made.look()
                self.check_line(lines, "warning", days)
                self.assertEqual(made.look(), [])
            self.assertEqual(lines[0]["kind"], "server_certificate")
            self.assertEqual(lines[0]["file"], made.certificate)
            self.assertEqual(lines[0]["position"], 1)
            self.assertEqual(lines[0]["name"], "localhost")
            self.assertEqual(lines[0]["not_after"], end_of(made.certificate))
            made.set_calendar(60.1)
            self.check_line(made.look(), "error", 0)
            with TlsPeer(made.server.port, client_context(ca=made.pki.ca)) as peer:
                peer.exchange(b"it is served all the same", DEFAULT_REPLY)

    def test_once_a_day(self):
        with stage(days=20) as made:
            self.assertEqual(len(made.look()), 1)  # the start's
            said = []
            for hour in range(7, 72, 6):
                made.set_calendar(hour / 24)
                said += [line["days"] for line in made.look()]
            self.assertEqual(said, [18, 17])

    def test_a_calendar_that_is_set_back(self):
        """What was wrong is taken back by saying nothing, and the day comes again."""
        with stage(days=60) as made:
            made.set_calendar(59.5)
            self.check_line(made.look(), "warning", 0)
            made.set_calendar(-400)
            self.assertEqual(made.look(), [])
            made.set_calendar(40.5)
            self.check_line(made.look(), "warning", 19)

    def test_a_reload(self):
        with stage(days=60) as made:
            made.set_calendar(0.5)
            made.renew(days=5)
            self.check_line(made.reload(), "warning", 4)
            self.check_line(made.reload(), "warning", 4)
            made.renew(days=60)
            self.assertEqual(made.reload(), [])
            made.set_calendar(20)
            self.assertEqual(made.look(), [])


class AtTheStart(unittest.TestCase):
    def test_every_kind(self):
        """A chain, a client CA, a list and a response that end within a day or have ended."""
        with tempfile.TemporaryDirectory() as folder, Pki() as pki:
            authority = Authority(folder, "ends-soon")
            crl = authority.revocation_list(ended=True)
            certificate, key = pki.issue("served", ["served.test"], days=1)
            response = pki.age_ocsp(pki.ocsp("served"))
            chain = pathlib.Path(certificate)
            chain.write_bytes(chain.read_bytes() + pathlib.Path(authority.certificate).read_bytes())
            options = (
                "--client-verify", "optional", "--client-ca", authority.certificate, "--crlfile", crl,
                "--ocsp-file", response,
            )  # fmt: skip
            with Server(*options, "--log-format", "json", cert=certificate, key=key) as server:
                server.stop()
            lines = expiry_lines(server.stderr.lines)
            status, output, errors = run_certpostd(
                "--test-config", "--log-format", "json", "--cert", certificate, "--key", key, *map(str, options)
            )
        self.assertEqual((status, output), (0, "The configuration is good.\n"))
        tested = expiry_lines(errors.splitlines())
        found = [(line["kind"], line["position"], line["name"], line["level"]) for line in lines]
        self.assertEqual(
            found,
            [
                ("ocsp_response", 1, "served.test", "error"),
                ("crl", 1, "CN=ends-soon", "error"),
                ("server_certificate", 1, "served.test", "warning"),
                ("chain_certificate", 2, "CN=ends-soon", "warning"),
                ("client_ca", 1, "CN=ends-soon", "warning"),
            ],
        )
        for line in (*lines, *tested):
            del line["time"]
            self.assertLessEqual(line.pop("days"), 2)  # a second may have passed since they were made
        self.assertEqual(tested, lines)

    def test_nothing_to_say(self):
        arguments = ("--cert", certs.path("server.crt"), "--key", certs.path("server.key"))
        self.assertEqual(run_certpostd("--test-config", *arguments), (0, "The configuration is good.\n", ""))

    def test_a_name_cannot_lead_astray(self):
        """In text format, with all that is unsafe escaped, on one line."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder, "odd")
            certificate, key = authority.issue("odd", subject="/CN=a\u202eb \"c\"\nd")
            with Server(cert=certificate, key=key) as server:
                server.wait_log(r'warning validity ends soon kind=server_certificate file=\S+ position=1 name="CN=.*'
                                r'\\xe2.*" not_after=\S+ days=[12]$')


if __name__ == "__main__":
    unittest.main()
