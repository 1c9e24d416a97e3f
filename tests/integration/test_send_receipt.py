"""certpost send --receipt: from the request to a file that anybody can check.

The servers are certpostd, and scripted ones in Python that lie. What a receipt says is read with
tests/support/receipts.py and checked with the openssl program.

One case alone: ctest --preset dev -R 'integration.send_receipt.lying_servers'
"""

import json
import pathlib
import shutil
import signal
import tempfile
import unittest

import certificates as certs
import certpost1
import certpost_client
import processes
import receipts
import store_maker
from certified_servers import NAME, STREAM, SendCase, certificates
from certpost1_peer import Sender
from certpost_server import Server
from pki import Pki

MESSAGES = [b"one", b"two", b"three"]
INPUT = b"one\ntwo\nthree\n"
NO_RECEIPTS = "the server gives no receipts"


def setUpModule():
    certificates.begin()


class FolderCase(unittest.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "receipt.eml"
        self.store = self.folder / "store"

    def check_last(self, result, status, summary):
        self.assertEqual((result.status, result.errors[-1]), (status, f"certpost: {summary}"), result)

    def check_no_file(self):
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith("receipt")], [])


class RealCase(FolderCase):
    """certpost and certpostd, with the certificates of make-certs unless a test brings its own."""

    ca = None

    def serve(self, *options, **process):
        return Server("--store", self.store, *options, **process)

    def certpost(self, command, *arguments, **options):
        ca = self.ca or certs.path("ca.crt")
        return certpost_client.run(*command.split(), "--cacert", ca, *arguments, **options)

    def send(self, server, *arguments, data=INPUT, file=None):
        return self.certpost("send", "--stream", NAME, "--receipt", file or self.file, "--servername", "localhost",
                             *arguments, f"127.0.0.1:{server.port}", data=data)

    def send_lines(self, server, *arguments, data=INPUT, count=3, file=None):
        result = self.send(server, "-l", *arguments, data=data, file=file)
        self.assertEqual(result.status, 0, result)
        self.assertIn(f"{count} of {count} messages acknowledged", result.errors[-1])
        return result

    def check_receipt(self, messages=MESSAGES, file=None, identity="", **expected):
        """What openssl verifies is for these messages; returns the statement's fields."""
        said = receipts.verify_file(file or self.file, self.ca or certs.path("ca.crt"))
        digest = receipts.digest_of(messages, identity)
        wanted = {"stream": NAME, "identity": identity, "seq": str(len(messages)), "digest": digest.hex(),
                  **expected}
        self.assertEqual({name: said[name] for name in wanted}, wanted)
        return said

    def check_store(self, status, words="", file=None):
        result = self.certpost("verify", "--receipt", file or self.file, self.store)
        self.assertEqual(result.status, status, result)
        self.assertIn(words, "\n".join(result.output))


