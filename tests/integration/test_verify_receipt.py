"""certpost verify --receipt: a store that holds what the receipt says, and every way not to."""

import json
import pathlib
import shutil
import tempfile
import time
import unittest

import certificates
import plain_servers
import receipt_maker
import store_maker
from store_commands import run
from receipt_maker import DAY_S
from store_maker import LOG
from test_receipt import old_pair

# What store_maker fills LOG with, in commits of 1 to 3, 4, and 5 to 6.
MESSAGES = (b"one", b"two", b"three", b"four", b"five", b"six")
AGREES = "certpost: 1 stream, {} messages, 1 checkpoint: all agree\n"
NOT_WHAT = "the store is not what the receipt says: "

CHANGE = "UPDATE messages SET body = 'x' WHERE stream = 1 AND seq = {}"
DELETE = "DELETE FROM messages WHERE stream = 1 AND seq = {}"
DIGEST = "UPDATE commits SET digest = zeroblob(32) WHERE stream = 1 AND last_seq = {}"
SHARED = " hold the first that differs (they share a checkpoint)"
OR_ELSE = ", or else a checkpoint was altered as well)"
UNLESS = ", unless earlier ones were rewritten together with their checkpoints"
GAP = ", and message {} is the first that is missing"
BY_CHECKPOINT = " the first that differs (by the store's checkpoint)" + GAP


def rewritten(seq, *messages):
    """Sets the checkpoint at `seq` to the digest that these messages have."""
    digest = receipt_maker.digest_of(messages, *LOG).hex()
    return f"UPDATE commits SET digest = x'{digest}' WHERE stream = 1 AND last_seq = {seq}"


# What was done, how many messages the receipt is for, by which statements, and where the first difference is.
DIFFERENCES = (
    ("a message with a checkpoint of its own", 6, [CHANGE.format(4)], "message 4 is the first that differs" + UNLESS),
    ("one of several", 6, [CHANGE.format(2)], "messages 1 to 3" + SHARED),
    ("and another one later", 6, [CHANGE.format(2), CHANGE.format(4)],
     "messages 1 to 4 hold the first that differs (messages 1 to 3" + OR_ELSE),
    ("one of the last", 6, [CHANGE.format(5)], "messages 5 to 6" + SHARED + UNLESS),
    ("a receipt that ends within a commit", 2, [CHANGE.format(2)], "messages 1 to 2" + SHARED),
    ("the same, after a checkpoint", 5, [CHANGE.format(5)], "message 5 is the first that differs" + UNLESS),
    ("the same, before it", 5, [CHANGE.format(4)], "message 4 is the first that differs" + UNLESS),
    ("a message gone in the middle", 6, [DELETE.format(4)], "message 4 is the first that is missing"),
    ("gone within a commit", 6, [DELETE.format(3)],
     "message 3 is the first that is missing; nothing tells without it whether messages 1 to 2 differ"),
    ("two gone", 6, [DELETE.format(2), DELETE.format(6)],
     "message 2 is the first that is missing; nothing tells without it whether message 1 differs"),
    ("the last one gone", 6, [DELETE.format(6)],
     "message 6 is the first that is missing; nothing tells without it whether message 5 differs"),
    ("shorter", 6, ["DELETE FROM messages WHERE stream = 1 AND seq > 4",
                    "DELETE FROM commits WHERE stream = 1 AND last_seq > 4"], "message 5 is the first that is missing"),
    ("one changed, and the end gone", 6, [CHANGE.format(4), DELETE.format(6)],
     "message 4 is" + BY_CHECKPOINT.format(6) + UNLESS),
    ("one of several changed, and the end gone", 6, [CHANGE.format(2), DELETE.format(6)],
     "messages 1 to 3 hold" + BY_CHECKPOINT.format(6)),
    ("one changed, and shorter", 6,
     [CHANGE.format(1), "DELETE FROM messages WHERE stream = 1 AND seq > 4",
      "DELETE FROM commits WHERE stream = 1 AND last_seq > 4"], "messages 1 to 3 hold" + BY_CHECKPOINT.format(5)),
    ("one changed before one gone in the middle", 6, [CHANGE.format(1), DELETE.format(4)],
     "messages 1 to 3 hold" + BY_CHECKPOINT.format(4)),
    ("one changed, and an older store than the receipt", 7, [CHANGE.format(4)],
     "message 4 is" + BY_CHECKPOINT.format(7) + UNLESS),
    ("one gone before one changed", 6, [DELETE.format(4), CHANGE.format(5)], "message 4 is the first that is missing"),
    ("a checkpoint altered before one changed", 6, [DIGEST.format(3), CHANGE.format(5)],
     "messages 5 to 6" + SHARED + UNLESS),
    ("a checkpoint altered before one gone", 6, [DIGEST.format(3), DELETE.format(5)],
     "message 5 is the first that is missing"),
    ("a checkpoint altered right before one changed", 6, [DIGEST.format(3), CHANGE.format(4)],
     "messages 1 to 4 hold the first that differs (messages 1 to 3" + OR_ELSE),
    ("the last checkpoint altered too", 6, [DIGEST.format(6), CHANGE.format(4)],
     "message 4 is the first that differs" + UNLESS),
    ("a middle checkpoint altered right before one changed", 6, [DIGEST.format(4), CHANGE.format(5)],
     "messages 4 to 6 hold the first that differs (message 4" + OR_ELSE + UNLESS),
    ("all checkpoints altered too", 6, ["UPDATE commits SET digest = zeroblob(32)", CHANGE.format(6)],
     "messages 1 to 6 hold the first that differs (messages 1 to 3" + OR_ELSE),
    ("rewritten with its checkpoint", 6, [CHANGE.format(2), rewritten(3, b"one", b"x", b"three")],
     "message 4 is the first that differs" + UNLESS),
    ("changed under a head that counts less", 6, [CHANGE.format(5), "UPDATE streams SET last_seq = 3"],
     "messages 5 to 6" + SHARED + UNLESS),
    ("a checkpoint gone", 6, ["DELETE FROM commits WHERE stream = 1 AND last_seq = 4"],
     "message 4 is the first that is not where the store's checkpoints say"),
    ("two changed places", 6, ["UPDATE messages SET seq = 9 - seq WHERE stream = 1 AND seq IN (4, 5)"],
     "message 4 is the first that is not where the store's checkpoints say"),
    ("moved to another stream", 6, ["UPDATE messages SET stream = 2 WHERE stream = 1 AND seq = 4"],
     "message 4 is the first that is missing"),
    ("one twice", 6, ["UPDATE messages SET seq = 2 WHERE stream = 1 AND seq = 3"],
     "message 3 is the first that is missing; nothing tells without it whether messages 1 to 2 differ"),
)


