"""certpost read: what is in a store, in which order, in which form; beside a server and without."""

import base64
import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile
import unittest

import processes
import store_maker
from certpost_client import BINARY
from store_commands import run, run_as_nobody
from store_maker import LOG, StoreMaker

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class StoreCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store.db"

    def make(self):
        store_maker.make(self.store)

    def make_with(self, *bodies, identity="dns:a.example", name="log"):
        with StoreMaker(self.store) as maker:
            maker.add(maker.stream(identity, name), *bodies)
            maker.finish()

    def read(self, *options):
        status, output, errors = run("read", *options, self.store)
        self.assertEqual((status, errors), (0, ""))
        return output

    def read_json(self, *options):
        return [json.loads(line) for line in self.read("--format", "json", *options).splitlines()]

    def fails(self, status, pattern, *arguments):
        result, output, errors = run("read", *arguments)
        self.assertEqual((result, output), (status, b""), errors)
        self.assertRegex(errors, r"\Acertpost: .*" + pattern + r".*\n\Z")


class Messages(StoreCase):
    def test_all_streams_in_the_order_of_arrival(self):
        self.make()
        lines = self.read().decode().splitlines()
        fields = [line.split("\t") for line in lines]
        for line in fields:
            self.assertRegex(line[0], rf"\A{TIME}\Z")
        self.assertEqual(
            [line[1:] for line in fields],
            [
                ["dns:a.example", "log", "1", "one"],
                ["dns:a.example", "log", "2", "two"],
                ["dns:a.example", "log", "3", "three"],
                ["dns:a.example", "log", "4", "four"],
                ["dns:a.example", "log", "5", "five"],
                ["-", "other", "1", "un"],
                ["dns:a.example", "log", "6", "six"],
                ["-", "other", "2", "deux"],
            ],
        )

    def test_one_stream_by_name_or_identity(self):
        self.make()
        self.assertEqual(self.read("--format", "raw", "--stream", "other"), b"un\ndeux\n")
        self.assertEqual(self.read("--format", "raw", "--identity", ""), b"un\ndeux\n")
        self.assertEqual(
            self.read("--format", "raw", "-i", LOG[0], "-s", LOG[1]), b"one\ntwo\nthree\nfour\nfive\nsix\n")

    def test_several_streams_of_one_name(self):
        with StoreMaker(self.store) as maker:
            first, second, third = (maker.stream(who, "log") for who in ("dns:a", "dns:b", "dns:c"))
            other = maker.stream("dns:a", "other")
            for stream, body in ((first, "a1"), (other, "x"), (second, "b1"), (first, "a2"), (third, "c1")):
                maker.add(stream, body)
            maker.finish()
        self.assertEqual(self.read("--format", "raw", "--stream", "log"), b"a1\nb1\na2\nc1\n")
        self.assertEqual(self.read("--format", "raw", "--identity", "dns:a"), b"a1\nx\na2\n")

    def test_more_streams_than_are_remembered(self):
        """Their names are looked up again, in whatever order the messages come."""
        expected = []
        for when in ("early", "late"):
            with StoreMaker(self.store) as maker:
                streams = [maker.stream("", f"{when} {number}") for number in range(60)]
                for _ in range(2):
                    for number, stream in enumerate(streams):
                        maker.message(stream, "1")
                        expected.append(f"{when} {number}")
                maker.commit()
                maker.finish()
        self.assertEqual([message["stream"] for message in self.read_json()], expected)

    def test_range_of_numbers(self):
        self.make()
        self.assertEqual(
            self.read("--format", "raw", "--stream", "log", "--from", "3", "--to", "5"), b"three\nfour\nfive\n")
        self.assertEqual(self.read("--format", "raw", "--from", "2", "--to", "2"), b"two\ndeux\n")
        self.assertEqual(self.read("--format", "raw", "--from", "7"), b"")

    def test_list_of_streams(self):
        with StoreMaker(self.store) as maker:
            log, other = store_maker.fill(maker)
            heads = [maker.add(log, "seven")[-1], maker.add(other, "trois")[-1]]
            maker.finish()
        lines = self.read("--streams").decode().splitlines()
        self.assertEqual(lines, [f"1\tdns:a.example\tlog\t7\t{heads[0][1]}", f"2\t-\tother\t3\t{heads[1][1]}"])
        self.assertEqual(
            self.read_json("--streams", "--stream", "other"),
            [{"id": 2, "identity": "", "stream": "other", "last_seq": 3, "digest": heads[1][1]}],
        )

    def test_an_empty_store_has_nothing(self):
        with StoreMaker(self.store) as maker:
            maker.finish()
        self.assertEqual(self.read(), b"")
        self.assertEqual(self.read("--streams"), b"")

    def test_a_stream_that_is_not_there(self):
        self.make()
        self.fails(2, "no such stream", "--stream", "lo", self.store)