class TestReceipt(RealCase):
    def test_openssl_alone_accepts_it(self):
        with self.serve() as server:
            self.send_lines(server)
            server.wait_log("connection ended.* receipts=1 ")
        self.check_receipt(server="localhost")

    def test_certpost_checks_it_with_the_input(self):
        with self.serve() as server:
            self.send_lines(server)
        given = self.folder / "input"
        given.write_bytes(INPUT)
        good = self.certpost("receipt verify", "-l", "--servername", "localhost", self.file, given)
        self.assertEqual((good.status, good.output[-1]), (0, "input: agrees"), good)
        given.write_bytes(b"one\ntwo\nTHREE\n")
        self.assertEqual(self.certpost("receipt verify", "-l", self.file, given).status, 76)

    def test_an_identity_is_in_it(self):
        options = ("--client-verify", "require", "--client-ca", certs.path("ca.crt"))
        with self.serve(*options) as server:
            self.send_lines(server, "--cert", certs.path("client-sensor.crt"),
                            "--key", certs.path("client-sensor.key"))
        self.check_receipt(identity="uri:urn:certpost:sensor")

    def test_an_identity_that_the_server_does_not_ask_for(self):
        with self.serve() as server:
            self.send_lines(server, "--cert", certs.path("client-sensor.crt"),
                            "--key", certs.path("client-sensor.key"))
        self.check_receipt(identity="")

    def test_no_message_at_all(self):
        with self.serve() as server:
            self.send_lines(server, data=b"", count=0)
        self.check_receipt([])

    def test_name_of_the_server(self):
        with self.serve("--name", "post office \u00e4") as server:
            result = self.send_lines(server, "--json")
        self.assertEqual(json.loads(result.output[0])["server"], "post office \u00e4")
        self.check_receipt(server="post office \\xc3\\xa4")

    def test_events_as_json(self):
        with self.serve() as server:
            events = [json.loads(line) for line in self.send_lines(server, "--json").output]
        self.assertEqual(events[-2], {"event": "receipt", "stream": NAME, "seq": 3, "file": str(self.file)})
        self.assertIs(events[-1]["receipt"], True)

    def test_a_resumed_run_that_sends_nothing(self):
        with self.serve() as server:
            self.send_lines(server, "--resume")
            self.file.unlink()
            self.assertEqual(self.send(server, "-l", "--resume").errors[-1],
                             "certpost: 3 of 3 messages acknowledged, 0 stored, 3 already there")
        self.check_receipt()

    def test_a_spool(self):
        spool = self.folder / "spool"
        with self.serve() as server:
            port = server.port
        first = self.certpost("send", "--stream", NAME, "--spool", spool, "--retry-for", "0", "-l",
                              "--servername", "localhost", f"127.0.0.1:{port}", data=INPUT)
        self.assertEqual(first.status, 7, first)
        with self.serve() as server:
            self.assertEqual(self.send(server, "--spool", spool).status, 0)
            self.check_receipt()
            self.file.unlink()
            # Nothing is left in the spool, and the receipt is still to be had.
            self.assertEqual(self.send(server, "--spool", spool).status, 0)
        self.check_receipt()

    def test_written_to_a_pipe(self):
        with self.serve() as server:
            result = self.send_lines(server, file="/dev/stdout")
        self.assertEqual(result.output[0], "MIME-Version: 1.0")

    def test_a_file_that_cannot_be_written_is_said_before_anything_is_sent(self):
        with self.serve() as server:
            result = self.send(server, "-l", file=self.folder / "none" / "receipt.eml")
            self.check_last(result, 74, "0 of 0 messages acknowledged")
            self.assertRegex(result.errors[0], "cannot write the receipt .*/none/receipt.eml: No such file")

    def test_usage(self):
        for arguments in (("--plain",), ("--require", "accepted"), ("--receipt", "-")):
            result = certpost_client.run("send", "--receipt", self.file, *arguments, "127.0.0.1:1")
            self.assertEqual(result.status, 2, result)
            self.assertIn("receipt", result.errors[0])

    def test_the_frames_by_themselves(self):
        with self.serve() as server, Sender(STREAM, seq=0) as sender:
            self.assertTrue(sender.open(server.port)["receipts"])
            for count in range(4):
                said = receipts.verify_fields(*sender.request_receipt(), certs.path("ca.crt"))
                self.assertEqual((said["seq"], said["digest"]),
                                 (str(count), receipts.digest_of(MESSAGES[:count]).hex()))
                if count < 3:
                    sender.queue(MESSAGES[count])
                    sender.send_next()  # the request comes right behind it
            sender.leave()


class TestLibrary(RealCase):
    def test_a_program_of_one_s_own(self):
        program = certpost_client.BINARY.parent.parent / "examples" / "send_poll"
        with self.serve() as server, processes.Process(
                [program, "--host", f"127.0.0.1:{server.port}", "--servername", "localhost",
                 "--cacert", certs.path("ca.crt"),
                 "--stream", NAME, "--receipt", self.file]) as sender:
            sender.write(INPUT)
            sender.close_stdin()
            self.assertEqual(sender.wait(), 0, sender.report())
            self.assertIn("receipt up to 3", sender.stdout.lines)
            self.assertLess(sender.stdout.lines.index("receipt up to 3"), sender.stdout.lines.index("finished"))
        self.check_receipt()