class VerifyReceipt(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store.db"
        self.receipt = self.folder / "receipt.eml"
        store_maker.make(self.store)

    def make(self, messages=MESSAGES, certificate="server.crt", key="server.key", **options):
        options = {"identity": LOG[0], "stream": LOG[1], **options}
        self.receipt.write_bytes(receipt_maker.make(
            certificates.path(certificate), certificates.path(key), messages, **options))

    def verify(self, *arguments):
        return run("verify", "--receipt", self.receipt, "--cacert", certificates.path("ca.crt"), self.store,
                   *arguments)

    def assert_fault(self, words):
        status, output, errors = self.verify()
        self.assertEqual((status, output.decode()), (76, NOT_WHAT + words + "\n"), errors)
        self.assertIn("1 fault", errors)

    def test_a_store_holds_what_the_receipt_says(self):
        for count in (6, 5, 2, 0):
            self.make(MESSAGES[:count])
            self.assertEqual(self.verify(), (0, b"", AGREES.format(count)))

    def test_a_store_that_has_grown_since(self):
        self.make(MESSAGES[:4])
        store_maker.damage(self.store, "DELETE FROM messages WHERE seq > 4 AND stream = 1")
        self.assertEqual(self.verify()[0], 0)

    def test_the_first_message_that_differs(self):
        whole = shutil.copy(self.store, self.folder / "whole.db")
        for what, count, damage, words in DIFFERENCES:
            with self.subTest(what):
                shutil.copy(whole, self.store)
                store_maker.damage(self.store, *damage)
                self.make((MESSAGES + (b"seven",))[:count])
                self.assert_fault(words)

    def test_what_is_no_difference(self):
        """The receipt is compared with the messages alone."""
        whole = shutil.copy(self.store, self.folder / "whole.db")
        self.make()
        for what, damage in {
            "a checkpoint's digest": [DIGEST.format(3)],
            "the last checkpoint's digest": [DIGEST.format(6)],
            "all of them": ["UPDATE commits SET digest = x'00'"],
            "the head's digest": ["UPDATE streams SET digest = zeroblob(32)"],
            "the head's number": ["UPDATE streams SET last_seq = 3"],
            "another stream": ["DELETE FROM messages WHERE stream = 2"],
        }.items():
            with self.subTest(what):
                shutil.copy(whole, self.store)
                store_maker.damage(self.store, *damage)
                self.assertEqual(self.verify(), (0, b"", AGREES.format(6)))

    def test_a_message_altered_after_what_the_receipt_is_for(self):
        self.make(MESSAGES[:3])
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE stream = 1 AND seq = 4")
        self.assertEqual(self.verify()[0], 0)

    def test_a_store_restored_from_an_old_backup(self):
        self.make(MESSAGES + (b"seven",))
        self.assert_fault("message 7 is the first that is missing")

    def test_a_store_that_was_rewritten_as_a_whole(self):
        self.make((b"other",) + MESSAGES[1:])
        self.assert_fault(
            "messages 1 to 6 cannot be what was acknowledged, though the store agrees with itself: it was altered "
            "as a whole, or is another store")
        self.make((b"other",) + MESSAGES[1:5])
        self.assert_fault(
            "messages 1 to 5 cannot be what was acknowledged, though the store agrees with itself: it was altered "
            "as a whole, or is another store")

    def test_a_receipt_of_an_empty_stream_that_is_none(self):
        self.make(seq=0, digest="00" * 32)
        self.assert_fault("it is for no message, and yet not for an empty stream")

    def test_a_stream_that_the_store_does_not_have(self):
        self.make(stream="lost")
        self.assert_fault("messages 1 to 6 cannot be found: the store has no such stream")

    def test_faults_as_json(self):
        self.make(MESSAGES + (b"seven",))
        status, output, _ = self.verify("--json")
        fault, sums = map(json.loads, output.splitlines())
        self.assertEqual(status, 76)
        self.assertEqual((fault["stream"], fault["first_seq"], fault["last_seq"]), ("log", 7, 7))
        self.assertEqual(sums, {"streams": 1, "messages": 7, "checkpoints": 1, "faults": 1})

    def test_a_receipt_that_is_not_believed_proves_nothing(self):
        self.make(certificate="bad-unknown-ca.crt", key="bad-unknown-ca.key")
        status, output, errors = self.verify()
        self.assertEqual((status, output), (60, b""))
        self.assertIn("is from an unknown CA", errors)
        self.make()
        self.receipt.write_bytes(self.receipt.read_bytes().replace(b"seq: 6", b"seq: 5"))
        self.assertEqual(self.verify()[0], 60)
        self.receipt.write_bytes(b"hello")
        self.assertEqual(self.verify()[0], 74)

    def test_a_revoked_signer(self):
        authority = plain_servers.Certificates()
        authority.begin()
        leaf = authority.leaf()
        self.make(certificate=leaf, key=authority.key("server"))
        arguments = ("verify", "--receipt", self.receipt, "--cacert", authority.ca(), self.store, "--crlfile")
        self.assertEqual(run(*arguments, authority.crl())[0], 0)
        status, _, errors = run(*arguments, authority.crl(leaf))
        self.assertEqual(status, 60)
        self.assertIn("revoked", errors)

    def test_the_time_that_counts(self):
        ca, certificate, key = old_pair(self.folder)
        self.make(certificate=certificate, key=key, time_s=time.time() - 10 * DAY_S)
        for when, status in (("receipt", 0), ("now", 60), ("noon", 2)):
            self.assertEqual(
                run("verify", "--receipt", self.receipt, "--cacert", ca, "--at", when, self.store)[0], status)

    def test_usage(self):
        self.make()
        for arguments in (("--stream", "log"), ("--identity", "")):
            self.assertEqual(self.verify(*arguments)[0], 2)
        status, _, errors = run("verify", "--cacert", certificates.path("ca.crt"), self.store)
        self.assertEqual(status, 2)
        self.assertIn("are for --receipt", errors)


if __name__ == "__main__":
    unittest.main()
