"""What docs/operations.md says about the log, about copies of the store, and about going back to one."""

import os
import pathlib
import re
import shutil
import sqlite3
import tempfile
import unittest

import certificates as certs
import certpost_client
import processes
from certpost_server import Server
from stream_load import Lines, LineSender, Tally, pick_seed

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
OPERATIONS = SOURCE_DIR / "docs" / "operations.md"

# Which argument of each call is the line's fixed text.
LOG_CALLS = {"log_message": 1, "log_begin": 2, "log_limit_message": 2, "worker_warn": 2}


def arguments_of_call(text, start):
    """The arguments of the call whose first bracket is at `start`, split at its own commas."""
    found, depth, piece = [], 0, ""
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|.', text[start:], re.DOTALL):
        depth += (token in "([{") - (token in ")]}") if len(token) == 1 else 0
        if depth == 0:
            return [*found, piece.strip()]
        if token == "," and depth == 1:
            found.append(piece.strip())
            piece = ""
        elif not (token == "(" and depth == 1 and not piece and not found):
            piece += token
    raise AssertionError("a call without an end")


def texts_of(expression, source):
    """The string literals of an argument: one, those of both branches of a choice, or a constant's."""
    if re.fullmatch(r"\w+", expression):
        constant = re.search(rf'\b{expression}\[\] = ((?:"(?:[^"\\]|\\.)*"\s*)+);', source)
        expression = constant.group(1) if constant else ""
    branches = re.split(r"[?:](?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", expression)
    texts = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', branch)) for branch in branches]
    return {text for text in texts if text}


def log_lines_of_server():
    """All fixed texts of log lines in src/server, which alone logs."""
    found = set()
    for file in sorted((SOURCE_DIR / "src" / "server").glob("*.c")):
        source = file.read_text(encoding="utf-8")
        for call in re.finditer(rf"(?<!\w)({'|'.join(LOG_CALLS)})(\()", source):
            arguments = arguments_of_call(source, call.start(2))
            text = arguments[LOG_CALLS[call.group(1)]]
            texts = texts_of(text, source)
            # A wrapper hands on what its callers, which are among the calls above, have said.
            is_wrapper = text in ("message", "const char *message")
            if not texts and not is_wrapper:
                raise AssertionError(f"{file.name}: {call.group(1)}: no text in {text!r}")
            found |= texts
    return found


def table_below(heading, column):
    """The names in backquotes in the first column of the table that begins with | `column` |."""
    text = OPERATIONS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = text.split(f"\n| {column} |")[1].split("\n\n")[0].split("\n")[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.strip("|").split("|")[0])]


class Log(unittest.TestCase):
    HEADING = "What each line of the log means"

    def test_every_log_line_is_explained(self):
        lines = log_lines_of_server()
        self.assertGreater(len(lines), 20)
        self.assertEqual(sorted(table_below(self.HEADING, "line")), sorted(lines))

    def test_reasons_of_an_end_are_those_of_the_code(self):
        """Each is a status, a deadline of a connection, a code of certpost/1, or named in src/server."""
        status = (SOURCE_DIR / "include/certpost/status.h").read_text(encoding="utf-8")
        known = set(re.findall(r"\n    X\(\w+, \"([\w-]+)\"", status))
        codes = (SOURCE_DIR / "src/wire/message.h").read_text(encoding="utf-8")
        known |= set(re.findall(r"\n    X\(\w+, \d+, \"(\w+)\"", codes))
        times = (SOURCE_DIR / "src/net/conn_time.c").read_text(encoding="utf-8")
        deadlines = {f"timeout: {name}" for name in re.findall(r"\[NET_DEADLINE_\w+\] = \{\"([\w ]+)\"", times)}
        peers = (SOURCE_DIR / "src/server/certpost_peer.c").read_text(encoding="utf-8")
        known |= set(re.findall(r"_note_fault\(peer, \"(\w+)\"", peers))
        self.assertGreater(len(known), 30)
        table = set(table_below(self.HEADING, "reason"))
        self.assertLessEqual(deadlines, table)
        self.assertEqual(sorted(table - known - deadlines), [])


class StoreCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store.db"
        self.backup = self.folder / "backup.db"

    def server(self):
        return Server("--store", self.store)

    def send(self, server, *arguments, lines=(), status=0):
        data = "".join(f"{line}\n" for line in lines).encode()
        result = certpost_client.run(
            "send", "-q", "--cacert", certs.path("ca.crt"), "--servername", "localhost", *arguments,
            *(["-l"] if lines else []), server.address, data=data)
        self.assertEqual(result.status, status, result)
        return result

    def stored(self, stream, store=None):
        result = certpost_client.run("read", "--stream", stream, "--format", "raw", store or self.store)
        self.assertEqual(result.status, 0, result)
        return result.output

    def vacuum_into(self, target):
        """The command of the page, with the library that sqlite3 is."""
        database = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        self.addCleanup(database.close)
        database.execute("VACUUM INTO ?", (str(target),))
        database.close()

    def go_back(self):
        """The server has ended: what it had goes to another folder, the copy takes its place."""
        old = self.folder / "old"
        old.mkdir()
        for file in self.folder.glob("store.db*"):
            file.rename(old / file.name)
        self.backup.rename(self.store)
        return old / "store.db"


class Backup(StoreCase):
    def test_a_copy_that_is_made_beside_a_writing_server(self):
        """Made while a sender is in the middle of it: a whole beginning of the stream, and a store."""
        arguments = ["--cacert", certs.path("ca.crt"), "--servername", "localhost", "--stream", "s"]
        with self.server() as server, certpost_client.start(
                "send", "-q", "--json", *arguments, "-l", server.address) as sender:
            self.addCleanup(sender.kill)
            sender.stdin.write(b"one\ntwo\n")
            sender.stdin.flush()
            for event in sender.stdout:
                if b'"seq":2' in event and b"acked" in event:
                    break
            self.vacuum_into(self.backup)
            sender.stdin.write(b"three\n")
            sender.stdin.close()
            self.assertEqual(sender.wait(certpost_client.PATIENCE_S), 0)
            self.assertEqual(self.stored("s"), ["one", "two", "three"])
            self.assertEqual(certpost_client.run("verify", "-q", self.backup).status, 0)
            self.assertEqual(self.stored("s", self.backup), ["one", "two"])

    def test_a_copy_of_the_file_alone_lacks_what_is_in_the_log(self):
        """And nothing in it says so, which is why the page forbids it."""
        with self.server() as server:
            self.send(server, "--stream", "s", lines=["one", "two"])
            shutil.copy(self.store, self.backup)
            self.assertEqual(certpost_client.run("verify", "-q", self.backup).status, 0)
            self.assertEqual(
                certpost_client.run("read", "--stream", "s", self.backup).status, 2, "there is no such stream")

    def test_after_an_orderly_end_the_file_is_all_there_is(self):
        with self.server() as server:
            self.send(server, "--stream", "s", lines=["one", "two"])
        self.assertEqual(
            sorted(file.name for file in self.folder.iterdir()), ["store.db", "store.db-lock"])