class Formats(StoreCase):
    def test_text_escapes_what_a_terminal_would_obey(self):
        self.make_with(b"\x1b[2J\tx\n\\", "\u202e".encode(), b"\xff", name="a\u00e9 b")
        lines = self.read().decode().splitlines()
        self.assertEqual(
            [line.split("\t")[2:] for line in lines],
            [["a\u00e9 b", "1", r"\x1b[2J\tx\n" + "\\\\"], ["a\u00e9 b", "2", r"\xe2\x80\xae"],
             ["a\u00e9 b", "3", r"\xff"]],
        )

    def test_long_text_is_whole_wherever_it_is_cut(self):
        bodies = ["x" * shift + "\u20ac\U0001f600\u00e9" * 2000 for shift in range(4)]
        self.make_with(*bodies)
        lines = self.read().decode().splitlines()
        self.assertEqual([line.split("\t")[4] for line in lines], bodies)

    def test_long_bytes_that_are_no_text(self):
        body = bytes([0x80]) * 10000
        self.make_with(body)
        self.assertEqual(self.read().decode().rstrip("\n").split("\t")[4], r"\x80" * 10000)

    def test_json_keeps_every_byte(self):
        bodies = [bytes(range(256)), b"", b"\xf0\x9f\x98\x80", bytes(range(128)), os.urandom(70000) + b"\xff",
                  "\u202e\u0085\ufeff\U000e0041\"\\/".encode()]
        self.make_with(*bodies, name='n"\u00e9')
        output = self.read("--format", "json")
        self.assertNotIn("\u202e".encode(), output)
        self.assertNotRegex(output, rb"[\x00-\x09\x0b-\x1f\x7f]")
        self.assertEqual(output.count(b"\n"), len(bodies))
        for number, (line, body) in enumerate(zip(output.splitlines(), bodies), 1):
            message = json.loads(line)
            self.assertRegex(message.pop("time"), rf"\A{TIME}\Z")
            expected = {"identity": "dns:a.example", "stream": 'n"\u00e9', "seq": number}
            try:
                expected["message"] = body.decode()
            except UnicodeDecodeError:
                expected["message_base64"] = base64.b64encode(body).decode()
            self.assertEqual(message, expected)

    def test_raw_with_each_delimiter(self):
        bodies = [b"a\nb", b"", b"\x00\xff"]
        self.make_with(*bodies)
        raw = lambda how: self.read("--format", "raw", "--delimiter", how)
        self.assertEqual(self.read("--format", "raw"), b"a\nb\n\n\x00\xff\n")
        self.assertEqual(raw("newline"), b"a\nb\n\n\x00\xff\n")
        self.assertEqual(raw("nul"), b"a\nb\0\0\x00\xff\0")
        self.assertEqual(raw("none"), b"a\nb\x00\xff")
        self.assertEqual(raw("length"), b"".join(len(body).to_bytes(4, "big") + body for body in bodies))


