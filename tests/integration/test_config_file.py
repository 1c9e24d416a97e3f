"""certpostd's configuration files: sections, listeners, conf.d, --print-config; and what the table of
options says is what the help, the man pages and the server say.

One case alone: ctest --preset dev -R 'integration.config_file.listeners_have_settings_of_their_own'
"""

import os
import pathlib
import re
import signal
import shutil
import socket
import tempfile
import unittest

import certificates as certs
import processes
from certpost_server import DEFAULT_REPLY, Server, run_certpostd
from tls_peers import TlsPeer

MAN = pathlib.Path(certs.SOURCE_DIR) / "man"
PAIR = f"cert = {certs.path('server.crt')}\nkey = {certs.path('server.key')}\n"
FAILED = "reload failed, nothing has changed"
NOBODY = "nobody"
# The other side of `print`; and what only the command line has.
NOT_PRINTED = {"no-print"}
COMMAND_LINE_ONLY = {"config", "test-config", "print-config", "help", "version"}


def help_options():
    """What --help says of each option: its name to (what its value is called, its default)."""
    status, output, errors = run_certpostd("--help")
    assert (status, errors) == (0, ""), errors
    options = {}
    for item in re.split(r"(?m)^  (?:-\w, |    )--(?=[a-z])", output)[1:]:
        text = " ".join(item.split("\n\n")[0].split())
        name, _, rest = text.partition(" ")
        value = re.match(r"(?:[A-Z:]+|FILE\|none|chunk\|line)(?= )", rest)
        default = re.search(r" \(default: ([^)]*)\)$", text)
        options[name] = (value.group(0) if value else None, default.group(1) if default else None)
    return options


def sections_of_page(text):
    """The items of certpostd.conf.5 under KEYS: section to {key: (value, default)}."""
    keys = text.split("\n.Sh KEYS\n")[1].split("\n.Sh ")[0]
    sections = {}
    for part in keys.split("\n.Ss ")[1:]:
        name, _, rest = part.partition("\n")
        items = {}
        for item in rest.split("\n.It Ic ")[1:]:
            key, _, value = item.partition("\n")[0].partition(" No = ")
            default = re.search(r"(?m)^Default: (.*)\.$", item)
            items[key] = (value[3:] if value.startswith("Ar ") else None, default.group(1) if default else None)
        sections[name] = items
    return sections


def values_of(text):
    """A printed configuration: (section, key) to its values, in order, and to where they come from."""
    values, places, section, place = {}, {}, "", None
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith("# "):
            place = line[2:]
        elif line:
            key, _, value = line.partition(" = ")
            values.setdefault((section, key), []).append(value)
            places.setdefault((section, key), []).append(place)
    return values, places


class ConfigCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="certpost-config-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.path = self.folder / "certpostd.conf"

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run_config(self, *arguments):
        """Status, output and errors of certpostd with the file, its folder left out of all words."""
        status, output, errors = run_certpostd("--config", self.path, *arguments)
        return status, output.replace(f"{self.folder}/", ""), errors.replace(f"{self.folder}/", "")

    def refused(self, status, words):
        self.assertEqual(self.run_config("--test-config"), (status, "", f"certpostd: {words}\n"))

    def server(self, *options, listen=0, **arguments):
        """A server whose addresses are those of the file, so many of them."""
        server = Server("--config", str(self.path), *options, listen=(), **arguments)
        for _ in range(listen):
            server.addresses.append(server.wait_line(r"Server listening on (\S+)").group(1))
        return server

    def reload(self, server):
        server.send_signal(signal.SIGHUP)
        return server.wait_log(rf" (?:reloaded|{FAILED}.*)$").group(0)


