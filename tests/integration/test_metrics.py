"""What /metrics counts is what happened, and docs/metrics.md says what it means.

One case alone: ctest --preset dev -R 'integration.metrics.counters_are_what_happened'
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import ssl
import tempfile
import unittest

import admin
import certificates as certs
import certpost1
import processes
import tls_peers
from certpost1_peer import Sender, StoreFile, open_tls
from certpost_server import DEFAULT_REPLY, Server
from pki import Pki, openssl
from small_disk import SmallDisk
from tls_peers import TlsPeer

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
MAX_MESSAGE = 1000
OUTCOME = "connection ended"

# What goes on by itself while a server runs, or says how it stands and not what happened.
APART = re.compile(r"certpost_(build_info|ready|start_time|workers|store_bytes|store_log_bytes|.*_limit|.*_seconds)")


def counted(samples):
    """What has happened, of all samples: the counters that are not zero."""
    return {name: int(value) for name, value in samples.items() if value and not APART.match(name)}


class Scene(unittest.TestCase):
    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)

    def serve(self, *options, **process):
        return Server("--admin", "127.0.0.1:0", "--store", self.store.path, *options, **process)

    @staticmethod
    def wait_ends(server, count):
        """The line of each connection's end comes after it was counted."""
        for _ in range(count):
            server.wait_log(OUTCOME)


