"""certpost verify --receipt: a store that holds what the receipt says, and every way not to."""

import json
import pathlib
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

    def test_an_altered_message_is_named_by_its_commit(self):
        self.make()
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE stream = 1 AND seq = 4")
        self.assert_fault("message 4 is the first that differs")
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE stream = 1 AND seq = 2")
        self.assert_fault("messages 1 to 3 hold the first that differs (they share a checkpoint)")
        self.make(MESSAGES[:2])
        self.assert_fault("messages 1 to 2 hold the first that differs (they share a checkpoint)")

    def test_a_message_altered_after_what_the_receipt_is_for(self):
        self.make(MESSAGES[:3])
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE stream = 1 AND seq = 4")
        self.assertEqual(self.verify()[0], 0)

    def test_missing_messages(self):
        self.make()
        store_maker.damage(self.store, "DELETE FROM messages WHERE stream = 1 AND seq = 6")
        self.assert_fault("message 6 is the first that is missing")
        store_maker.damage(self.store, "DELETE FROM messages WHERE stream = 1 AND seq = 3")
        self.assert_fault("message 3 is the first that is missing")

    def test_a_store_restored_from_an_old_backup(self):
        self.make(MESSAGES + (b"seven",))
        self.assert_fault("message 7 is the first that is missing")

    def test_a_store_that_was_rewritten_as_a_whole(self):
        self.make((b"other",) + MESSAGES[1:])
        self.assert_fault(
            "messages 1 to 6 are not those that were acknowledged, though the store agrees with itself: it "
            "was altered as a whole, or is another store")

    def test_a_stream_that_the_store_does_not_have(self):
        self.make(stream="lost")
        self.assert_fault("messages 1 to 6 are missing: the store has no such stream")

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