class DocumentedBackup(StoreCase):
    """The commands of the page, typed; only places and the program's are put in."""

    COPIES = 3
    SENDERS = 2
    LINES = 200  # of each sender, before the first copy and after each

    def setUp(self):
        super().setUp()
        processes.need_program("sqlite3")
        block = re.search(r"(?s)\n### Backup\n.*?\n```sh\n(.*?)```\n", OPERATIONS.read_text(encoding="utf-8")).group(1)
        for text, put_in in (("/var/lib/certpost/store.db", str(self.store)),
                             ("certpost verify", f"{certpost_client.BINARY} verify")):
            self.assertEqual(block.count(text), 1, block)
            block = block.replace(text, put_in)
        self.commands = block

    def _copy(self, number):
        """Runs them into a folder of its own; the file that they have made."""
        folder = self.folder / f"backup-{number}"
        folder.mkdir()
        self.assertEqual(self.commands.count("/backup/"), 1)
        status, said, errors = processes.run(["sh", "-c", self.commands.replace("/backup/", f"{folder}/")])
        self.assertEqual((status, said, errors), (0, "", ""))
        copies = list(folder.iterdir())
        self.assertEqual(len(copies), 1)
        return copies[0]

    def test_copies_beside_a_server_under_load(self):
        tally, seed = Tally(), pick_seed()
        copies = []
        with self.server() as server:
            senders = [LineSender(tally, Lines(seed, f"s{n}"), server.address) for n in range(self.SENDERS)]
            for sender in senders:
                self.addCleanup(sender.close)
            self._wait_acked(tally, senders)
            for number in range(self.COPIES):
                acked = [sender.acked for sender in senders]
                copies.append((self._copy(number), acked))
                self._wait_acked(tally, senders)
            for sender in senders:
                sender.finish()
        for copy, acked in copies:
            for sender, least in zip(senders, acked):
                held = self.stored(sender.name, copy)
                self.assertGreaterEqual(len(held), least)
                self.assertLessEqual(len(held), sender.acked)
                sent = [sender.lines.get(number).decode() for number in range(1, len(held) + 1)]
                self.assertEqual(held, sent)

    def _wait_acked(self, tally, senders):
        """All senders have gone on."""
        wanted = [sender.acked + self.LINES for sender in senders]
        tally.wait(lambda: all(sender.acked >= least for sender, least in zip(senders, wanted)), "more to be acked")

    def test_a_copy_that_is_there_is_not_overwritten(self):
        self.commands = self.commands.replace("$(date +%F)", "today")
        with self.server() as server:
            self.send(server, "--stream", "s", lines=["one"])
            copy = self._copy(1)
            before = copy.read_bytes()
            self.send(server, "--stream", "s", lines=["two"])
            status, _, errors = processes.run(["sh", "-c", self.commands.replace("/backup/", f"{copy.parent}/")])
            self.assertNotEqual(status, 0)
            self.assertIn("already exists", errors)
            self.assertEqual(copy.read_bytes(), before)

    def test_the_backup_command_of_sqlite3_on_a_quiet_server(self):
        with self.server() as server:
            self.send(server, "--stream", "s", lines=["one", "two"])
            status, _, errors = processes.run(["sqlite3", self.store, f".backup {self.backup}"])
            self.assertEqual(status, 0, errors)
            self.assertEqual(certpost_client.run("verify", "-q", self.backup).status, 0)
            self.assertEqual(self.stored("s", self.backup), ["one", "two"])


class OldCopy(StoreCase):
    def setUp(self):
        super().setUp()
        with self.server() as server:
            self.send(server, "--stream", "s", "--spool", self.folder / "spool", lines=["one", "two"])
            self.send(server, "--stream", "r", "--resume", lines=["one", "two"])
            self.vacuum_into(self.backup)
            self.send(server, "--stream", "s", "--spool", self.folder / "spool", lines=["three"])
            self.send(server, "--stream", "r", "--resume", lines=["one", "two", "three"])
        self.old = self.go_back()

    def test_who_has_the_whole_input_sends_what_is_missing(self):
        with self.server() as server:
            self.assertEqual(self.stored("r"), ["one", "two"])
            self.send(server, "--stream", "r", "--resume", lines=["one", "two", "three"])
            self.assertEqual(self.stored("r"), ["one", "two", "three"])

    def test_a_spool_notices_and_goes_on_once_the_old_store_is_read_into_the_new_one(self):
        spool = ["--spool", self.folder / "spool"]
        with self.server() as server:
            result = self.send(server, "--stream", "s", *spool, lines=["four"], status=76)
            self.assertIn("the server has 2 messages of the stream where it must have 3", result.errors[0])
            self.assertEqual(result.errors[-1], "certpost: 0 of 1 messages acknowledged, 1 left in the spool")
            self.send(server, "--stream", "s", "--resume", lines=self.stored("s", self.old))
            self.send(server, *spool)
            self.assertEqual(self.stored("s"), ["one", "two", "three", "four"])

    def test_a_spool_whose_stream_is_lost_gives_what_waits_to_a_new_stream(self):
        spool = self.folder / "spool"
        with self.server() as server:
            self.send(server, "--stream", "s", "--spool", spool, lines=["four", "five"], status=76)
            database = sqlite3.connect(f"file:{spool}?mode=ro", uri=True)
            self.addCleanup(database.close)
            waiting = [text for text, in database.execute("SELECT CAST(body AS TEXT) FROM messages ORDER BY seq")]
            self.send(server, "--stream", "s-2", "--spool", self.folder / "spool-2", lines=waiting)
            self.assertEqual(self.stored("s-2"), ["four", "five"])


if __name__ == "__main__":
    unittest.main()