class TestYearsLater(RealCase):
    def test_the_store_holds_what_the_receipt_says(self):
        with self.serve() as server:
            self.send_lines(server)
            self.certpost("send", "--stream", NAME, "-m", "later", "--servername", "localhost",
                          f"127.0.0.1:{server.port}")
        self.check_store(0)

    def test_an_altered_store(self):
        with self.serve() as server:
            for line in INPUT.splitlines(keepends=True):  # a commit each
                self.assertEqual(self.send(server, "-l", data=line).status, 0)
        store_maker.damage(self.store, "UPDATE messages SET body = 'x' WHERE seq = 2")
        self.check_store(76, "message 2 is the first that differs")

    def test_a_message_that_is_gone(self):
        with self.serve() as server:
            self.send_lines(server)
        store_maker.damage(self.store, "DELETE FROM messages WHERE seq = 2")
        self.check_store(76, "message 2 is the first that is missing")

    def test_a_store_that_was_cut(self):
        with self.serve() as server:
            self.send_lines(server)
        store_maker.damage(self.store, "DELETE FROM messages WHERE seq = 3")
        self.check_store(76, "message 3 is the first that is missing")

    def test_restarts_and_a_renewed_certificate(self):
        later = self.folder / "receipt-2.eml"
        with Pki() as pki:
            self.ca = pki.ca
            for name in ("first", "second"):
                pki.issue(name, ["localhost"])
            pair = {"cert": str(self.folder / "server.crt"), "key": str(self.folder / "server.key")}
            self.install(pki, "first")
            with self.serve(**pair) as server:
                self.send_lines(server)
            with self.serve(**pair) as server:
                self.install(pki, "second")
                server.send_signal(signal.SIGHUP)
                server.wait_log(" reloaded$")
                self.send_lines(server, data=b"four\n", count=1, file=later)
            self.check_receipt()
            self.check_receipt([*MESSAGES, b"four"], file=later)
            self.assertNotEqual(self.signer(self.file), self.signer(later))
            self.check_store(0)
            self.check_store(0, file=later)

    def install(self, pki, name):
        for end in ("crt", "key"):
            shutil.copy(pki.path(f"{name}.{end}"), self.folder / f"server.{end}")

    def signer(self, file):
        """The signer's certificate, by openssl."""
        output = self.folder / "signer"
        status, _, errors = processes.run(["openssl", "cms", "-verify", "-in", file, "-CAfile", self.ca,
                                           "-purpose", "sslserver", "-signer", output])
        self.assertEqual(status, 0, errors)
        return output.read_text()

    def test_the_certificate_that_sni_chose(self):
        with Pki() as pki:
            self.ca = pki.ca
            one = pki.issue("one", ["one.example"])
            two = pki.issue("two", ["two.example"], "rsa2048")
            with self.serve("--cert", two[0], "--key", two[1], cert=one[0], key=one[1]) as server:
                for name, other in (("one.example", "two.example"), ("two.example", "one.example")):
                    self.send_lines(server, "--servername", name, "--resume")
                    self.check_receipt(server="one.example")
                    self.assertEqual(self.certpost("receipt verify", "--servername", name, self.file).status, 0)
                    self.assertEqual(self.certpost("receipt verify", "--servername", other, self.file).status, 60)


class TestNoReceipts(RealCase):
    def check_refused(self, server, why):
        result = self.send(server, "-l")
        self.assertEqual(result.status, 65, result)
        self.assertIn(f"{NO_RECEIPTS}: {why}", result.errors[0])
        self.assertEqual(len(result.errors), 2)
        self.check_no_file()

    def test_a_key_that_cannot_sign(self):
        self.ca = certs.path("ed25519/ca.crt")
        with self.serve(cert="ed25519/server.crt", key="ed25519/server.key") as server:
            warned = any("no receipts with certificate" in line for line in server.stderr.lines)
            if not warned:
                processes.skip("this OpenSSL signs with Ed25519 in CMS")
            self.check_refused(server, "it cannot sign them")
        self.assertEqual(certpost_client.run("read", self.store).output, [])

    def test_a_server_without_a_store(self):
        with Server() as server:
            result = self.send(server, "-l")
            self.assertEqual(result.status, 65, result)
            self.assertIn("level", result.errors[0])
            self.assertEqual(server.received(), [])
        self.check_no_file()

    def test_a_request_to_a_server_without_receipts(self):
        with Server() as server, Sender(STREAM) as sender:
            self.assertFalse(sender.open(server.port)["receipts"])
            sender.frames.send(certpost1.encode(certpost1.RECEIPT_REQUEST))
            (kind, value), = sender.hear_end()
            self.assertEqual((kind, value["code"]), (certpost1.GOAWAY, certpost1.CODES["protocol"]))


class LyingCase(FolderCase, SendCase):
    """Scripted servers: they take one message, and have something to say when a receipt is wanted."""

    def setUp(self):
        super().setUp()
        self.pair = certificates.leaf("server"), certificates.key("server")
        self.good = receipts.digest_of([b"hello"])

    def script(self, answer):
        def play(peer):
            peer.greet(receipts=True).take().ack().request()
            answer(peer)
            peer.receive()
        return play

    def signed(self, seq=1, digest=None, pair=None, **changes):
        statement = receipts.write(seq, digest or self.good, **changes)
        return statement, receipts.sign(statement, *(pair or self.pair))

    def ask(self, server, *arguments):
        return self.send(server, "-m", "hello", "--receipt", self.file, *arguments)