class Table(unittest.TestCase):
    """One table is the truth for help, for the man pages and for what a server runs with."""

    def test_defaults_of_help_are_in_force(self):
        status, output, errors = run_certpostd("--print-config")
        self.assertEqual((status, errors), (0, ""))
        values, places = values_of(output)
        printed = {key: (value, places[section, key]) for (section, key), value in values.items()}
        for name, (_, default) in help_options().items():
            if name in COMMAND_LINE_ONLY | NOT_PRINTED:
                self.assertNotIn(name, printed)
                continue
            value, place = printed.pop(name, (None, None))
            if value is None:  # nothing is in force, and the words say what that means
                unset = f"# {name} is not set" + (f": {default}" if default else "")
                self.assertIn(f"\n{unset}\n", output)
            elif place == [f"default: {default}"]:
                self.assertIn(name, ("workers", "print", "client-verify"))
            else:
                self.assertEqual((value, place), ([default or "no"], ["default"]), name)
        self.assertEqual(printed, {})

    def test_every_key_is_in_the_page_of_the_file(self):
        page = sections_of_page((MAN / "certpostd.conf.5").read_text(encoding="utf-8"))
        items = {key: item for keys in page.values() for key, item in keys.items()}
        expected = {
            name: (value, default.replace("--", "") if default else None)
            for name, (value, default) in help_options().items()
            if name not in COMMAND_LINE_ONLY
        }
        self.assertGreater(len(expected), 30)
        self.assertEqual(items, expected)

    def test_sections_of_the_page_are_those_of_the_server(self):
        page = sections_of_page((MAN / "certpostd.conf.5").read_text(encoding="utf-8"))
        output = run_certpostd("--print-config")[1]
        found = {}
        for part in re.split(r"(?m)^\[", output)[1:]:
            name, _, rest = part.partition("]\n")
            found[name] = re.findall(r"(?m)^(?:# )?([a-z-]+)(?= = | is not set)", rest)
        self.assertEqual(
            {name: [key for key in keys if key not in NOT_PRINTED] for name, keys in page.items()}, found
        )

    def test_defaults_of_the_other_page_are_the_same(self):
        """certpostd(8) tells defaults in prose; the value itself is in the item all the same."""
        text = (MAN / "certpostd.8").read_text(encoding="utf-8").replace("\\&", "")
        text = text.split("\n.Sh OPTIONS\n")[1].split("\n.Sh ")[0]
        items = dict(item.partition("\n")[::2] for item in text.split("\n.It Fl -")[1:])
        items = {heading.split()[0]: body for heading, body in items.items()}
        values = values_of(run_certpostd("--print-config")[1])
        checked = 0
        for (section, key), (value,) in values[0].items():
            if values[1][section, key] != ["default"] or value == "no":
                continue
            checked += 1
            self.assertIn(value, items[key], key)
        self.assertGreater(checked, 20)

    def test_the_example_of_the_page_is_good(self):
        page = (MAN / "certpostd.conf.5").read_text(encoding="utf-8")
        example = page.split("\n.Sh EXAMPLES\n")[1].split(".Bd -literal -offset indent\n")[1].split(".Ed")[0]
        with tempfile.TemporaryDirectory() as folder:
            for theirs, ours in (
                ("/etc/certpost/server.crt", certs.path("server.crt")),
                ("/etc/certpost/server.key", certs.path("server.key")),
                ("/var/lib/certpost/", f"{folder}/"),
            ):
                self.assertIn(theirs, example)
                example = example.replace(theirs, ours)
            path = pathlib.Path(folder) / "certpostd.conf"
            path.write_text(example, encoding="utf-8")
            self.assertEqual(
                run_certpostd("--config", path, "--test-config"), (0, "The configuration is good.\n", "")
            )
            output = run_certpostd("--config", path, "--print-config")[1]
            self.assertIn("\n[listener balancer]\n", output)


