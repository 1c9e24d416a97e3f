"""Load balancers as docs/operations.md sets them up, in front of real servers.

The configurations are taken from the page. Only addresses, and with them ports, are put in place of
those that it shows: each test has addresses of its own in 127.0.0.0/8.

One case alone: ctest --preset dev -R 'integration.balancer.nginx'
"""

import os
import pathlib
import re
import signal
import socket
import tempfile
import unittest

import admin
import certificates as certs
import certpost_client
import processes
from certpost_server import DEFAULT_REPLY, Server, run_certpostd
from stream_load import own_address
from tls_peers import TlsPeer

OPERATIONS = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"]) / "docs" / "operations.md"
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
PORT = 8080
# All connections of a balancer to 127.0.0.0/8 come from here, as the kernel chooses.
BALANCER = "127.0.0.1"
ENOUGH_DESCRIPTORS = 1024  # HAProxy reserves memory for all that it may have

NGINX_FRAME = """
daemon off;
master_process off;
error_log stderr notice;
pid {folder}/pid;
load_module {module};
events {{}}
"""


def documented(kind):
    """The blocks of a kind in the page's part on load balancers, in its order."""
    part = OPERATIONS.read_text(encoding="utf-8").split("\n## Load balancer\n")[1].split("\n## ")[0]
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", part)


def duration_s(text):
    """15m, 5s, 200ms: as all three programs understand them."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


class Timeouts(unittest.TestCase):
    """By reading: nobody waits for a quarter of an hour here."""

    def test_a_silent_sender_is_not_cut_by_the_balancer(self):
        """certpostd ends who is silent, in words that the sender understands, before a balancer does
        without; who sends a PING now and then is silent for neither."""
        status, said, errors = run_certpostd("--print-config")
        self.assertEqual(status, 0, errors)
        idle_s = duration_s(re.search(r"(?m)^idle-timeout = (\w+)$", said).group(1))
        pattern = r"(?:timeout (?:client|server)|proxy_timeout) (\w+)"
        found = re.findall(pattern, documented("haproxy")[0] + documented("nginx")[0])
        self.assertEqual(len(found), 3)
        for text in found:
            self.assertGreater(duration_s(text), idle_s)


class Balancer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store.db"
        self.front, self.one, self.two = own_address(), own_address(), own_address()
        self.client = own_address()

    def put_in(self, text, places):
        """The page's text with each of its addresses, found once, replaced."""
        for shown, ours in places.items():
            self.assertEqual(text.count(shown), 1, f"{shown!r} in\n{text}")
            text = text.replace(shown, ours)
        self.assertNotRegex(text, r"192\.0\.2\.\d")
        path = self.folder / "balancer.conf"
        path.write_text(text, encoding="utf-8")
        return path

    def haproxy(self, path):
        program = processes.need_program("haproxy")
        return processes.Process([program, "-db", "-f", path], descriptors=ENOUGH_DESCRIPTORS)

    def serve(self, address, *options, port=PORT):
        """A server that is set up as the page says."""
        config = self.folder / "certpostd.conf"
        config.write_text(documented("ini")[0].replace("192.0.2.10", BALANCER), encoding="utf-8")
        return Server("--config", config, "--store", self.store, "--framing", "line", *options,
                      listen=(f"{address}:{port}",))

    def send(self, text):
        """A line of the stream `s`, by certpost/1, through the balancer."""
        result = certpost_client.run(
            "send", "-q", "--cacert", certs.path("ca.crt"), "--servername", "localhost", "--stream", "s",
            "-m", text, f"{self.front}:{PORT}")
        self.assertEqual(result.status, 0, result)

    def check_address(self, server):
        """A client that ends its side at once has its reply, and the log has its address."""
        with TlsPeer(PORT, host=self.front, source=self.client) as peer:
            peer.send_raw(peer.seal(b"from afar\n") + peer.seal_end())
            peer.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(peer.receive_all(), DEFAULT_REPLY + b"\n")
            server.wait_log(rf"connection ended peer={re.escape(peer.address)} reason=closed")

    def check_stored(self, *texts):
        result = certpost_client.run("read", "--stream", "s", "--format", "raw", self.store)
        self.assertEqual(result.output, list(texts))


class HaProxy(Balancer):
    def _is(self, haproxy, name, state):
        return haproxy.stderr.wait_line(rf".*erver certpost/{name} is {state}, reason: (.*)").group(1)

    def test_haproxy_goes_over_to_the_standby(self):
        path = self.put_in(documented("haproxy")[0], {
            "bind :8080": f"bind {self.front}:{PORT}", "192.0.2.11": self.one, "192.0.2.12": self.two})
        with self.serve(self.one, "--log-level", "debug") as first, self.haproxy(path) as haproxy:
            self._is(haproxy, "two", "DOWN")
            self.check_address(first)
            self.send("by the first")
            # Its health checks have been here, and are no news.
            first.wait_log(rf"debug connection ended peer={BALANCER}:\d+ reason=(truncated|reset)")
            said = [line for line in first.stderr.lines if f"info connection ended peer={BALANCER}:" in line]
            self.assertEqual([line for line in said if "reason=closed" not in line], [])
            first.stop()
            self._is(haproxy, "one", "DOWN")
            with self.serve(self.two) as second:
                self._is(haproxy, "two", "UP")
                self.send("by the second")
                self.check_address(second)
                self.check_stored("by the first", "by the second")

    def test_haproxy_asks_whether_the_server_is_ready(self):
        frontend = documented("haproxy")[0].split("\nbackend ")[0]
        # The port of the page, at an address of ours.
        path = self.put_in(frontend + "\n" + documented("haproxy")[1], {
            "bind :8080": f"bind {self.front}:{PORT}", "127.0.0.1:8081": f"{self.one}:8081"})
        with self.haproxy(path) as haproxy:
            self._is(haproxy, "one", "DOWN")
            # A drain takes as long as the test wants.
            options = ("--admin", f"{self.one}:9180", "--drain-timeout", "5m", "--close-timeout", "5m")
            with self.serve(self.one, *options, port=8081) as server:
                self.assertIn("code: 200", self._is(haproxy, "one", "UP"))
                self.send("while it is ready")
                with TlsPeer(PORT, host=self.front, source=self.client) as slow:
                    slow.exchange(b"stays\n", DEFAULT_REPLY + b"\n")
                    server.send_signal(signal.SIGTERM)
                    self.assertIn("code: 503", self._is(haproxy, "one", "DOWN"))
                self.assertEqual(server.wait(), 0)


class Nginx(Balancer):
    def test_nginx_goes_over_to_the_standby(self):
        program = processes.need_program("nginx")
        if not os.path.exists(STREAM_MODULE):
            processes.skip(f"{STREAM_MODULE} is not installed")
        frame = NGINX_FRAME.format(folder=self.folder, module=STREAM_MODULE)
        path = self.put_in(frame + documented("nginx")[0], {
            "listen 8080": f"listen {self.front}:{PORT}", "192.0.2.11": self.one, "192.0.2.12": self.two})
        nginx = processes.Process([program, "-e", "stderr", "-p", self.folder, "-c", path])
        with self.serve(self.one) as first, nginx:
            nginx.stderr.wait_line(r".* using the .* event method")
            self.check_address(first)
            self.send("by the first")
            first.stop()
            with self.serve(self.two) as second:
                self.send("by the second")
                self.check_address(second)
                self.check_stored("by the first", "by the second")


if __name__ == "__main__":
    unittest.main()