class TestOtherServers(LyingCase):
    def test_a_server_that_knows_only_the_documents(self):
        def sign(name, seq, digest):
            statement = receipts.write(seq, digest, stream=name.decode())
            return statement, receipts.sign(statement, *self.pair)
        with self.server(receipt=sign) as server:
            result = self.ask(server)
        self.check_last(result, 0, "1 of 1 messages acknowledged")
        self.assertEqual(receipts.verify_file(self.file, certificates.ca())["seq"], "1")

    def check_lie(self, answer, status, words):
        self.file.write_bytes(b"an older receipt")
        self.streams.messages.clear()
        self.streams.digests.clear()
        with self.server(self.script(answer)) as server:
            result = self.ask(server)
        self.check_last(result, status, "1 of 1 messages acknowledged")
        self.assertRegex(result.errors[-2], words)
        self.assertEqual(self.file.read_bytes(), b"an older receipt")

    def test_lying_servers(self):
        other = certificates.leaf("other"), certificates.key("other")
        for answer, status, words in (
                (self.signed(seq=2), 76, "goes up to message 2, 1 were acknowledged"),
                (self.signed(seq=0), 76, "goes up to message 0"),
                (self.signed(digest=bytes(32)), 76, "other messages than those that were sent"),
                (self.signed(stream="others"), 76, "another stream"),
                (self.signed(identity="dns:else.example"), 76, "another identity"),
                (self.signed(pair=other), 60, "another certificate"),
                (self.signed(version="2"), 76, "the receipt's text"),
                ((b"hello", self.signed()[1]), 76, "the receipt's text"),
                ((self.signed()[0], b"hello"), 60, "signature"),
                ((self.signed()[0], self.signed(seq=2)[1]), 60, "signature")):
            with self.subTest(words):
                self.check_lie(lambda peer, fields=answer: peer.receipt(*fields), status, words)

    def test_an_identity_of_another_origin(self):
        """The own identity, in a stream whose digests were made without one."""
        client = certificates.leaf("client", names="DNS:sensor.example", purpose="clientAuth")
        answer = self.signed(identity="dns:sensor.example")
        with self.server(self.script(lambda peer: peer.receipt(*answer))) as server:
            result = self.ask(server, "--cert", client, "--key", certificates.key("client"))
        self.assertEqual(result.status, 76, result)
        self.assertIn("names another identity than its digest is made with", result.errors[-2])
        self.check_no_file()

    def test_a_broken_protocol_in_place_of_the_receipt(self):
        for answer in (lambda peer: peer.ack(), lambda peer: peer.receipt(b"", b""),
                       lambda peer: peer.frames.send(b"\x0b\xff\xff\xff"), lambda peer: peer.welcome()):
            self.check_lie(answer, 76, ".")

    def test_no_answer(self):
        with self.server(lambda peer: peer.greet(receipts=True).take().ack().request().receive()) as server:
            result = self.ask(server, "--ack-timeout", "300ms", "--retry-for", "0")
        self.check_last(result, 28, "1 of 1 messages acknowledged")
        self.assertIn("did not send the receipt in time", result.errors[-2])
        self.check_no_file()

    def test_an_end_in_place_of_the_receipt_is_tried_again(self):
        answer = self.signed()
        with self.server(
                lambda peer: peer.greet(receipts=True).take().ack().request().cut(),
                lambda peer: peer.greet(receipts=True).request().go_away("internal").end(),
                lambda peer: peer.greet(receipts=True).request().receipt(*answer).receive()) as server:
            result = self.ask(server, "-q")
        self.check_last(result, 0, "1 of 1 messages acknowledged")
        self.assertEqual(self.stored(), [b"hello"])
        receipts.verify_file(self.file, certificates.ca())

    def test_a_server_that_never_signs_is_not_asked_for_ever(self):
        refuse = [lambda peer: peer.greet(receipts=True).take().ack().request().go_away("internal", "no").end()]
        refuse += [lambda peer: peer.greet(receipts=True).request().go_away("internal", "no").end()] * 30
        with self.server(*refuse) as server:
            result = self.ask(server, "-q", "--retry-for", "400ms")
        self.check_last(result, 28, "1 of 1 messages acknowledged")
        self.assertIn("(internal): no", result.errors[-2])
        self.check_no_file()

    def test_a_server_without_receipts_is_sent_nothing(self):
        with self.server() as server:
            result = self.ask(server)
        self.check_last(result, 65, "0 of 1 messages acknowledged")
        self.assertIn(NO_RECEIPTS, result.errors[0])
        self.assertEqual(self.stored(), [])

    def test_a_spool_keeps_what_a_server_without_receipts_was_not_sent(self):
        with self.server() as server:
            result = self.ask(server, "--spool", self.folder / "spool")
        self.assertEqual(result.status, 65, result)
        self.assertIn("1 left in the spool", result.errors[-1])
        self.assertEqual(self.stored(), [])


if __name__ == "__main__":
    unittest.main()
