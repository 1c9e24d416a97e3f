"""Receipts that take long: a worker serves others meanwhile, connections go, the server ends.

A preloaded library holds each signature until the test lets it go, so that nothing here depends on
how fast a key is.

One case alone: ctest --preset dev -R 'integration.signing.others_are_served'
"""

import contextlib
import os
import pathlib
import signal
import tempfile
import threading
import unittest

import certificates as certs
import certpost1
import certpost1_peer
import processes
import receipts
from certpost1 import CODES, GOAWAY, RECEIPT, RECEIPT_REQUEST
from certpost1_peer import Sender
from certpost_server import Server

SHIM = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"]) / "tests" / "libhold_signing.so"
ASKERS = 100
EXCHANGES = 50
HEARD = {certpost1.ACK, RECEIPT, GOAWAY, certpost1.PONG}


class SigningCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.pipe = self.folder / "hold"
        os.mkfifo(self.pipe)
        self._gate = os.open(self.pipe, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, self._gate)
        self.let(1)  # the server tries its key at the start

    def let(self, count, verdict=b"k"):
        """So many signatures may be made, or fail."""
        os.write(self._gate, verdict * count)

    def serve(self, *options):
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return Server("--store", self.folder / "store", *options,
                      environment={"LD_PRELOAD": str(SHIM), "HOLD_SIGNING": str(self.pipe),
                                   "ASAN_OPTIONS": asan})

    def asking(self, stack, server, name):
        """A client that has asked for a receipt. The server has read that."""
        sender = stack.enter_context(Sender(name, seq=0))
        sender.open(server.port)
        sender.frames.send(certpost1.encode(RECEIPT_REQUEST))
        sender.ping()
        return sender

    @staticmethod
    def lets_in(server):
        try:
            certpost1_peer.open_tls(server.port).close()
        except OSError:
            return False
        return True

    def check_receipt(self, received):
        kind, fields = received
        self.assertEqual(kind, RECEIPT)
        return receipts.read(fields["statement"])


class Signing(SigningCase):
    def test_others_are_served(self):
        """One worker, a hundred receipts that are not signed, and an honest client beside them."""
        with self.serve("--workers", "1") as server, contextlib.ExitStack() as stack:
            askers = [self.asking(stack, server, f"idle {number}".encode()) for number in range(ASKERS)]
            with Sender(b"honest", seq=0) as honest:
                honest.open(server.port)
                for number in range(EXCHANGES):
                    honest.send_all([b"message %d" % number])
                honest.leave()
            for asker in askers:
                asker.ping()  # the connections that wait are served too; nothing else has come
            self.let(ASKERS)
            said = [self.check_receipt(asker.frames.receive(HEARD)) for asker in askers]
            self.assertEqual([line["stream"] for line in said], [f"idle {n}" for n in range(ASKERS)])
            for asker in askers:
                asker.leave()

    def test_two_workers_and_all_at_once(self):
        failures = []

        def work(server, number):
            try:
                with Sender(f"stream {number}".encode(), seq=0) as sender:
                    sender.open(server.port)
                    for count in range(5):
                        sender.queue(b"message %d" % count)
                        sender.send_next()
                        said = receipts.read(sender.request_receipt()[0])
                        if (said["stream"], said["seq"]) != (f"stream {number}", str(count + 1)):
                            raise AssertionError(said)
                    sender.leave()
            except Exception as failure:  # noqa: BLE001 - told below
                failures.append(failure)

        self.let(40)
        with self.serve("--workers", "2") as server:
            threads = [threading.Thread(target=work, args=(server, number)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(processes.DEADLINE_S)
        self.assertEqual(failures, [])

    def test_a_client_that_does_not_wait(self):
        with self.serve("--workers", "1") as server:
            with contextlib.ExitStack() as stack:
                self.asking(stack, server, b"first")
                self.asking(stack, server, b"second")
            server.wait_log("connection ended.*stream=(?:first|second)")
            server.wait_log("connection ended.*stream=(?:first|second)")
            with contextlib.ExitStack() as stack:
                third = self.asking(stack, server, b"third")
                self.let(2)  # the one that had begun, and the third: nobody signs for the second
                self.assertEqual(self.check_receipt(third.frames.receive(HEARD))["stream"], "third")
                third.leave()

    def test_a_signature_that_fails(self):
        with self.serve() as server, contextlib.ExitStack() as stack:
            asker = self.asking(stack, server, b"log")
            self.let(1, b"f")
            (kind, value), = asker.hear_end()
            self.assertEqual((kind, value["code"]), (GOAWAY, CODES["internal"]))
            self.assertIn(b"could not sign", value["text"])
            server.wait_log("error a receipt could not be signed reason=")
            server.wait_log("connection ended.*reason=receipt.*cannot be signed")
            again = self.asking(stack, server, b"log")
            self.let(1)
            self.check_receipt(again.frames.receive(HEARD))
            again.leave()

    def test_a_drain_waits_for_the_signature(self):
        with self.serve() as server, contextlib.ExitStack() as stack:
            asker = self.asking(stack, server, b"log")
            server.send_signal(signal.SIGTERM)
            server.wait_log("stopping")
            processes.wait_until(server, lambda: not self.lets_in(server), "the end of listening")
            self.let(1)
            self.check_receipt(asker.frames.receive(HEARD))
            (kind, value), = asker.hear_end()
            self.assertEqual((kind, value["code"]), (GOAWAY, CODES["shutting_down"]))
            self.assertEqual(server.wait(), 0)

    def test_a_drain_does_not_wait_for_ever(self):
        with self.serve("--drain-timeout", "300ms") as server, contextlib.ExitStack() as stack:
            asker = self.asking(stack, server, b"log")
            server.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError, certpost1.Truncated):
                self.assertEqual(asker.hear_end(), [])
            self.let(1)
            self.assertEqual(server.wait(), 0)

    def test_receipts_are_not_stored_up(self):
        """A second request before the first answer breaks the protocol: what waits is bounded."""
        with self.serve() as server, contextlib.ExitStack() as stack:
            asker = self.asking(stack, server, b"log")
            asker.frames.send(certpost1.encode(RECEIPT_REQUEST))
            (kind, value), = asker.hear_end()
            self.assertEqual((kind, value["code"]), (GOAWAY, CODES["protocol"]))
            self.let(1)

    def test_certificates_used_are_those_of_the_connection(self):
        """A reload while a receipt waits: it is still signed with the certificate that was shown."""
        with self.serve("--workers", "1") as server, contextlib.ExitStack() as stack:
            asker = self.asking(stack, server, b"log")
            server.send_signal(signal.SIGHUP)
            self.let(2)
            server.wait_log(" reloaded$")
            kind, fields = asker.frames.receive(HEARD)
            self.assertEqual(kind, RECEIPT)
            receipts.verify_fields(fields["statement"], fields["signature"], certs.path("ca.crt"))
            asker.leave()


if __name__ == "__main__":
    unittest.main()