class Files(ConfigCase):
    """What is refused, with status and words; --test-config tells it before a start would."""

    def test_bad_sections(self):
        for text, words in (
            ("[limits\n", "certpostd.conf:1: the section's ] is missing"),
            ("[limits] x\n", "certpostd.conf:1: nothing may follow the section's ]"),
            ("\n[limit]\n", "certpostd.conf:2: unknown section [limit]; did you mean [limits]?"),
            ("[listener]\n", "certpostd.conf:1: a listener has a name: [listener NAME]"),
            ("[listener a]\n[listener a]\n", "certpostd.conf:2: [listener a] is there already in line 1"),
            ("[listener a]\nlisten = x:y\n", "certpostd.conf:2: --listen: an address is HOST:PORT or "
             "[IPV6]:PORT, with a port of at most 65535"),
            ("[limits]\nworkers = 2\n", "certpostd.conf:2: workers belongs in [server], or before all "
             "sections, and not in [limits]"),
            ("[logs]\nlog-lvl = info\n", "certpostd.conf:2: unknown key log-lvl; did you mean log-level?"),
            ("= 1\n", "certpostd.conf:1: there is no key in front of the ="),
            ("print-config = yes\n", "certpostd.conf:1: print-config belongs on the command line"),
        ):
            with self.subTest(text):
                self.write("certpostd.conf", text)
                self.refused(2, words)

    def test_bad_parts(self):
        self.write("certpostd.conf", PAIR + "workers = 1\n")
        part = self.write("conf.d/10-more.conf", "workers = 2\n")
        self.refused(2, "conf.d/10-more.conf:1: workers is set already at certpostd.conf:3")
        part.write_text("wrkers = 2\n", encoding="ascii")
        self.refused(2, "conf.d/10-more.conf:1: unknown key wrkers; did you mean workers?")
        part.unlink()
        part.mkdir()
        self.refused(74, "cannot read configuration conf.d/10-more.conf: Is a directory")
        part.rmdir()
        part.parent.rmdir()
        part.parent.write_text("", encoding="ascii")
        self.refused(74, "cannot read configuration conf.d: Not a directory")

    def test_control_characters_in_a_name_are_escaped(self):
        self.write("certpostd.conf", PAIR)
        self.write("conf.d/\x1b[2J.conf", "oops\n")
        self.refused(2, "conf.d/\\x1b[2J.conf:1: a line is `key = value`")

    def test_parts_are_read_in_the_order_of_bytes(self):
        self.write("certpostd.conf", "[clients]\nallow-dns = main\n")
        for name in ("b", "Z", "9", "10"):
            self.write(f"conf.d/{name}.conf", f"allow-dns = {name}\n")
        for name in ("conf.d/.x.conf", "conf.d/x.conf~", "conf.d/x"):
            self.write(name, "nonsense\n")
        status, output, _ = self.run_config("--print-config", "--client-ca", "x")
        self.assertEqual(status, 0)
        values, places = values_of(output)
        self.assertEqual(values["clients", "allow-dns"], ["main", "10", "9", "Z", "b"])
        self.assertEqual(places["clients", "allow-dns"][:2], ["certpostd.conf:2", "conf.d/10.conf:1"])


class PrintConfig(ConfigCase):
    TEXT = (
        PAIR + "reply = so # be = it\n[time]\nidle-timeout = 90s\n[server]\nlisten = 127.0.0.1:0\n"
        "[listener lines]\nlisten = 127.0.0.1:0\nframing = line\nproxy-from = 10.0.0.0/8\n"
    )

    def test_a_file_of_it_says_the_same(self):
        self.write("certpostd.conf", self.TEXT)
        self.write("conf.d/1.conf", "[messages]\nmax-message = 64K\n")
        status, first, errors = self.run_config("--print-config", "--no-print", "--workers", "3")
        self.assertEqual((status, errors), (0, ""))
        values, places = values_of(first)
        self.assertEqual(places["server", "workers"], ["command line"])
        self.assertEqual(places["messages", "reply"], ["certpostd.conf:3"])
        self.assertEqual(places["messages", "max-message"], ["conf.d/1.conf:2"])
        (self.folder / "conf.d" / "1.conf").unlink()
        self.write("certpostd.conf", first)
        status, second, errors = self.run_config("--print-config")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(values_of(second)[0], values)
        self.assertEqual(self.run_config("--test-config"), (0, "The configuration is good.\n", ""))

    def test_together_with_test_config(self):
        self.write("certpostd.conf", self.TEXT)
        status, output, errors = self.run_config("--print-config", "--test-config")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(output.startswith("# The configuration is good.\n"), output)
        self.write("certpostd.conf", output)
        self.assertEqual(self.run_config("--test-config")[0], 0)
        self.write("certpostd.conf", self.TEXT.replace("server.key", "nowhere.key"))
        status, output, errors = self.run_config("--print-config", "--test-config")
        self.assertEqual((status, output), (58, ""))
        self.assertIn("nowhere.key", errors)
        self.assertEqual(self.run_config("--print-config")[0], 0)

    def test_a_value_that_no_file_can_have(self):
        self.write("certpostd.conf", self.TEXT)
        status, output, errors = self.run_config("--print-config", "--store", "a\nworkers = 9")
        self.assertEqual((status, output), (2, ""))
        self.assertIn("--store: a configuration file cannot have this value", errors)


