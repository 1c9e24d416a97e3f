"""certpost verify: it agrees with what is whole, and names each damage by what and where it is."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import processes
import store_maker
from certpost_client import BINARY
from store_commands import run
from store_maker import LOG, StoreMaker

COMMITTED = r", committed \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SUMS = "certpost: 2 streams, 8 messages, 4 checkpoints: all agree\n"
DIFFERS = ": the digest differs: this is not what was acknowledged"
LOG_TEXT = 'stream "log" of dns:a.example, '


class VerifyCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store.db"


class Whole(VerifyCase):
    def test_a_whole_store(self):
        store_maker.make(self.store)
        self.assertEqual(run("verify", self.store), (0, b"", SUMS))
        self.assertEqual(run("verify", "-q", self.store), (0, b"", ""))
        self.assertEqual(
            run("verify", "--json", self.store),
            (0, b'{"streams":2,"messages":8,"checkpoints":4,"faults":0}\n', SUMS))

    def test_one_stream(self):
        store_maker.make(self.store)
        self.assertEqual(
            run("verify", "--stream", "log", self.store)[2],
            "certpost: 1 stream, 6 messages, 3 checkpoints: all agree\n")
        self.assertEqual(
            run("verify", "--identity", "", self.store)[2],
            "certpost: 1 stream, 2 messages, 1 checkpoint: all agree\n")
        status, output, errors = run("verify", "--stream", "nothing", self.store)
        self.assertEqual((status, output), (2, b""))
        self.assertIn("no such stream", errors)

    def test_several_chosen_streams_are_summed(self):
        with StoreMaker(self.store) as maker:
            for identity in ("dns:a", "dns:b", "dns:c"):
                maker.add(maker.stream(identity, "log"), "one", "two")
            maker.add(maker.stream("dns:c", "other"), "x")
            maker.finish()
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE stream = 2 AND seq = 1")
        status, output, errors = run("verify", "--stream", "log", self.store)
        self.assertEqual((status, errors), (76, "certpost: 3 streams, 6 messages, 3 checkpoints: 1 fault\n"))
        self.assertIn(b'"log" of dns:b, messages 1 to 2', output)
        self.assertEqual(run("verify", "--identity", "dns:a", self.store)[0], 0)

    def test_an_empty_store(self):
        with StoreMaker(self.store) as maker:
            maker.finish()
        self.assertEqual(
            run("verify", self.store), (0, b"", "certpost: 0 streams, 0 messages, 0 checkpoints: all agree\n"))

    def test_while_the_server_writes(self):
        with StoreMaker(self.store) as maker:
            log = maker.stream(*LOG)
            for count in range(1, 6):
                maker.many(log, 100)
                maker.commit()
                maker.many(log, 1)
                status, output, errors = run("verify", self.store)
                self.assertEqual((status, output), (0, b""))
                self.assertRegex(errors, rf" {101 * count - 1} messages, {2 * count - 1} checkpoints?: all agree")
                maker.commit()

    def test_after_the_server_was_killed(self):
        with StoreMaker(self.store) as maker:
            store_maker.fill(maker)
            maker.message(0, "not committed")
            maker.kill()
        before = self.store.read_bytes()
        self.assertEqual(run("verify", self.store), (0, b"", SUMS))
        self.assertEqual(self.store.read_bytes(), before)


class Damage(VerifyCase):
    def expect(self, *lines, damage, sums=r"2 streams, \d+ messages, \d+ checkpoints?"):
        """The lines, and nothing else, are what verify says about the damage."""
        store_maker.make(self.store)
        store_maker.damage(self.store, *damage)
        status, output, errors = run("verify", self.store)
        found = re.sub(COMMITTED, "", output.decode()).splitlines()
        self.assertEqual(found, list(lines))
        self.assertEqual(status, 76)
        faults = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
        self.assertRegex(errors, rf"\Acertpost: {sums}: {faults}\n\Z")

    def test_a_changed_byte(self):
        self.expect(
            LOG_TEXT + "messages 1 to 3" + DIFFERS,
            damage=["UPDATE messages SET body = CAST('twO' AS BLOB) WHERE stream = 1 AND seq = 2"])

    def test_changed_bytes_in_two_commits_are_two_faults(self):
        self.expect(
            LOG_TEXT + "message 4" + DIFFERS,
            LOG_TEXT + "messages 5 to 6" + DIFFERS,
            damage=["UPDATE messages SET body = x'00' WHERE stream = 1 AND seq IN (4, 5)"])

    def test_a_message_of_a_commit_is_missing(self):
        self.expect(
            LOG_TEXT + "message 2: missing",
            damage=["DELETE FROM messages WHERE stream = 1 AND seq = 2"])

    def test_the_last_messages_are_missing(self):
        self.expect(
            LOG_TEXT + "messages 5 to 6: missing",
            damage=["DELETE FROM messages WHERE stream = 1 AND seq >= 5"])

    def test_a_head_that_claims_too_much(self):
        self.expect(
            'stream "other", messages 3 to 4: missing',
            damage=["UPDATE streams SET last_seq = 4 WHERE id = 2"])

    def test_a_head_that_claims_too_little(self):
        self.expect(
            'stream "other", message 2: the stream\'s head does not count them',
            damage=["UPDATE streams SET last_seq = 1 WHERE id = 2"])

    def test_the_digest_of_a_head(self):
        self.expect(
            LOG_TEXT + "message 6: the head's digest differs from the messages'",
            damage=["UPDATE streams SET digest = zeroblob(32) WHERE id = 1"])

    def test_the_digest_of_a_checkpoint(self):
        """The next one differs too: it was computed from what this one should be."""
        self.expect(
            LOG_TEXT + "message 4" + DIFFERS,
            LOG_TEXT + "messages 5 to 6" + DIFFERS,
            damage=["UPDATE commits SET digest = zeroblob(32) WHERE stream = 1 AND last_seq = 4"])

    def test_a_missing_checkpoint(self):
        self.expect(
            LOG_TEXT + "message 4: no checkpoint covers it",
            damage=["DELETE FROM commits WHERE stream = 1 AND last_seq = 4"])

    def test_two_messages_have_changed_places(self):
        swap = "UPDATE messages SET body = CAST('{}' AS BLOB) WHERE stream = 1 AND seq = {}"
        self.expect(
            LOG_TEXT + "messages 1 to 3" + DIFFERS, damage=[swap.format("three", 2), swap.format("two", 3)])

    def test_two_numbers_have_changed_places(self):
        store_maker.make(self.store)
        store_maker.damage(
            self.store, "UPDATE messages SET seq = 5 - seq WHERE stream = 1 AND seq IN (2, 3)")
        status, output, _ = run("verify", self.store)
        self.assertEqual(status, 76)
        lines = re.sub(COMMITTED, "", output.decode()).splitlines()
        self.assertEqual(lines[0], LOG_TEXT + "message 2: missing")
        self.assertEqual(lines[1], LOG_TEXT + "message 2: it is there twice, or out of order")

    def test_a_duplicate(self):
        self.expect(
            LOG_TEXT + "message 6: it is there twice, or out of order",
            damage=["INSERT INTO messages (stream, seq, body) SELECT stream, seq, body FROM messages"
                    " WHERE stream = 1 AND seq = 6"])

    def test_a_message_of_no_stream(self):
        self.expect(
            'stream "", message 7: it belongs to no stream',
            damage=["INSERT INTO messages (stream, seq, body) VALUES (9, 7, x'00')"])

    def test_faults_as_json(self):
        store_maker.make(self.store)
        store_maker.damage(
            self.store,
            "UPDATE messages SET body = x'00' WHERE stream = 1 AND seq = 4",
            "DELETE FROM messages WHERE stream = 2 AND seq = 2")
        status, output, _ = run("verify", "--json", "-q", self.store)
        self.assertEqual(status, 76)
        faults = [json.loads(line) for line in output.splitlines()]
        self.assertRegex(faults[0].pop("time"), r"\A\d{4}-.*Z\Z")
        self.assertEqual(faults, [
            {"identity": "dns:a.example", "stream": "log", "first_seq": 4, "last_seq": 4,
             "fault": "the digest differs: this is not what was acknowledged"},
            {"identity": "", "stream": "other", "first_seq": 2, "last_seq": 2, "time": None, "fault": "missing"},
            {"streams": 2, "messages": 7, "checkpoints": 3, "faults": 2},
        ])

    def test_a_fault_that_cannot_be_printed_is_still_a_fault(self):
        store_maker.make(self.store)
        store_maker.damage(self.store, "UPDATE messages SET body = x'00' WHERE seq = 4")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "verify", self.store], stdout=full, stderr=subprocess.PIPE,
                                  timeout=processes.DEADLINE_S)
        self.assertEqual(done.returncode, 76)
        self.assertIn(b"cannot write to standard output", done.stderr)

    def test_a_damaged_page_is_an_unreadable_file(self):
        with StoreMaker(self.store) as maker:
            maker.many(maker.stream(*LOG), 5000)
            maker.commit()
            maker.finish()
        with open(self.store, "r+b") as file:
            file.seek(8 * 8192)
            file.write(os.urandom(8192))
        status, _, errors = run("verify", self.store)
        self.assertEqual(status, 74)
        self.assertIn("it is damaged", errors)


if __name__ == "__main__":
    unittest.main()
