"""Chromium without a screen, driven through its chromedriver (W3C WebDriver, plain HTTP): a page as
a person sees it. The standard library only.

Debian's packages are chromium and chromium-driver; without them the test is skipped, loudly.
"""

import base64
import http.client
import json
import tempfile
import urllib.parse

import processes

PATIENCE_S = 2 * processes.DEADLINE_S
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, section 12.1


def need_chromium():
    """The paths of chromedriver and chromium, or a skipped test."""
    return processes.need_program("chromedriver"), processes.need_program("chromium")


class CannotRun(Exception):
    """Chromium did not start."""


class Browser:
    """One Chromium with one page. Use it in a `with`, before anything else: where Chromium is not installed
    or does not start (it needs /proc, /dev/shm and more), the test ends as skipped."""

    def __init__(self, width=1280, height=900, java_script=True):
        driver, chromium = need_chromium()
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver = processes.Process([driver, "--port=0"], name="chromedriver")
        self._session = ""
        try:
            self._port = int(self._driver.stdout.wait_line(r".*started successfully on port (\d+)\.?").group(1))
            self._begin(chromium, java_script)
            self.resize(width, height)
        except CannotRun as failure:
            self._end()
            processes.skip(f"Chromium does not run here: {failure}")
        except BaseException:
            self._end()
            raise

    def _begin(self, chromium, java_script):
        options = {
            "binary": chromium,
            "args": [
                # A container and a chroot lack what Chromium's own sandbox needs, and root may not have it.
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--hide-scrollbars", "--force-color-profile=srgb", f"--user-data-dir={self._folder.name}",
            ],
            "perfLoggingPrefs": {"enableNetwork": True, "enablePage": False},
        }  # fmt: skip
        if not java_script:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        try:
            started = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except AssertionError as failure:
            raise CannotRun(failure) from failure
        self._session = "/session/" + started["sessionId"]

    def _ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, self._session + path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {value}")
        return value

    def _end(self):
        try:
            if self._session:
                self._ask("DELETE", "")
        finally:
            self._driver.kill()
            self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def devtools(self, command, **parameters):
        """A command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width, height, is_phone=False):
        """The size of the window in CSS pixels."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=2 if is_phone else 1, mobile=is_phone,
        )  # fmt: skip

    def prefer(self, scheme):
        """What the person has set in the system: "light" or "dark"."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value that the body of a JavaScript function returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, condition, what, timeout_s=None):
        """Waits until an expression of JavaScript is true; the page itself looks at each of its changes."""
        script = """
            const [condition, done] = [new Function("return " + arguments[0]), arguments[2]];
            const look = () => { if (condition()) { watcher.disconnect(); clearTimeout(timer); done(true); } };
            const watcher = new MutationObserver(look);
            const timer = setTimeout(() => { watcher.disconnect(); done(false); }, arguments[1]);
            watcher.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
            look();"""
        limit_ms = int(1000 * (timeout_s or processes.DEADLINE_S))
        self._ask("POST", "/timeouts", {"script": limit_ms + 5000})
        if not self._ask("POST", "/execute/async", {"script": script, "args": [condition, limit_ms]}):
            raise AssertionError(f"waiting for {what}: time is up; the page says:\n{self.text()}")

    def click(self, selector):
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/click", {})

    def type(self, selector, text):
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def text(self, selector="body"):
        """What a person can read there."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def complaints(self):
        """What the console has got since the last time: errors, refused requests, violated policies."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def hosts_asked(self):
        """HOST:PORT of every request since the last time, whatever asked for it."""
        hosts = set()
        for entry in self._ask("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = urllib.parse.urlsplit(message["params"]["request"]["url"])
                if url.scheme not in ("data", "about", "chrome"):
                    hosts.add(url.netloc)
        return hosts

    def screenshot(self, path):
        image = self.devtools("Page.captureScreenshot", format="png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))
