"""Starting certpostd: what it listens on, what its options say, and every start that must fail.

A failed start is one line on standard error that says what failed, for which file, option or
address, and a status that says whose fault it is.

One case alone: ctest --preset dev -R 'integration.server_start.missing_certificate'
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, PROGRAM, Server, run_certpostd
from tls_peers import TlsPeer

USAGE = 2
OWN_CERTIFICATE = 58
PLAIN_OPTIONS = (
    "listen cert key framing reply print no-print workers max-message tls-min groups ciphersuites "
    "handshake-timeout write-timeout drain-timeout log-level help version"
).split()


def free_port():
    """A port that was free a moment ago; held by nobody, so only for starts that fail before binding."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class StartTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def enterContext(self, context):  # of unittest itself only since Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def pair(self, cert="server.crt", key="server.key"):
        # A path that is missing on purpose must reach certpostd as it is.
        def place(name):
            return name if os.path.isabs(name) else certs.path(name)

        return ["--cert", place(cert), "--key", place(key)]

    def fails(self, status, pattern, *arguments, **options):
        """Runs a start that must fail with this status and one line that matches as a whole."""
        found, output, errors = run_certpostd(*arguments, **options)
        self.assertRegex(errors, rf"\A(?:{pattern})\n\Z")
        self.assertEqual(found, status, errors)
        self.assertNotIn("Server listening", output)
        self.assertNotRegex(errors, "error:[0-9A-F]{8}")
        return errors

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


class Certificate(StartTest):
    """Status 58: the own certificate or key, and the file's name in the line."""

    def bad_pair(self, words, cert="server.crt", key="server.key", named=None, **options):
        named = re.escape(str(named or cert))
        arguments = ["--listen", "127.0.0.1:0", *self.pair(cert, key)]
        self.fails(OWN_CERTIFICATE, rf"certpostd: [^\n]*{named}[^\n]*{words}[^\n]*", *arguments, **options)

    def test_missing_certificate(self):
        path = str(self.folder / "nowhere.crt")
        self.bad_pair("No such file or directory", cert=path)

    def test_missing_key(self):
        path = str(self.folder / "nowhere.key")
        self.bad_pair("No such file or directory", key=path, named=path)

    def _unreadable(self, name):
        path = str(self.folder / name)
        shutil.copy(certs.path(name), path)
        os.chmod(path, 0)
        return path

    # Root may read anything: a server without these rights is what an operator has.
    NO_OVERRIDE = ("dac_override", "dac_read_search")

    def test_unreadable_certificate(self):
        path = self._unreadable("server.crt")
        self.bad_pair("Permission denied", cert=path, without_capabilities=self.NO_OVERRIDE)

    def test_unreadable_key(self):
        path = self._unreadable("server.key")
        self.bad_pair("Permission denied", key=path, named=path, without_capabilities=self.NO_OVERRIDE)

    def test_certificate_is_a_folder(self):
        self.bad_pair("(?i:directory)", cert=str(self.folder))

    def test_empty_certificate(self):
        self.bad_pair("(?i:(empty|no certificate))", cert=self.write("empty.crt", b""))

    def test_empty_key(self):
        path = self.write("empty.key", b"")
        self.bad_pair("(?i:(empty|no (private )?key))", key=path, named=path)

    def test_certificate_that_is_no_pem(self):
        self.bad_pair("(?i:PEM|certificate)", cert=self.write("text.crt", b"Hello, server!\n"))

    def test_key_that_is_no_pem(self):
        path = self.write("text.key", b"Hello, server!\n")
        self.bad_pair("(?i:PEM|key)", key=path, named=path)

    def test_certificate_with_broken_base64(self):
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        self.bad_pair("", cert=self.write("broken.crt", broken))

    def test_key_of_another_certificate(self):
        self.bad_pair("(?i:(match|belong))", key="client.key", named=certs.path("client.key"))

    def test_key_of_another_type(self):
        self.bad_pair("(?i:(match|belong))", key="rsa3072/server.key", named=certs.path("rsa3072/server.key"))

    def test_certificate_and_key_exchanged(self):
        self.bad_pair("", cert="server.key", key="server.crt", named=certs.path("server.key"))

    def test_encrypted_key_does_not_ask(self):
        """A server has nobody to ask for a passphrase: it says so instead of waiting at a terminal."""
        path = str(self.folder / "encrypted.key")
        command = ["openssl", "pkcs8", "-topk8", "-passout", "pass:secret"]
        status, _, errors = tls_peers.processes.run(
            [*command, "-in", certs.path("server.key"), "-out", path]
        )
        self.assertEqual(status, 0, errors)
        self.bad_pair("(?i:(passphrase|password|encrypted))", key=path, named=path)

    def test_hostile_file_name_is_escaped(self):
        path = str(self.folder / "a\nb\x1b[31m.crt")
        found, _, errors = run_certpostd(*self.pair(cert=path))
        self.assertEqual(found, OWN_CERTIFICATE)
        self.assertEqual(errors.count("\n"), 1)
        self.assertIn(r"a\nb\x1b[31m.crt", errors)

    def test_chain_file(self):
        """The certificates after the first are sent as its chain."""
        chain = pathlib.Path(certs.path("server.crt")).read_bytes() + pathlib.Path(certs.path("ca.crt")).read_bytes()
        path = self.write("chain.crt", chain)
        with Server(cert=path) as server:
            with tls_peers.OpenSslClient(server.port, "-showcerts") as client:
                client.write(b"Hello, server!\n")
                client.stdout.wait_bytes(DEFAULT_REPLY)
                client.finish()
                self.assertEqual(client.everything().count("-----BEGIN CERTIFICATE-----"), 2)


