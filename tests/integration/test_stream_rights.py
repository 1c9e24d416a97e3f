"""Who has no right to an identity cannot write its streams, take them over, resume them, or learn of them."""

import json
import unittest

import certificates as certs
import certpost_client
import processes
from certpost1_peer import StoreFile
from certpost_server import Server
from store_check import StoreCheck

STREAM = "ledger"
OWNER = "uri:urn:certpost:sensor"
LINES = b"first\nsecond\nthird\n"
OWN_CERTIFICATE_STATUS = 58
ACKNOWLEDGED = 0


def pair(name):
    return ("--cert", certs.path(f"{name}.crt"), "--key", certs.path(f"{name}.key"))


class StreamRights(unittest.TestCase):
    def setUp(self):
        self.store = StoreFile()
        self.addCleanup(self.store.__exit__)

    def serve(self, *options):
        return Server("--store", self.store.path, "--client-ca", certs.path("ca.crt"), *options)

    def arguments(self, server, *options):
        return ("send", "-l", "--json", "--cacert", certs.path("ca.crt"), "--stream", STREAM, *options, server.address)

    def start_owner(self, server):
        """Its connection stays open while the others try."""
        owner = processes.Process([certpost_client.BINARY, *self.arguments(server, *pair("client-sensor"))],
                                  environment={"SSLKEYLOGFILE": ""})
        self.addCleanup(owner.kill)
        owner.write(LINES)
        owner.stdout.wait_line(r'.*"acked".*"seq":3,.*')
        return owner

    def send(self, server, *options, data=b"mine\n"):
        result = certpost_client.run(*self.arguments(server, "--retry-for", "0", *options), data=data)
        return result, [json.loads(line) for line in result.output]

    def check_owner(self, owner):
        """It was not superseded, and its stream goes on where it was."""
        owner.write(b"fourth\n")
        owner.stdout.wait_line(r'.*"acked".*"seq":4,.*')
        owner.close_stdin()
        self.assertEqual(owner.wait(), 0)
        self.assertNotIn(b'"disconnected"', owner.stdout.data)
        with StoreCheck(self.store.path) as store:
            store.check()
            self.assertEqual(list(store.messages((OWNER, STREAM))), (LINES + b"fourth\n").splitlines())

    def check_has_an_own_stream(self, server, *options):
        """Of the same name, and empty, although the other one has three messages."""
        result, events = self.send(server, *options)
        self.assertEqual(result.status, ACKNOWLEDGED, result)
        self.assertEqual((events[0]["event"], events[0]["last_seq"]), ("connected", 0))
        self.assertEqual(events[-1]["last_seq"], 1)
        # The owner's lines are compared with this stream, not with the owner's.
        result, events = self.send(server, "--resume", *options, data=b"mine\n" + LINES)
        self.assertEqual((result.status, events[-1]["already_there"]), (ACKNOWLEDGED, 1), result)

    def check_is_refused(self, server, *options):
        """Nothing of certpost/1 is said to it, so there is nothing to learn."""
        result, events = self.send(server, *options)
        self.assertEqual(result.status, OWN_CERTIFICATE_STATUS, result)
        self.assertEqual([event["event"] for event in events if event["event"] == "connected"], [])
        self.assertEqual((events[-1]["acked"], events[-1]["last_seq"]), (0, 0))

    def test_another_identity_has_another_stream(self):
        with self.serve("--client-verify", "optional") as server:
            owner = self.start_owner(server)
            self.check_has_an_own_stream(server)
            self.check_has_an_own_stream(server, *pair("client"))
            self.check_is_refused(server, *pair("bad-client-unknown-ca"))
            self.check_is_refused(server, *pair("bad-client-expired"))
            self.check_owner(owner)
        with StoreCheck(self.store.path) as store:
            self.assertEqual(len(store.keys), 3)

    def test_who_is_not_admitted_learns_nothing(self):
        with self.serve("--allow-uri", "urn:certpost:sensor") as server:
            owner = self.start_owner(server)
            self.check_is_refused(server)
            self.check_is_refused(server, *pair("client"))
            self.check_is_refused(server, "--resume", *pair("client"))
            self.check_owner(owner)
        with StoreCheck(self.store.path) as store:
            self.assertEqual(store.keys, [(OWNER, STREAM)])


if __name__ == "__main__":
    unittest.main()