class Listeners(ConfigCase):
    TEXT = (
        "[listener chunks]\nlisten = 127.0.0.1:0\n[listener lines]\nlisten = 127.0.0.1:0\n"
        "framing = line\n"
    )

    def talk(self, server, index, reply, header=b""):
        """One exchange at a listener; how the server saw it is in the log line that is returned."""
        port = int(server.addresses[index].rpartition(":")[2])
        with TlsPeer(port, handshake=False) as peer:
            if header:
                peer.send_raw(header)
            peer.handshake()
            peer.exchange(b"hello\n", reply)
            peer.finish()
        return server.wait_log("connection ended").group(0)

    def test_listeners_have_settings_of_their_own(self):
        self.write("certpostd.conf", self.TEXT + "[server]\nlisten = 127.0.0.1:0\n")
        with self.server(listen=3) as server:
            line = self.talk(server, 0, DEFAULT_REPLY)
            self.assertNotIn("listener=", line)
            line = self.talk(server, 1, DEFAULT_REPLY)
            self.assertIn(" listener=chunks ", line)
            line = self.talk(server, 2, DEFAULT_REPLY + b"\n")
            self.assertIn(" listener=lines ", line)

    def test_proxies_of_one_listener(self):
        self.write("certpostd.conf", self.TEXT + "[listener lb]\nlisten = 127.0.0.1:0\nproxy-from = 127.0.0.1\n")
        with self.server(listen=3) as server:
            self.talk(server, 0, DEFAULT_REPLY)
            line = self.talk(server, 2, DEFAULT_REPLY, b"PROXY TCP4 192.0.2.7 192.0.2.1 5001 2\r\n")
            self.assertIn(" peer=192.0.2.7:5001 listener=lb ", line)
            # Gone from the files, and the balancer at the open socket is still one.
            self.write("certpostd.conf", self.TEXT)
            self.reload(server)
            line = self.talk(server, 2, DEFAULT_REPLY, b"PROXY TCP4 192.0.2.8 192.0.2.1 5001 2\r\n")
            self.assertIn(" peer=192.0.2.8:5001 listener=lb ", line)

    def test_settings_of_all_hold_for_each(self):
        self.write("certpostd.conf", self.TEXT.replace("framing = line\n", "") + "[messages]\nframing = line\n")
        with self.server(listen=2) as server:
            for index in range(2):
                self.talk(server, index, DEFAULT_REPLY + b"\n")

    def test_reload_changes_a_listener(self):
        self.write("certpostd.conf", self.TEXT)
        with self.server(listen=2) as server:
            self.talk(server, 1, DEFAULT_REPLY + b"\n")
            self.write("certpostd.conf", self.TEXT.replace("= line", "= chunk"))
            self.assertTrue(self.reload(server).endswith("reloaded"))
            self.talk(server, 1, DEFAULT_REPLY)
            self.assertNotIn("next start", server.report())
            # A name that is gone keeps what it had as long as its socket is open, over reloads too.
            for text in (self.TEXT.replace("listener lines", "listener rows"), PAIR + "listen = 127.0.0.1:0\n"):
                self.write("certpostd.conf", text + "[messages]\nframing = line\n")
                self.reload(server)
                self.talk(server, 1, DEFAULT_REPLY)
            server.wait_log("takes effect at the next start only option=listen")
            self.write("certpostd.conf", self.TEXT)
            self.reload(server)
            self.talk(server, 1, DEFAULT_REPLY + b"\n")

    def test_an_address_in_two_listeners(self):
        self.write("certpostd.conf", f"{PAIR}[listener a]\nlisten = 127.0.0.1:1\n[listener b]\nlisten = :1\n")
        self.refused(2, "certpostd.conf:6: [listener b] cannot be at :1: [listener a] is at 127.0.0.1:1 "
                        "(certpostd.conf:4)")

    def test_a_busy_port_is_told_with_the_name(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.write("certpostd.conf", PAIR + f"[listener public]\nlisten = {address}\n")
            status, output, errors = self.run_config("--no-sandbox")
        self.assertEqual((status, output), (71, ""))
        self.assertRegex(errors, rf"^certpostd: \[listener public\]: cannot listen on {address} .*: Address already in use\n$")


class Reload(ConfigCase):
    """Everything is read again, in the sandbox too: all of it holds, or nothing of it."""

    def reply(self, server):
        with TlsPeer(server.port) as peer:
            peer.send(b"which?")
            reply = peer.receive_some()
            peer.finish()
        return reply

    def test_parts_come_change_and_go(self):
        self.write("certpostd.conf", "[server]\nlisten = 127.0.0.1:0\n")
        with self.server(listen=1) as server:
            part = self.write("conf.d/1.conf", "reply = one\n")
            self.assertTrue(self.reload(server).endswith("reloaded"))
            self.assertEqual(self.reply(server), b"one")
            self.write("conf.d/2.conf", "reply = two\n")
            line = self.reload(server)
            self.assertIn(FAILED, line)
            self.assertIn("2.conf:1: reply is set already at", line)
            self.assertEqual(self.reply(server), b"one")
            part.unlink()
            self.assertTrue(self.reload(server).endswith("reloaded"))
            self.assertEqual(self.reply(server), b"two")

    def test_links_to_other_folders(self):
        """A folder conf.d elsewhere, and a file of it elsewhere again, are read in the sandbox."""
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            target = pathlib.Path(other) / "reply"
            target.write_text("reply = one\n", encoding="ascii")
            (pathlib.Path(one) / "1.conf").symlink_to(target)
            (self.folder / "conf.d").symlink_to(one)
            self.write("certpostd.conf", "[server]\nlisten = 127.0.0.1:0\n")
            with self.server(listen=1) as server:
                self.assertEqual(self.reply(server), b"one")
                target.write_text("reply = two\n", encoding="ascii")
                (pathlib.Path(one) / "2.conf").write_text("workers = 1\n", encoding="ascii")
                self.assertTrue(self.reload(server).endswith("reloaded"))
                self.assertEqual(self.reply(server), b"two")

    def test_a_linked_folder_that_is_empty_at_the_start(self):
        with tempfile.TemporaryDirectory() as one:
            (self.folder / "conf.d").symlink_to(one)
            self.write("certpostd.conf", "[server]\nlisten = 127.0.0.1:0\n")
            with self.server(listen=1) as server:
                (pathlib.Path(one) / "1.conf").write_text("reply = one\n", encoding="ascii")
                self.assertTrue(self.reload(server).endswith("reloaded"))
                self.assertEqual(self.reply(server), b"one")

    def test_a_folder_that_the_user_cannot_read(self):
        if os.geteuid() != 0:
            processes.skip("only root can become somebody else")
        self.write("certpostd.conf", "[server]\nlisten = 127.0.0.1:0\n")
        self.write("conf.d/1.conf", "reply = one\n")
        (self.folder / "conf.d").chmod(0o700)
        pair = {"cert": str(self.folder / "server.crt"), "key": str(self.folder / "server.key")}
        for path in pair.values():
            shutil.copyfile(certs.path(os.path.basename(path)), path)
            os.chmod(path, 0o644)
        with self.server("--user", NOBODY, listen=1, **pair) as server:
            self.assertEqual(self.reply(server), b"one")
            line = self.reload(server)
            self.assertIn(f"{self.folder}/conf.d: Permission denied", line)
            self.assertEqual(self.reply(server), b"one")
            (self.folder / "conf.d").chmod(0o755)
            self.assertTrue(self.reload(server).endswith("reloaded"))


if __name__ == "__main__":
    unittest.main()