class Usage(StartTest):
    """Status 2, and the option in the line."""

    def usage(self, text, *arguments):
        """The line, to the letter."""
        self.fails(USAGE, re.escape(f"certpostd: {text}"), *arguments)

    def value(self, option, value, words):
        self.usage(f"--{option}: {words}", *self.pair(), f"--{option}", value)

    def test_unknown_option_with_a_suggestion(self):
        self.usage("unknown option --lisen; did you mean --listen?", "--lisen", "127.0.0.1:0")

    def test_unknown_option_with_a_suggestion_and_a_value(self):
        self.usage("unknown option --fraiming; did you mean --framing?", "--fraiming=line")

    def test_unknown_option_without_a_suggestion(self):
        self.usage("unknown option --xyzzyxyzzy; see --help", "--xyzzyxyzzy")

    def test_unknown_short_option(self):
        self.usage("unknown option -x; see --help", "-x")

    def test_unknown_option_is_escaped(self):
        self.usage(r"unknown option --\x1b[31m\n; see --help", "--\x1b[31m\n")

    def test_missing_value(self):
        self.usage("option --listen needs a value; see --help", "--listen")

    def test_value_for_a_flag(self):
        self.usage("option --print takes no value", "--print=yes")

    def test_unexpected_word(self):
        self.usage("unexpected word localhost:8080; see --help", *self.pair(), "localhost:8080")

    def test_no_certificate_given(self):
        self.fails(USAGE, "certpostd: --cert and --key[^\n]*required[^\n]*")

    def test_certificate_without_key(self):
        self.fails(USAGE, "certpostd: --key [^\n]*required[^\n]*", "--cert", certs.path("server.crt"))

    def test_key_without_certificate(self):
        self.fails(USAGE, "certpostd: --cert [^\n]*required[^\n]*", "--key", certs.path("server.key"))

    def test_framing_values(self):
        for value in ("", "CHUNK"):
            self.value("framing", value, "the framing is chunk or line")
        self.value("framing", "lines", "the framing is chunk or line; did you mean line?")

    def test_workers_values(self):
        for value in ("", "0", "-1", "1.5", "many", "257", "99999999999999999999"):
            self.value("workers", value, "the number is 1 to 256")

    def test_max_message_values(self):
        for value in ("", "0", "-1", "1XiB", "1 MiB", "99999999999999999999", "1TiB"):
            self.fails(
                USAGE,
                r"certpostd: --max-message: a size is 1 to \d+ bytes, such as 4096, 64KiB or 1MiB",
                *self.pair(),
                "--max-message",
                value,
            )

    def test_tls_min_values(self):
        for value in ("", "1.1", "1.4", "3", "TLSv1.3"):
            self.fails(USAGE, r"certpostd: --tls-min: [^\n]*1\.2 [^\n]*1\.3[^\n]*", *self.pair(), "--tls-min", value)

    def test_log_level_values(self):
        for value in ("", "loud", "INFO"):
            self.value("log-level", value, "the level is error, warning, info or debug")

    def test_duration_values(self):
        for option in ("handshake-timeout", "write-timeout", "drain-timeout"):
            for value in ("", "0", "-1s", "1y", "25h"):
                self.value(option, value, "a duration is 1ms to 86400s, such as 500ms, 10s or 2m")

    def test_listen_values(self):
        for value in ("127.0.0.1:65536", "127.0.0.1:http", "[::1", "[::1]8080", "127.0.0.1:-1"):
            self.value("listen", value, "an address is HOST:PORT or [IPV6]:PORT, with a port of at most 65535")

    def test_reply_values(self):
        self.fails(USAGE, r"certpostd: --reply: a reply has 1 to \d+ bytes", *self.pair(), "--reply", "")
        self.fails(USAGE, r"certpostd: --reply: a reply has 1 to \d+ bytes", *self.pair(), "--reply", "x" * 100000)
        self.value("reply", "two\nlines", "a reply is one line")
        self.value("reply", "Message refused: no", 'a reply that begins with "Message refused: " means a refusal')

    def test_groups_of_which_none_is_known(self):
        self.fails(USAGE, "certpostd: [^\n]*group[^\n]*", "--listen", "127.0.0.1:0", *self.pair(), "--groups", "NoSuch:Neither")

    def test_ciphersuites_of_which_none_is_known(self):
        arguments = ["--listen", "127.0.0.1:0", *self.pair(), "--ciphersuites", "TLS_NO_SUCH"]
        self.fails(USAGE, "certpostd: [^\n]*cipher suite[^\n]*", *arguments)