class Counters(Scene):
    """One server with two workers, and peers of all kinds; `self.expected` is what they come to."""

    def _count(self, name, number=1):
        full = f"certpost_{name}"
        self.expected[full] = self.expected.get(full, 0) + number

    def _connection(self, reason, number=1):
        self.ended += number
        self._count("connections_opened_total", number)
        self._count(f'connections_closed_total{{reason="{reason}"}}', number)

    def _failed(self, why, number=1, reason="handshake"):
        self._connection(reason, number)
        self._count(f'handshakes_failed_total{{reason="{why}"}}', number)

    def _served(self, reason="closed", version="TLSv1.3", resumed="no"):
        self._connection(reason)
        self._count(f'handshakes_total{{version="{version}",resumed="{resumed}"}}')

    def _messages(self, exchange, count, size, acknowledgements):
        label = f'{{exchange="{exchange}"}}'
        self._count(f"messages_received_total{label}", count)
        self._count(f"message_bytes_received_total{label}", count * size)
        self._count(f"messages_acknowledged_total{label}", count)
        self._count(f"acknowledgements_sent_total{label}", acknowledgements)

    def _plain(self, port):
        for _ in range(6):
            with TlsPeer(port) as peer:
                for number in range(3):
                    peer.exchange(b"message %d\n" % number, DEFAULT_REPLY + b"\n")
                peer.finish()
            self._served()
            self._messages("plain", 3, 9, 3)

    def _certified(self, port):
        """One message after the other, so that each has an ACK of its own."""
        for number in range(4):
            with Sender(b"stream %d" % number, seq=0) as sender:
                sender.open(port)
                for _ in range(5):
                    sender.send_all([b"abc"])
                sender.leave()
            self._served()
            self._messages("certpost/1", 5, 3, 5)

    def _resumed(self, port):
        context = tls_peers.client_context(alpn=[certpost1.ALPN])
        session = None
        for number in range(2):
            with open_tls(port, context=context, session=session) as stream:
                client = certpost1.Client(b"resumed", seq=None)
                client.connect(stream)
                session = stream.session
                client.bye()
            self._served(resumed="yes" if number else "no")

    def _not_tls(self, port):
        for _ in range(2):
            with tls_peers.tcp_connect(port) as raw:
                raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
                tls_peers.raw_receive_all(raw)
        self._failed("not_tls", 2)

    def _nothing_in_common(self, port):
        for _ in range(3):
            with self.assertRaises(ssl.SSLError):
                TlsPeer(port, tls_peers.client_context(alpn=["h2"]))
        self._failed("no_application_protocol", 3)
        with self.assertRaises(ssl.SSLError):
            TlsPeer(port, tls_peers.client_context(maximum=ssl.TLSVersion.TLSv1_2))
        self._failed("tls_version")
        with self.assertRaises(ssl.SSLError):
            TlsPeer(port, tls_peers.client_context(ca="unknown-ca.crt"))
        self._failed("refused_by_peer")

    def _refused_certificates(self, port):
        for name, why in (("bad-client-expired", "certificate_expired"),
                          ("bad-client-unknown-ca", "certificate_unknown_ca"),
                          ("client-revoked", "certificate_revoked"),
                          ("bad-client-wrong-eku", "certificate"),
                          ("client", "certificate_not_allowed")):
            context = tls_peers.client_context()
            context.load_cert_chain(certs.path(f"{name}.crt"), certs.path(f"{name}.key"))
            with TlsPeer(port, context) as peer, self.assertRaises(ssl.SSLError):
                peer.receive_all()
            self._failed(why)

    def _vanished(self, port):
        for _ in range(2):
            tls_peers.tcp_connect(port).close()
        self._failed("truncated", 2, "truncated")
        tls_peers.reset(tls_peers.tcp_connect(port))
        self._failed("reset", 1, "reset")
        with TlsPeer(port) as peer:
            peer.exchange(b"one\n", DEFAULT_REPLY + b"\n")
            peer.vanish()
        self._served("truncated")
        self._messages("plain", 1, 3, 1)

    def _refused_messages(self, port):
        with TlsPeer(port) as peer:
            peer.send(b"x" * (MAX_MESSAGE + 1) + b"\n")
            self.assertIn(b"Message refused: ", peer.receive_all())
            peer.finish()
        self._served()
        with Sender(b"too large", seq=0) as sender:
            sender.open(port)
            sender.frames.send(certpost1.encode(certpost1.MESSAGE, b"x" * (MAX_MESSAGE + 1)))
            sender.hear_end()
        self._served()
        self._count('refusals_total{code="too_large"}', 2)
        with Sender(b"twice", seq=0) as older, Sender(b"twice", seq=0) as newer:
            older.open(port)
            newer.open(port)
            older.hear_end()
            newer.leave()
        self._served()
        self._served()
        self._count('refusals_total{code="superseded"}')
        with Sender(b"wrong", seq=0) as sender:
            sender.open(port)
            sender.frames.send(certpost1.encode_ack(0, bytes(32)))
            sender.hear_end()
        self._served()
        self._count('refusals_total{code="protocol"}')

    def test_counters_are_what_happened(self):
        self.expected, self.ended = {}, 0
        options = ("--workers", "2", "--framing", "line", "--max-message", str(MAX_MESSAGE),
                   "--client-ca", certs.path("ca.crt"), "--client-verify", "optional",
                   "--crlfile", certs.path("ca.crl"), "--allow-uri", "urn:certpost:sensor")
        with self.serve(*options) as server:
            at = admin.address(server)
            self.assertEqual(counted(admin.samples(at)), {})
            for part in (self._plain, self._certified, self._resumed, self._not_tls,
                         self._nothing_in_common, self._refused_certificates, self._vanished,
                         self._refused_messages):
                part(server.port)
            self.wait_ends(server, self.ended)
            found = counted(admin.samples(at))
            # Each message waited for its acknowledgement, so each was a commit.
            stored = sum(value for name, value in self.expected.items() if "messages_received" in name)
            sizes = {name: value for name, value in found.items() if "commit_messages" in name}
            self.assertEqual(sizes["certpost_commit_messages_sum"], stored)
            self.assertEqual(sizes["certpost_commit_messages_count"], stored)
            found = {name: value for name, value in found.items() if name not in sizes}
            self.assertEqual(found, self.expected)


class OtherCounters(Scene):
    """What other parts of the server count."""

    def test_receipts_and_reloads(self):
        with self.serve() as server, Sender(b"stream", seq=0) as sender:
            at = admin.address(server)
            sender.open(server.port)
            sender.send_all([b"message"])
            sender.request_receipt()
            sender.leave()
            found = admin.samples(at)
            self.assertEqual(found['certpost_receipts_total{outcome="ok"}'], 1)
            self.assertEqual(found["certpost_receipt_signing_seconds_count"], 1)
            self.assertGreater(found["certpost_receipt_signing_seconds_sum"], 0)
            self.assertEqual(found["certpost_commit_seconds_count"], 1)
            self.assertGreater(found["certpost_store_bytes"], 0)
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            self.assertEqual(admin.samples(at)['certpost_reloads_total{outcome="ok"}'], 1)

    def test_limits_are_counted(self):
        with self.serve("--workers", "2", "--max-connections", "2", "--max-connections-per-address", "1") as server:
            at = admin.address(server)
            with TlsPeer(server.port) as first, TlsPeer(server.port, source="127.0.0.2") as second:
                with tls_peers.tcp_connect(server.port, source="127.0.0.3"):
                    server.wait_log("all places for connections are taken")
                    found = admin.samples(at)
                    # Each worker that finds no place.
                    self.assertIn(found['certpost_limits_reached_total{limit="max_connections"}'], (1, 2))
                    self.assertEqual(found["certpost_connections"], 2)
                    self.assertEqual(found["certpost_connections_limit"], 2)
                    first.finish()
                    second.finish()
            self.wait_ends(server, 3)
            with TlsPeer(server.port):
                with tls_peers.tcp_connect(server.port) as refused:
                    tls_peers.raw_receive_all(refused)
                server.wait_log("its address has all its places")
                found = admin.samples(at)
                name = 'certpost_limits_reached_total{limit="max_connections_per_address"}'
                self.assertEqual(found[name], 1)


