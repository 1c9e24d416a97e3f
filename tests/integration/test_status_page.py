"""The status page in Chromium: it shows a live server, on desktop and phone, light and dark; names of
peers stay text; it says when the server drains, fails or is gone; and it asks nobody else for anything.

One case alone: ctest --preset dev -R 'integration.status_page.live_numbers'
"""

import pathlib
import signal
import tempfile
import unittest

import admin
import authority
import browser
import certpost1
import certpost1_peer
import tls_peers
from certpost_server import Server

HOSTILE = '</script><img src=x onerror="document.title=1"><script>document.title=1</script>'
LIST = "#connection-rows tr"


class StatusPage(unittest.TestCase):
    """What a person sees."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = str(self.folder / "messages.db")

    def _server(self, *options):
        return Server("--admin", "127.0.0.1:0", "--store", self.store, "--name", "post", *options)

    def _assert_quiet(self, page, at):
        self.assertEqual(page.complaints(), [])
        self.assertEqual(page.hosts_asked(), {at})

    def _knock(self, port):
        """A client that speaks no TLS, and is refused."""
        connection = tls_peers.tcp_connect(port)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        tls_peers.raw_receive_all(connection)
        connection.close()

    def test_live_numbers(self):
        """Connections come, send and go while the page is open; so do refusals."""
        with browser.Browser() as page, self._server() as server:
            at = admin.address(server)
            page.open(f"http://{at}/")
            page.wait_for("document.querySelector('#pill').textContent === 'Ready'", "a ready server")
            self.assertIn("Nobody is connected.", page.text("#connections"))
            sender = certpost1_peer.Sender(b"orders")
            sender.open(server.port)
            sender.send_all([b"x" * 1000] * 7)
            self._knock(server.port)
            page.wait_for("document.querySelector('#connection-rows .c-messages')?.textContent === '7'", "its messages")
            row = page.text(LIST)
            for expected in ("orders", "certpost/1", "1.3", "open", "6.8 KiB"):
                self.assertIn(expected, row)
            self.assertIn("messages.db", page.text("#store"))
            page.wait_for("document.querySelectorAll('#refusal-rows tr').length === 1", "the refusal")
            self.assertIn("plain HTTP", page.text("#refusal-rows"))
            sender.leave()
            page.wait_for(f"document.querySelectorAll('{LIST}').length === 0", "an empty list")
            self._assert_quiet(page, at)

    def test_filter_and_order(self):
        with browser.Browser() as page, self._server() as server:
            senders = [certpost1_peer.Sender(f"stream {number}".encode()) for number in range(3)]
            for number, sender in enumerate(senders):
                sender.open(server.port)
                sender.send_all([b"x"] * (number + 1))
            page.open(f"http://{admin.address(server)}/")
            page.wait_for(f"document.querySelectorAll('{LIST}').length === 3", "three connections")
            streams = "return Array.from(document.querySelectorAll('#connection-rows .c-stream'), (n) => n.textContent)"
            page.click(".c-messages button")
            self.assertEqual(page.run(streams), ["stream 2", "stream 1", "stream 0"])
            page.click(".c-messages button")
            self.assertEqual(page.run(streams), ["stream 0", "stream 1", "stream 2"])
            self.assertEqual(page.run("return document.querySelector('th.c-messages').ariaSort"), "ascending")
            page.type("#filter", "STREAM 1")
            self.assertEqual(page.run(streams), ["stream 1"])
            for sender in senders:
                sender.leave()

    def test_draining_and_gone(self):
        """A banner says so; what was shown last stays."""
        with browser.Browser() as page, self._server() as server:
            at = admin.address(server)
            peer = tls_peers.TlsPeer(server.port)
            page.open(f"http://{at}/")
            page.wait_for(f"document.querySelectorAll('{LIST}').length === 1", "the connection")
            self.assertTrue(page.run("return document.querySelector('#banner').hidden"))
            server.send_signal(signal.SIGTERM)
            page.wait_for("document.querySelector('#pill').textContent === 'Draining'", "draining")
            self.assertIn("takes no new connections", page.text("#banner"))
            server.kill()
            page.wait_for("document.querySelector('#pill').textContent === 'No answer'", "the end")
            self.assertIn("has not answered since", page.text("#banner"))
            self.assertFalse(page.run("return document.querySelector('#main').hidden"))
            self.assertEqual(page.run("return document.title"), "No answer – certpostd post")
            peer.socket.close()

    def test_certificates_are_marked_as_the_server_sees_them(self):
        """A CA that lasts a day more is near its end; the list, which is made anew every week, is not."""
        ca = authority.Authority(self.folder, "clients")
        with browser.Browser() as page, self._server("--client-ca", str(ca.certificate), "--crlfile", ca.revocation_list(days=6)) as server:
            page.open(f"http://{admin.address(server)}/")
            page.wait_for("document.querySelector('#certificates dt')", "the certificates")
            marks = dict(page.run("""return Array.from(document.querySelectorAll('#certificates dt'),
                (node) => [node.title, node.nextSibling.firstChild.className])"""))
            banner = page.text("#banner")
        self.assertEqual(marks["CN=clients (client ca, ca.crt)"], "mark warn")
        self.assertEqual(marks["CN=clients (crl, ca.crl)"], "")
        self.assertRegex(banner, r"^The validity of CN=clients ends in (1 day|2 days)\.$")

    def test_hostile_names_stay_text(self):
        ca = authority.Authority(self.folder, "clients")
        identity = "URI:urn:x:<script>document.title=1</script>"
        context = tls_peers.client_context(alpn=[certpost1.ALPN])
        context.load_cert_chain(*ca.issue("client", alternative=identity))
        verify = ("--client-ca", str(ca.certificate), "--client-verify", "require")
        with browser.Browser() as page, self._server(*verify) as server:
            at = admin.address(server)
            sender = certpost1.Client(HOSTILE.encode())
            stream = certpost1_peer.open_tls(server.port, context=context)
            sender.connect(stream)
            page.open(f"http://{at}/")
            page.wait_for(f"document.querySelectorAll('{LIST}').length === 1", "the connection")
            row = page.text(LIST)
            self.assertIn(HOSTILE, row)
            self.assertIn("uri:urn:x:<script>document.title=1</script>", row)
            self.assertEqual(page.run("return document.querySelectorAll('main script, main img').length"), 0)
            self.assertEqual(page.run("return document.title"), "Ready – certpostd post")
            stream.close()
            self._assert_quiet(page, at)
            # What somebody might get into the page all the same, its policy forbids to run.
            page.run(
                """const script = document.createElement("script");
                script.textContent = "document.body.dataset.ran = 1";
                document.body.append(script);
                document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='document.body.dataset.ran = 1'>");"""
            )
            self.assertIsNone(page.run("return document.body.dataset.ran || null"))
            self.assertTrue(any("Content Security Policy" in line for line in page.complaints()))

    def test_every_width_light_and_dark(self):
        """Nothing scrolls sideways, with long names in every place. Colours are as the system is set, unless
        the person wants others; text keeps its contrast (WCAG 2, 1.4.3)."""
        contrast = """
            const light = (text) => text.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
                .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
            const ground = (node) => {
                const colour = getComputedStyle(node).backgroundColor;
                return colour === "rgba(0, 0, 0, 0)" ? ground(node.parentElement) : colour;
            };
            const low = [];
            for (const node of document.querySelectorAll("h1, h2, .pill, .facts, dt, dd span, .under, th button, td, button, .mark, .none, a")) {
                if (!node.innerText) continue;
                const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
                const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
                if (ratio < 4.5) low.push(node.className + " " + node.innerText + " " + ratio.toFixed(2));
            }
            return low;"""
        with browser.Browser() as page, self._server() as server:
            sender = certpost1_peer.Sender(b"W" * 255)
            sender.open(server.port)
            self._knock(server.port)
            page.open(f"http://{admin.address(server)}/")
            page.wait_for(f"document.querySelectorAll('{LIST}').length === 1", "the connection")
            for width in (360, 390, 720, 721, 1080, 1920, 1280):
                page.resize(width, 800, is_phone=width < 500)
                self.assertLessEqual(page.run("return document.scrollingElement.scrollWidth"), width)
            ground = "return getComputedStyle(document.body).backgroundColor"
            page.prefer("light")
            light = page.run(ground)
            self.assertEqual(page.run(contrast), [])
            page.prefer("dark")
            dark = page.run(ground)
            self.assertNotEqual(light, dark)
            self.assertEqual(page.run(contrast), [])
            page.click("#theme")
            self.assertEqual(page.run(ground), light)
            page.click("#theme")
            page.prefer("light")
            self.assertEqual(page.run(ground), dark)
            sender.leave()

    def test_without_java_script(self):
        with browser.Browser(java_script=False) as page, self._server() as server:
            at = admin.address(server)
            answer = admin.get(at, "/")
            self.assertIn('<a href="status.json">', answer.text)
            page.open(f"http://{at}/")
            self.assertIn("This page needs JavaScript", page.text())


if __name__ == "__main__":
    unittest.main()