class Help(StartTest):
    def test_help_names_every_option(self):
        status, output, errors = run_certpostd("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(output.startswith("Usage: certpostd "), output)
        found = set(re.findall(r"(?m)^ +(?:-\w, )?--([a-z-]+)", output))
        self.assertEqual(set(PLAIN_OPTIONS) - found, set())
        table = pathlib.Path(certs.SOURCE_DIR) / "src" / "server" / "config_options.c"
        known = set(re.findall(r'\.name = "([a-z-]+)"', table.read_text(encoding="utf-8")))
        self.assertGreater(len(known), len(PLAIN_OPTIONS))
        self.assertEqual(found, known)

    def test_help_shows_the_defaults(self):
        output = run_certpostd("--help")[1]
        for default in ("127.0.0.1:8080", "Message received!", "1MiB", "chunk", "1.3", "info"):
            self.assertIn(f"(default: {default})", " ".join(output.split()))

    def test_help_fits_the_terminal(self):
        output = run_certpostd("--help")[1]
        self.assertEqual([line for line in output.splitlines() if len(line) > 80], [])

    def test_version(self):
        expected = re.search(
            r"VERSION (\d+\.\d+\.\d+)",
            (pathlib.Path(certs.SOURCE_DIR) / "CMakeLists.txt").read_text(encoding="utf-8").partition("project(")[2],
        ).group(1)
        status, output, errors = run_certpostd("--version")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(output, f"certpostd {expected}\n")
        self.assertEqual(run_certpostd("-V"), (status, output, errors))


class Signals(StartTest):
    def test_reload_while_starting(self):
        """SIGHUP before the server can serve neither ends it nor is lost: it reloads once it serves. Its
        configuration comes out of a pipe, which holds the start up, and which a reload cannot read."""
        reading, writing = os.pipe()
        arguments = [PROGRAM, "--config", f"/proc/self/fd/{reading}", "--listen", "127.0.0.1:0"]
        arguments += ["--cert", certs.path("server.crt"), "--key", certs.path("server.key")]
        hangup = 1 << signal.SIGHUP - 1
        with open(writing, "wb") as config, processes.Process(arguments, passed=(reading,)) as server:
            os.close(reading)
            processes.wait_until(
                server, lambda: int(processes.status_fields(server.pid)["SigBlk"], 16) & hangup, "a held SIGHUP"
            )
            server.send_signal(signal.SIGHUP)
            config.write(b"reply = Out of a pipe\n")
            config.close()
            port = int(server.stdout.wait_line(r"Server listening on .*:(\d+)").group(1))
            server.stderr.wait_line(".* error reload failed, nothing has changed reason=.*cannot be read again.*")
            with TlsPeer(port) as client:
                client.exchange(b"Hello, server!", b"Out of a pipe")
                client.finish()
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)


