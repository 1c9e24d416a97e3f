"""tests/support/store_check.py itself: it agrees with whole stores and fails for each kind of damage.

A check that cannot fail would make every crash test pass.
"""

import contextlib
import pathlib
import re
import sqlite3
import tempfile
import unittest

import store_check
import store_maker
from store_check import StoreCheck, StoreFault
from store_maker import LOG, OTHER, StoreMaker

SENT = [b"one", b"two", b"three", b"four", b"five", b"six"]
PROTOCOL = pathlib.Path(__file__).parents[2] / "docs" / "protocol.md"


class StoreCheckCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = pathlib.Path(folder.name) / "store.db"
        store_maker.make(self.store)

    def refuses(self, pattern, *damage):
        store_maker.damage(self.store, *damage)
        with self.assertRaisesRegex(StoreFault, pattern):
            store_check.check(self.store)


class Whole(StoreCheckCase):
    def test_digests_are_those_of_the_document(self):
        text = PROTOCOL.read_text(encoding="utf-8")
        block = lambda name: bytes.fromhex(re.search(rf"```hex {name}\n(.*?)```", text, re.S).group(1))
        self.assertEqual(store_check.first_digest("", "demo"), block("digest-0"))
        self.assertEqual(
            list(store_check.digests(("", "demo"), ["Hello, server!", b""])), [block("digest-1"), block("digest-2")])
        self.assertEqual(store_check.first_digest("dns:sensor-7.example", "audit"), block("digest-identity-0"))

    def test_a_whole_store(self):
        self.assertEqual(store_check.check(self.store), {LOG: SENT, OTHER: [b"un", b"deux"]})
        with StoreCheck(self.store) as store:
            self.assertEqual(store.keys, [LOG, OTHER])
            self.assertEqual(list(store.messages(LOG)), SENT)
            self.assertEqual(list(store.messages(("", "nothing"))), [])
            self.assertEqual(store.head(("", "nothing")), (0, store_check.first_digest("", "nothing").hex()))

    def test_beside_a_server_and_after_its_death(self):
        with StoreMaker(self.store) as maker:
            log = maker.stream(*LOG)
            maker.add(log, "seven")
            maker.message(log, "not committed")
            self.assertEqual(store_check.check(self.store)[LOG], [*SENT, b"seven"])
            maker.kill()
        self.assertEqual(store_check.check(self.store)[LOG], [*SENT, b"seven"])


class Damage(StoreCheckCase):
    def test_a_changed_byte(self):
        self.refuses("checkpoint of 1 to 3 has another digest",
                     "UPDATE messages SET body = x'00' WHERE stream = 1 AND seq = 2")

    def test_a_missing_message(self):
        self.refuses("message 3 follows 1", "DELETE FROM messages WHERE stream = 1 AND seq = 2")

    def test_the_last_message_is_missing(self):
        self.refuses("the head says 6, the last message is 5", "DELETE FROM messages WHERE stream = 1 AND seq = 6")

    def test_all_messages_are_missing(self):
        self.refuses("the head says 2, the last message is 0", "DELETE FROM messages WHERE stream = 2")

    def test_a_duplicate(self):
        self.refuses("message 6 follows 6",
                     "INSERT INTO messages (stream, seq, body) SELECT stream, seq, body FROM messages"
                     " WHERE stream = 1 AND seq = 6")

    def test_two_messages_out_of_order(self):
        self.refuses("message 3 follows 1", "UPDATE messages SET seq = 5 - seq WHERE stream = 1 AND seq IN (2, 3)")

    def test_a_head_of_another_number(self):
        self.refuses("the head says 3", "UPDATE streams SET last_seq = 3 WHERE id = 2")

    def test_a_head_of_another_digest(self):
        self.refuses("head has another digest", "UPDATE streams SET digest = zeroblob(32) WHERE id = 2")

    def test_a_checkpoint_of_another_digest(self):
        self.refuses("checkpoint of 4 to 4 has another digest",
                     "UPDATE commits SET digest = zeroblob(32) WHERE stream = 1 AND last_seq = 4")

    def test_a_missing_checkpoint(self):
        self.refuses("no checkpoint begins with message 4", "DELETE FROM commits WHERE stream = 1 AND last_seq = 4")

    def test_the_last_checkpoint_is_missing(self):
        self.refuses("no checkpoint begins with message 5", "DELETE FROM commits WHERE stream = 1 AND last_seq = 6")

    def test_a_checkpoint_of_messages_that_are_not_there(self):
        self.refuses("the last checkpoint is that of 9",
                     "INSERT INTO commits SELECT stream, 9, 7, 90, 99, time_ms, digest FROM commits"
                     " WHERE stream = 1 AND last_seq = 6")

    def test_rows_outside_their_checkpoint(self):
        self.refuses("not in the rows", "UPDATE commits SET last_row = 1 WHERE stream = 1 AND last_seq = 3")

    def test_a_message_of_no_stream(self):
        self.refuses("1 rows of messages belong to no stream",
                     "INSERT INTO messages (stream, seq, body) VALUES (9, 1, x'00')")

    def test_a_checkpoint_of_no_stream(self):
        self.refuses("1 rows of commits belong to no stream",
                     "INSERT INTO commits SELECT 9, last_seq, first_seq, first_row, last_row, time_ms, digest"
                     " FROM commits WHERE stream = 2")

    def test_a_newer_schema(self):
        with contextlib.closing(sqlite3.connect(self.store)) as database:
            database.execute("PRAGMA user_version=2")
        with self.assertRaisesRegex(StoreFault, "schema version 1"):
            store_check.check(self.store)