class Beside(StoreCase):
    def test_follow_shows_what_comes(self):
        with StoreMaker(self.store) as maker:
            log, other = store_maker.fill(maker)
            with processes.Process([BINARY, "read", "-f", "--format", "raw", "--stream", "log", self.store]) as reader:
                reader.stdout.wait_line("six")
                maker.add(other, "not this")
                maker.add(log, "seven")
                reader.stdout.wait_line("seven")
                self.assertNotIn("not this", reader.stdout.lines)

    def test_follow_begins_before_the_server_does(self):
        """Of a store that nobody writes it makes no log; it notices when somebody begins to."""
        self.make()
        with processes.Process([BINARY, "read", "-f", "--format", "raw", self.store]) as reader:
            reader.stdout.wait_line("deux")
            self.assertEqual(self.beside(), ["store.db", "store.db-lock"])
            with StoreMaker(self.store) as maker:
                stream = maker.stream("dns:new.example", "new")
                maker.add(stream, "first")
                reader.stdout.wait_line("first")
                maker.finish()
            with StoreMaker(self.store) as maker:
                maker.add(maker.stream("dns:new.example", "new"), "second")
                reader.stdout.wait_line("second")
        self.assertEqual(len(reader.stdout.lines), 10)

    def beside(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_follow_waits_for_a_stream_that_is_not_there_yet(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            with processes.Process([BINARY, "read", "-f", "--format", "raw", "--stream", "new", self.store]) as reader:
                maker.add(maker.stream("", "new"), "hello")
                reader.stdout.wait_line("hello")
                self.assertEqual(reader.stdout.lines, ["hello"])

    def test_follow_does_not_spin(self):
        self.make()
        with processes.Process([BINARY, "read", "-f", self.store]) as reader:
            reader.stdout.wait_line(".*deux")
            before = processes.cpu_ticks(reader.pid)
            reader.stdout.stays_silent(0.6)
            self.assertLessEqual(processes.cpu_ticks(reader.pid) - before, 3)

    def test_follow_ends_when_its_reader_has_gone(self):
        """Without a message to write, too."""
        self.make()
        with processes.Process([BINARY, "read", "-f", self.store]) as reader:
            reader.stdout.wait_line(".*deux")
            reader.stdout.abandon()
            self.assertEqual(reader.wait(), 0)
            self.assertEqual(reader.stderr.wait_end(), b"")

    def test_follow_tells_when_the_store_is_replaced(self):
        self.make()
        with processes.Process([BINARY, "read", "-f", self.store]) as reader:
            reader.stdout.wait_line(".*deux")
            self.store.rename(self.folder / "moved.db")
            self.assertEqual(reader.wait(), 74)
            self.assertRegex(reader.stderr.wait_end(), b"deleted or replaced|No such file")

    def test_follow_tells_when_the_store_of_a_server_is_replaced(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            with processes.Process([BINARY, "read", "-f", self.store]) as reader:
                reader.stdout.wait_line(".*deux")
                self.store.rename(self.folder / "moved.db")
                self.assertEqual(reader.wait(), 74)
                self.assertRegex(reader.stderr.wait_end(), b"deleted or replaced while it was in use")

    def test_while_the_server_writes(self):
        with StoreMaker(self.store) as maker:
            log = maker.stream(*LOG)
            for count in range(1, 6):
                maker.many(log, 200)
                maker.message(log, "not committed yet")
                lines = self.read("--format", "raw").decode().splitlines()
                self.assertEqual(len(lines), 201 * (count - 1))
                maker.commit()
                self.assertEqual(self.read("--format", "raw").decode().splitlines()[-2:],
                                 [f"message {201 * count - 1}", "not committed yet"])

    def test_after_the_server_was_killed(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            maker.message(0, "not committed")
            maker.kill()
        before = self.store.read_bytes()
        self.assertGreater(os.stat(f"{self.store}-wal").st_size, 0)
        self.assertEqual(len(self.read_json()), 8)
        self.assertEqual(self.store.read_bytes(), before)
        with StoreMaker(self.store) as maker:
            self.assertEqual(maker.message(maker.stream(*LOG), "seven")[0], 7)

    def test_nothing_is_left_beside_a_store_without_a_server(self):
        self.make()
        before = (self.beside(), self.store.read_bytes(), os.stat(self.store).st_mtime_ns)
        self.read()
        self.read("--streams")
        run("verify", self.store)
        self.assertEqual((self.beside(), self.store.read_bytes(), os.stat(self.store).st_mtime_ns), before)

    def test_a_name_that_looks_like_a_uri(self):
        self.store = self.folder / "a?immutable=0#%41 b.db"
        self.make()
        self.assertEqual(len(self.read_json()), 8)
        self.assertEqual(self.beside(), ["a?immutable=0#%41 b.db", "a?immutable=0#%41 b.db-lock"])


class Rights(StoreCase):
    def setUp(self):
        super().setUp()
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        self.data = self.folder / "data"
        self.data.mkdir()
        self.store = self.data / "store.db"
        self.folder.chmod(0o755)
        self.programs.chmod(0o755)
        self.addCleanup(self.data.chmod, 0o755)

    def only_reading(self):
        for path in self.data.iterdir():
            path.chmod(0o444)
        self.data.chmod(0o555)

    def read_as_nobody(self):
        return run_as_nobody(self.programs, "read", "--format", "raw", self.store)

    def kill_a_server(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            maker.kill()

    def test_only_reading_is_enough(self):
        self.make()
        self.only_reading()
        status, output, errors = self.read_as_nobody()
        self.assertEqual((status, errors, output.count(b"\n")), (0, "", 8))

    def test_only_reading_is_enough_beside_a_server(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            self.only_reading()
            status, output, errors = self.read_as_nobody()
            self.assertEqual((status, errors, output.count(b"\n")), (0, "", 8))

    def test_only_reading_is_enough_after_a_kill(self):
        self.kill_a_server()
        self.only_reading()
        status, output, errors = self.read_as_nobody()
        self.assertEqual((status, errors, output.count(b"\n")), (0, "", 8))

    def assert_refused(self, pattern):
        status, output, errors = self.read_as_nobody()
        self.assertEqual((status, output), (74, b""))
        self.assertRegex(errors, r"\Acertpost: .*" + pattern + r".*\n\Z")

    def test_a_log_without_its_index_in_a_folder_that_cannot_be_written(self):
        self.kill_a_server()
        os.unlink(f"{self.store}-shm")
        self.only_reading()
        self.assert_refused("store.db-shm.*run as the server's user")

    def test_a_log_that_cannot_be_read(self):
        self.kill_a_server()
        self.only_reading()
        os.chmod(f"{self.store}-wal", 0)
        self.assert_refused("store.db-wal.*run as the server's user")

    def test_a_store_that_cannot_be_read(self):
        self.make()
        self.store.chmod(0)
        self.data.chmod(0o755)
        self.assert_refused("store.db cannot be read: Permission denied")


class Failures(StoreCase):
    def assert_untouched(self, status, pattern, path):
        before = sorted(self.folder.rglob("*"))
        for command in ("read", "verify"):
            result, output, errors = run(command, path)
            self.assertEqual((result, output), (status, b""))
            self.assertRegex(errors, r"\Acertpost: .*" + pattern + r".*\n\Z")
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_a_missing_file(self):
        self.assert_untouched(74, "No such file", self.folder / "missing.db")

    def test_a_folder(self):
        self.assert_untouched(74, "it is a folder", self.folder)

    def test_a_device(self):
        self.assert_untouched(74, "it is a device or a pipe", "/dev/null")

    def test_no_name(self):
        self.assert_untouched(74, "no file name", "")

    def test_a_text_file(self):
        self.store.write_text("Hello, server!\n" * 100)
        self.assert_untouched(74, "not an SQLite database", self.store)

    def test_an_empty_file(self):
        self.store.write_text("")
        self.assert_untouched(74, "no certpost store", self.store)

    def test_a_foreign_database(self):
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            database.execute("CREATE TABLE messages (id)")
        self.assert_untouched(74, "no certpost store", self.store)

    def test_a_newer_schema(self):
        self.make()
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            database.execute("PRAGMA user_version=77")
        self.assert_untouched(74, "version 77.*use a newer certpost", self.store)

    def test_a_damaged_page(self):
        with StoreMaker(self.store) as maker:
            maker.many(maker.stream(*LOG), 5000)
            maker.commit()
            maker.finish()
        with open(self.store, "r+b") as file:
            file.seek(8 * 8192)
            file.write(b"\xff" * 8192)
        status, output, errors = run("read", "--format", "raw", self.store)
        self.assertEqual(status, 74)
        self.assertRegex(errors, r"\Acertpost: .*it is damaged.*\n\Z")
        self.assertLess(len(output.splitlines()), 5000)

    def test_a_full_disk_behind_standard_output(self):
        self.make()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "read", self.store], stdout=full, stderr=subprocess.PIPE,
                                  timeout=processes.DEADLINE_S)
        self.assertEqual(done.returncode, 74)
        self.assertEqual(done.stderr, b"certpost: cannot write to standard output: No space left on device\n")

    def test_a_reader_that_goes_away(self):
        with StoreMaker(self.store) as maker:
            maker.many(maker.stream(*LOG), 20000)
            maker.commit()
            maker.finish()
        with processes.Process([BINARY, "read", self.store]) as reader:
            reader.stdout.wait_bytes(b"message 1\n")
            reader.stdout.abandon()
            self.assertEqual((reader.wait(), reader.stderr.wait_end()), (0, b""))

    def test_options_that_are_wrong(self):
        self.make()
        for pattern, *arguments in (
            ("which store",),
            ("one operand too many", self.store, "b"),
            ("1 or more", "--from", "0", self.store),
            ("1 or more", "--to", "x", self.store),
            ("--from is behind --to", "--from", "3", "--to", "2", self.store),
            ("text, json or raw", "--format", "xml", self.store),
            ("newline, nul, length or none", "--delimiter", "tab", self.store),
            ("for --format raw", "--delimiter", "nul", self.store),
            ("no raw form", "--streams", "--format", "raw", self.store),
            ("do not go together", "--streams", "-f", self.store),
            ("--stream", "--streem", "x", self.store),
        ):
            self.fails(2, re.escape(pattern), *arguments)

    def test_version(self):
        for command in ("read", "verify"):
            self.assertRegex(run(command, "--version")[1], rb"\Acertpost \d")


if __name__ == "__main__":
    unittest.main()