class BackPressure(Scene):
    """A client that does not read its answers is not read from either; both are counted."""

    def test_pauses_are_counted(self):
        reply = "r" * 1000
        with Server("--admin", "127.0.0.1:0", "--no-print", "--framing", "line", "--reply", reply) as server:
            at = admin.address(server)
            with TlsPeer(server.port, receive_buffer_bytes=4096) as peer:
                count = 10000
                peer.send(b"m\n" * count)
                found = admin.wait_sample(at, "certpost_connections_paused", 1)
                self.assertEqual(found['certpost_limits_reached_total{limit="output"}'], 1)
                self.assertEqual(found["certpost_pauses_total"], 1)
                self.assertEqual(found["certpost_paused_seconds_total"], 0)
                peer.send_raw(peer.seal_end())
                self.assertEqual(len(peer.receive_all()), count * (len(reply) + 1))
            self.wait_ends(server, 1)
            found = admin.samples(at)
            self.assertEqual(found["certpost_connections_paused"], 0)
            self.assertGreater(found["certpost_paused_seconds_total"], 0)
            self.assertEqual(found['certpost_messages_acknowledged_total{exchange="plain"}'], count)

    def test_what_is_pending_is_shown(self):
        """While another program locks the store, the writer waits and messages are pending."""
        options = ("--max-pending", "64KiB", "--workers", "1")
        with self.serve(*options) as server, Sender(b"stream", seq=0) as sender:
            at = admin.address(server)
            sender.open(server.port)
            with contextlib.closing(sqlite3.connect(self.store.path, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                for _ in range(3):
                    sender.queue(b"x" * 10000)
                    sender.send_next()
                found = admin.wait_sample(at, "certpost_pending_bytes", 30000)
                self.assertEqual(found["certpost_pending_limit_bytes"], 64 << 20)
                database.execute("ROLLBACK")
            sender.deliver()
            sender.leave()
            self.wait_ends(server, 1)
            self.assertEqual(admin.samples(at)["certpost_pending_bytes"], 0)
            self.assertEqual(admin.samples(at)["certpost_writer_queue_bytes"], 0)


class FullDisk(unittest.TestCase):
    """What is counted of a message that a full disk sends back, and that comes again."""

    def _expect(self, at, **counters):
        found = admin.samples(at)
        for name, value in counters.items():
            labels = '{exchange="certpost/1"}' if name.startswith("messages") else ""
            self.assertEqual(found[f"certpost_{name}{labels}"], value, name)

    def test_counters_after_a_full_disk(self):
        disk = SmallDisk("8m")
        if disk.why_not is not None:
            processes.skip(f"a small file system cannot be mounted: {disk.why_not}")
        self.addCleanup(disk.close)
        ballast = disk.fill(leave_bytes=1 << 20)
        store = StoreFile(disk.folder)
        options = ("--admin", "127.0.0.1:0", "--store", store.path, "--max-message", "2MiB")
        with Server(*options) as server, Sender(b"stream", seq=0) as sender:
            at = admin.address(server)
            sender.open(server.port)
            sender.send_all([b"fits"])
            sender.queue(b"x" * (2 << 20))
            with self.assertRaises(certpost1.Refused) as caught:
                sender.deliver()
            self.assertEqual(caught.exception.code, certpost1.CODES["store_full"])
            sender.close()
            server.wait_log(OUTCOME)
            self._expect(at, messages_received_total=2, commit_messages_sum=1, messages_acknowledged_total=1,
                         pending_bytes=0)
            os.unlink(ballast)
            server.wait_log("the store works again")
            sender.open(server.port)
            sender.deliver()
            sender.leave()
            server.wait_log(OUTCOME)
            self._expect(at, messages_received_total=3, commit_messages_sum=2, messages_acknowledged_total=2,
                         pending_bytes=0)
            self.assertEqual([len(body) for body in store.messages("", "stream")], [4, 2 << 20])


class Expiry(Scene):
    """When certificates end, by kind, file and place in the file."""

    NAME = "certpost_certificate_expiry_seconds"

    @staticmethod
    def _end_s(path):
        return int(ssl.cert_time_to_seconds(openssl("x509", "-in", path, "-noout", "-enddate").split("=")[1].strip()))

    def _ends(self, at):
        samples = admin.samples(at)
        return {name: value for name, value in samples.items() if name.startswith(self.NAME)}

    def test_expiry_follows_a_reload(self):
        with Pki() as pki:
            certificate, key = pki.issue("server", ["localhost"], days=40)
            labels = f'{{kind="server_certificate",file="{certificate}",position="1",name="localhost"}}'
            with self.serve(cert=certificate, key=key) as server:
                at = admin.address(server)
                self.assertEqual(self._ends(at)[self.NAME + labels], self._end_s(certificate))
                pki.issue("server", ["localhost"], days=50)
                server.send_signal(signal.SIGHUP)
                server.wait_log("reloaded")
                self.assertEqual(self._ends(at)[self.NAME + labels], self._end_s(certificate))

    def test_names_are_one_label(self):
        """Of a file, here, with what ends a label or a line."""
        with Pki() as pki:
            certificate, key = pki.issue("server", ["localhost"], days=40)
            odd = certificate + '"} 1\n\\'
            shutil.copy(certificate, odd)
            with self.serve(cert=odd, key=key) as server:
                names = [name for name in self._ends(admin.address(server)) if 'kind="server_certificate"' in name]
            self.assertEqual(len(names), 1)
            self.assertIn(certificate + r'\"} 1\\n\\\\"', names[0])


class Document(Scene):
    """docs/metrics.md has a row for each metric, with its type and labels, and no other row."""

    ROW = re.compile(r"^\| `(certpost_\w+)` \| (\w+) \|([^|]*)\| ", re.MULTILINE)

    def test_the_document_is_the_table(self):
        with self.serve() as server:
            text = admin.get(admin.address(server), "/metrics").text
        types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
        self.assertEqual(sorted(types), sorted(re.findall(r"^# HELP (\S+) .", text, re.MULTILINE)))
        labels = {name: set() for name in types}
        for name, inside in re.findall(r"^(\w+?)(?:_bucket)?\{(.*)\}", text, re.MULTILINE):
            labels[name] |= set(re.findall(r'(\w+)="', inside)) - {"le"}
        document = (SOURCE_DIR / "docs" / "metrics.md").read_text(encoding="utf-8")
        rows = self.ROW.findall(document)
        self.assertEqual([name for name, _, _ in rows], list(types))
        for name, kind, named in rows:
            self.assertEqual(kind, types[name], name)
            self.assertEqual(set(re.findall(r"`(\w+)`", named)), labels[name], name)

    def test_the_alerts_are_rules(self):
        """As promtool reads them, of metrics that are there."""
        program = processes.need_program("promtool")
        document = (SOURCE_DIR / "docs" / "metrics.md").read_text(encoding="utf-8")
        rules = re.search(r"(?s)```yaml\n(groups:.*?)```", document).group(1)
        for name in re.findall(r"certpost_\w+", rules):
            self.assertIn(f"\n| `{name}` |", document)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(rules)
            file.flush()
            status, said, errors = processes.run([program, "check", "rules", file.name])
        self.assertEqual(status, 0, said + errors)
        self.assertIn("SUCCESS: 2 rules found", said + errors)

    def test_every_label_value_is_explained(self):
        with self.serve() as server:
            text = admin.get(admin.address(server), "/metrics").text
        document = (SOURCE_DIR / "docs" / "metrics.md").read_text(encoding="utf-8")
        for value in re.findall(r'(?:reason|limit|code)="([^"]+)"', text):
            self.assertIn(f"`{value}`", document)


if __name__ == "__main__":
    unittest.main()