class Listening(StartTest):
    def exchange(self, port, host="127.0.0.1", name="localhost"):
        with TlsPeer(port, host=host, server_name=name) as client:
            client.exchange(b"Hello, server!", DEFAULT_REPLY)
            client.finish()
            return client.address

    def need_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as failure:
            tls_peers.processes.skip(f"no IPv6 on this machine: {failure}")

    def test_listening_on_port_zero_says_the_real_port(self):
        with Server() as server:
            self.assertRegex(server.address, r"^127\.0\.0\.1:[1-9]\d*$")
            self.exchange(server.port)

    def test_listening_on_ipv6(self):
        self.need_ipv6()
        with Server(listen=("[::1]:0",)) as server:
            self.assertRegex(server.address, r"^\[::1\]:[1-9]\d*$")
            address = self.exchange(server.port, host="::1", name="::1")
            server.wait_line(re.escape(f"Connected by {address}"))

    def test_listening_on_several_addresses(self):
        self.need_ipv6()
        with Server(listen=("127.0.0.1:0", "127.0.0.2:0", "[::1]:0"), ) as server:
            hosts = [address.rpartition(":")[0] for address in server.addresses]
            self.assertEqual(hosts, ["127.0.0.1", "127.0.0.2", "[::1]"])
            for address in server.addresses:
                host, _, port = address.rpartition(":")
                self.exchange(int(port), host=host.strip("[]"))

    def test_listening_on_a_name(self):
        processes.need_localhost()
        with Server(listen=("localhost:0",)) as server:
            self.assertRegex(server.address, r"^(127\.0\.0\.1|\[::1\]):[1-9]\d*$")
            self.exchange(server.port, host=server.address.rpartition(":")[0].strip("[]"))

    def test_listening_on_a_given_port(self):
        port = free_port()
        with Server(listen=(f"127.0.0.1:{port}",)) as server:
            self.assertEqual(server.address, f"127.0.0.1:{port}")
            self.exchange(port)

    def test_listening_again_at_once(self):
        """Connections of the old server that the kernel still remembers do not keep the new one out."""
        with Server() as first:
            port = first.port
            client = TlsPeer(port)
            client.exchange(b"before", DEFAULT_REPLY)
            first.send_signal(15)
            client.receive_all()
            client.socket.close()
            self.assertEqual(first.wait(), 0)
            with Server(listen=(f"127.0.0.1:{port}",)):
                self.exchange(port)

    def busy(self, port):
        address = f"127.0.0.1:{port}"
        arguments = ["--listen", address, *self.pair()]
        found, output, errors = run_certpostd(*arguments)
        self.assertRegex(errors, rf"\Acertpostd: [^\n]*{re.escape(address)}[^\n]*\n\Z")
        self.assertRegex(errors, "(?i)in use")
        self.assertNotIn(found, (0, USAGE))
        self.assertEqual(output, "")

    def test_busy_port(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.busy(other.getsockname()[1])

    def test_busy_port_of_another_certpostd(self):
        """Two servers that share a port without knowing would each get half of the clients."""
        with Server() as first:
            self.busy(first.port)
            self.exchange(first.port)

    def test_busy_second_listener_serves_nobody(self):
        """All listeners or none: a server that is half there is not announced."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            found, output, errors = run_certpostd(
                "--listen", "127.0.0.1:0", "--listen", f"127.0.0.1:{port}", *self.pair()
            )
            self.assertNotEqual(found, 0)
            self.assertIn(f"127.0.0.1:{port}", errors)
            self.assertEqual(output, "")

    def test_address_of_another_machine(self):
        found, _, errors = run_certpostd("--listen", "192.0.2.1:0", *self.pair())
        self.assertNotEqual(found, 0)
        self.assertRegex(errors, r"\Acertpostd: [^\n]*192\.0\.2\.1:0[^\n]*\n\Z")

    def test_name_that_does_not_exist(self):
        found, _, errors = run_certpostd("--listen", "no-such-host.invalid:0", *self.pair())
        self.assertNotEqual(found, 0)
        self.assertRegex(errors, r"\Acertpostd: [^\n]*no-such-host\.invalid[^\n]*\n\Z")

    def test_output_is_closed_at_start(self):
        """A server that cannot say where it listens does not listen."""
        command = 'exec "$@" >&-'
        arguments = ["sh", "-c", command, "sh", PROGRAM, "--listen", "127.0.0.1:0", *self.pair()]
        status, _, errors = tls_peers.processes.run(arguments)
        self.assertNotEqual(status, 0)
        self.assertRegex(errors, r"certpostd: [^\n]*standard output[^\n]*\n\Z")

    def test_output_is_full_at_start(self):
        """Nobody reads: the start ends in words, instead of waiting for a reader for ever."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, bytes(4096)):
                pass
        os.set_blocking(writer, True)
        command = f'exec "$@" >&{writer}'
        arguments = ["sh", "-c", command, "sh", PROGRAM, "--listen", "127.0.0.1:0", *self.pair()]
        found = subprocess.run(
            arguments, capture_output=True, text=True, pass_fds=(writer,), timeout=60, check=False
        )
        os.close(reader)
        os.close(writer)
        self.assertEqual(found.returncode, 74)
        self.assertRegex(found.stderr, r"certpostd: nobody reads standard output\n\Z")

    def test_logs_have_time_level_and_message(self):
        with Server("--log-level", "debug") as server:
            self.exchange(server.port)
            server.stop()
            for line in server.stderr.lines:
                self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (error|warning|info|debug) \S.*$")

    def test_log_level_error_is_silent_when_all_is_well(self):
        with Server("--log-level", "error") as server:
            self.exchange(server.port)
            server.stop()
            self.assertEqual(server.stderr.lines, [])