class Promises(StoreCheckCase):
    def claims(self):
        return list(enumerate(store_check.digests(LOG, SENT), 1))

    def assert_claims_fail(self, pattern, *claims, key=LOG):
        with StoreCheck(self.store) as store, self.assertRaisesRegex(StoreFault, pattern):
            store.check_claims(key, claims)

    def test_claims_that_hold(self):
        claims = self.claims()
        with StoreCheck(self.store) as store:
            self.assertEqual(store.check_claims(LOG, claims), 6)
            self.assertEqual(store.check_claims(LOG, [claims[3], claims[1]]), 4)
            self.assertEqual(store.check_claims(LOG, [(seq, digest.hex()) for seq, digest in claims]), 6)
            self.assertEqual(store.check_claims(LOG, [(0, store_check.first_digest(*LOG))]), 0)
            self.assertEqual(store.check_claims(LOG, []), 0)
            self.assertEqual(store.check_claims(("", "nothing"), []), 0)

    def test_claims_of_the_writer_hold(self):
        with StoreMaker(self.store) as maker:
            claims = maker.add(maker.stream(*LOG), "seven", "eight")
            with StoreCheck(self.store) as store:
                self.assertEqual(store.check_claims(LOG, claims), 8)

    def test_a_claim_beyond_the_end(self):
        self.assert_claims_fail("7 is acknowledged and not stored", (7, b"\0" * 32))

    def test_a_claim_for_a_stream_that_is_not_there(self):
        self.assert_claims_fail("1 is acknowledged and not stored", (1, b"\0" * 32), key=("", "nothing"))

    def test_a_claim_with_another_digest(self):
        self.assert_claims_fail("4 is acknowledged with another digest", (4, self.claims()[4][1]))
        self.assert_claims_fail("0 has another digest", (0, b"\0" * 32))

    def test_claims_that_contradict_each_other(self):
        claims = self.claims()
        self.assert_claims_fail("contradict", claims[1], (2, claims[2][1]))

    def test_a_claim_behind_a_gap(self):
        store_maker.damage(self.store, "DELETE FROM messages WHERE stream = 1 AND seq = 2")
        self.assert_claims_fail("number 3 stands where 2", self.claims()[5])

    def test_what_was_sent(self):
        with StoreCheck(self.store) as store:
            self.assertEqual(store.check_sent(LOG, SENT), 6)
            self.assertEqual(store.check_sent(LOG, (message.decode() for message in SENT)), 6)
            self.assertEqual(store.check_sent(LOG, [*SENT, b"seven"], acknowledged=6), 6)
            for pattern, sent, acknowledged in (
                ("only 6 are stored", [*SENT, b"seven"], None),
                ("7 were acknowledged, 6 are stored", [*SENT, b"seven"], 7),
                ("message 6 was never sent", SENT[:5], None),
                ("message 2 is b'two', sent was b'zwei'", [b"one", b"zwei"], None),
            ):
                with self.assertRaisesRegex(StoreFault, pattern):
                    store.check_sent(LOG, sent, acknowledged)


if __name__ == "__main__":
    unittest.main()
