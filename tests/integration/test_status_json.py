"""/status.json of the admin endpoint: who is connected, what was refused, how the store is; valid JSON
whatever peers call themselves.

One case alone: ctest --preset dev -R 'integration.status_json.live_connections'
"""

import contextlib
import json
import pathlib
import signal
import sqlite3
import tempfile
import unittest

import admin
import authority
import certpost1
import certpost1_peer
import processes
import tls_peers
from certpost_server import Server

HOSTILE = '</script><script>document.title="taken"</script>"\\\'&\u202e'


def status_of(at):
    """The document, checked as every one must be."""
    answer = admin.get(at, "/status.json")
    if answer.status != 200 or answer.headers["content-type"] != "application/json":
        raise AssertionError(f"{answer.status} {answer.headers}")
    return json.loads(answer.body.decode("utf-8"))


def wait_for(server, at, condition, what):
    """Asks until the document is as expected; returns it."""
    found = []

    def look():
        found[:] = [status_of(at)]
        return condition(found[0])

    processes.wait_until(server, look, what)
    return found[0]


class StatusJson(unittest.TestCase):
    """What the page is made of."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = str(self.folder / "messages.db")

    def test_an_idle_server(self):
        with Server("--admin", "127.0.0.1:0", "--store", self.store, "--workers", "2", "--name", "post") as server:
            status = status_of(admin.address(server))
        self.assertEqual((status["name"], status["ready"], status["phase"]), ("post", True, "serves"))
        self.assertEqual(status["listeners"], [server.address])
        self.assertEqual(status["pid"], server.pid)
        self.assertEqual(status["store"]["file"], "messages.db")
        self.assertGreater(status["store"]["bytes"], 0)
        self.assertIsNone(status["store"]["failing"])
        self.assertEqual(status["connections"], {"total": 0, "rows": []})
        self.assertEqual([worker["state"] for worker in status["workers"]], ["answered", "answered"])
        self.assertEqual(status["refusals"], [])
        certificate = status["certificates"][0]
        self.assertEqual((certificate["kind"], certificate["file"]), ("server_certificate", "server.crt"))
        self.assertGreater(certificate["days_left"], 0)
        self.assertEqual(status["limits"]["max_connections"], 10000)

    def test_live_connections(self):
        with Server("--admin", "127.0.0.1:0", "--store", self.store, "--workers", "2") as server:
            at = admin.address(server)
            sender = certpost1_peer.Sender(b"orders")
            sender.open(server.port)
            sender.send_all([b"one", b"three"])
            with tls_peers.TlsPeer(server.port) as plain:
                plain.send(b"hello")
                plain.receive(17)
                status = wait_for(server, at, lambda s: len(s["connections"]["rows"]) == 2, "two connections")
                rows = {row["exchange"]: row for row in status["connections"]["rows"]}
                self.assertEqual(rows["plain"]["address"], plain.address)
            one = rows["certpost/1"]
            self.assertEqual((one["stream"], one["identity"]), ("orders", ""))
            self.assertEqual((one["messages"], one["bytes"], one["unacked"]), (2, 8, 0))
            self.assertEqual((one["tls"], one["state"], one["resumed"], one["waits"]), ("TLSv1.3", "open", False, None))
            self.assertTrue(rows["plain"]["stream"].startswith("plain/"))
            counters = status["counters"]
            self.assertEqual((counters["messages"], counters["message_bytes"]), (3, 13))
            self.assertEqual((counters["connections"], counters["acknowledged"]), (2, 3))
            self.assertEqual(sum(status["commit_time"]["counts"]), counters["commits"])
            self.assertEqual(sum(worker["connections"] for worker in status["workers"]), 2)
            sender.leave()
            wait_for(server, at, lambda s: s["connections"]["total"] == 0, "an empty server")

    def test_hostile_names_stay_text(self):
        """An identity and a stream that are markup, quotes and a change of direction."""
        ca = authority.Authority(self.folder, "clients")
        client = ca.issue("client", subject="/CN=x", alternative="URI:urn:x:<script>alert(1)</script>&")
        context = tls_peers.client_context(alpn=[certpost1.ALPN])
        context.load_cert_chain(*client)
        verify = ("--client-ca", str(ca.certificate), "--client-verify", "require")
        with Server("--admin", "127.0.0.1:0", "--store", self.store, *verify) as server:
            at = admin.address(server)
            sender = certpost1.Client(HOSTILE.encode())
            stream = certpost1_peer.open_tls(server.port, context=context)
            sender.connect(stream)
            status = wait_for(server, at, lambda s: s["connections"]["rows"], "a connection")
            row = status["connections"]["rows"][0]
            stream.close()
        self.assertEqual(row["identity"], "uri:urn:x:<script>alert(1)</script>&")
        escaped = HOSTILE.replace("\\", "\\\\").replace("\u202e", "\\xe2\\x80\\xae")
        self.assertEqual(row["stream"], escaped)

    def test_refusals_with_reasons(self):
        with Server("--admin", "127.0.0.1:0", "--framing", "line", "--max-message", "10") as server:
            at = admin.address(server)
            for _ in range(2):
                connection = tls_peers.tcp_connect(server.port)
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                tls_peers.raw_receive_all(connection)
                connection.close()
            with tls_peers.TlsPeer(server.port) as peer:
                peer.send(b"more than ten bytes\n")
                self.assertIn(b"Message refused", peer.receive_all())
            status = wait_for(server, at, lambda s: len(s["refusals"]) == 2, "two refusals")
        message, handshake = status["refusals"]
        self.assertEqual((handshake["reason"], handshake["count"]), ("handshake", 2))
        self.assertIn("HTTP", handshake["detail"])
        self.assertTrue(handshake["address"].startswith("127.0.0.1:"))
        self.assertEqual((message["reason"], message["count"]), ("refused", 1))
        self.assertGreater(message["time_ms"], 1.7e12)

    def test_what_is_refused_behind_a_balancer_is_counted_once(self):
        """The address is known in the handshake only, so two counters of the metrics hear of it."""
        options = ("--proxy-from", "127.0.0.1", "--max-connections-per-address", "1")
        with Server("--admin", "127.0.0.1:0", *options) as server:
            at = admin.address(server)
            header = b"PROXY TCP4 192.0.2.7 192.0.2.1 5001 2\r\n"
            with tls_peers.TlsPeer(server.port, handshake=False) as peer:
                peer.send_raw(header)
                peer.handshake()
                connection = tls_peers.tcp_connect(server.port)
                connection.sendall(header)
                tls_peers.raw_receive_all(connection)
                connection.close()
                status = wait_for(server, at, lambda s: s["refusals"], "a refusal")
        self.assertEqual((len(status["refusals"]), status["refusals"][0]["reason"]), (1, "limit"))
        self.assertEqual(status["counters"]["failures"], 1)

    def test_a_refused_certificate_is_named(self):
        ca = authority.Authority(self.folder, "clients")
        other = authority.Authority(self.folder, "others").issue("client", subject="/CN=nobody we know")
        context = tls_peers.client_context()
        context.load_cert_chain(*other)
        verify = ("--client-ca", str(ca.certificate), "--client-verify", "require")
        with Server("--admin", "127.0.0.1:0", *verify) as server:
            at = admin.address(server)
            peer = tls_peers.TlsPeer(server.port, context=context)
            peer.socket.close()
            status = wait_for(server, at, lambda s: s["refusals"], "a refusal")
        self.assertIn("nobody we know", status["refusals"][0]["identity"])

    def test_a_store_that_fails(self):
        """What somebody causes who forgets a transaction in the sqlite3 shell."""
        with Server("--admin", "127.0.0.1:0", "--store", self.store) as server:
            at = admin.address(server)
            sender = certpost1_peer.Sender(b"orders")
            sender.open(server.port)
            with contextlib.closing(sqlite3.connect(self.store, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                sender.queue(b"m")
                sender.send_next()
                status = wait_for(server, at, lambda s: s["store"]["failing"], "a store that fails")
                database.execute("ROLLBACK")
            self.assertEqual((status["ready"], status["unready_reason"]), (False, "the store has failed"))
            self.assertEqual(status["store"]["failing"], "store_failed")
            self.assertLessEqual(abs(status["time_ms"] - status["store"]["failing_since_ms"]), 60000)
            status = wait_for(server, at, lambda s: s["ready"], "a store that works again")
            self.assertIsNone(status["store"]["failing_since_ms"])
            sender.close()

    def test_many_looks_cost_one_answer(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            times = {status_of(at)["time_ms"] for _ in range(20)}
        self.assertLess(len(times), 10)

    def test_draining(self):
        with Server("--admin", "127.0.0.1:0", "--store", self.store) as server:
            at = admin.address(server)
            peer = tls_peers.TlsPeer(server.port)
            server.send_signal(signal.SIGTERM)
            status = wait_for(server, at, lambda s: s["phase"] == "drains", "draining")
            self.assertEqual((status["ready"], status["unready_reason"]), (False, "the server stops"))
            peer.socket.close()
            self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    unittest.main()
