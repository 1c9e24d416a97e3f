"""A client and a server on two hosts, and what happens between them.

The network here is as quick as memory, so each time is the programs' own: what is asserted are their
configured deadlines, and that nothing is lost, doubled or out of order whatever the network did.
"""

import json
import os
import tempfile
import time
import unittest

import certificates as certs
import certpost_client
import hosts
import processes
import store_check
from certpost_server import Server

PORT = 8443
ACK_TIMEOUT_S = 1
CONNECT_TIMEOUT_S = 1
IDLE_TIMEOUT_S = 2
LINGER_S = 5  # docs/limits.md: how long the server waits for the other side to close
BACKOFF_CAP_S = 10  # these two are the client's own
PING_TIMEOUT_S = 10
# From the moment at which the network is whole again: an attempt that is under way may have to fail, the
# longest pause between two may have just begun, and the next one connects.
RECOVERY_S = (CONNECT_TIMEOUT_S + BACKOFF_CAP_S + CONNECT_TIMEOUT_S + 2) * processes.SCALE
# From the first message that is not answered to the end of its connection.
NOTICE_S = (ACK_TIMEOUT_S + 2) * processes.SCALE
# A client that waits for input asks three times within the server's idle timeout whether it is there.
IDLE_NOTICE_S = (IDLE_TIMEOUT_S / 3 + PING_TIMEOUT_S + 2) * processes.SCALE


class Sender:
    """`certpost send -l --json` on the client's host, fed line by line."""

    def __init__(self, pair, *options, host=hosts.SERVER_ADDRESS):
        self.count = 0
        self.process = processes.Process(
            [
                *pair.client.prefix, certpost_client.BINARY, "send", "-l", "--json",
                "--cacert", certs.path("ca.crt"), "--servername", "localhost", "--stream", "hosts",
                "--connect-timeout", f"{CONNECT_TIMEOUT_S}s", "--ack-timeout", f"{ACK_TIMEOUT_S}s",
                "--retry-for", "120s", *options, f"{host}:{PORT}",
            ],
            name="certpost",
        )  # fmt: skip

    def send(self, count):
        lines = range(self.count + 1, self.count + count + 1)
        self.process.write("".join(f"line {number}\n" for number in lines).encode())
        self.count += count

    def wait_event(self, kind, timeout_s=None, **fields):
        """The next event of that kind with these fields; events are handed out once."""

        def found():
            while self._unread():
                event = json.loads(self._lines[self._read])
                self._read += 1
                if event["event"] == kind and all(event.get(name) == value for name, value in fields.items()):
                    return event
            return None

        return self.process.stdout.wait(found, f"the event {kind} {fields}", timeout_s)

    _read = 0

    def _unread(self):
        # Within Output.wait the lock is held, so the list is looked at as it is.
        self._lines = self.process.stdout._lines
        return self._read < len(self._lines)

    def wait_acked(self, timeout_s=None):
        return self.wait_event("acked", timeout_s, seq=self.count)

    def finish(self):
        """Ends the input; all must have been acknowledged."""
        self.process.close_stdin()
        status = self.process.wait()
        if status != 0:
            raise AssertionError(f"certpost ended with {status}\n{self.process.report()}")

    def __enter__(self):
        self.process.__enter__()
        return self

    def __exit__(self, *outcome):
        self.process.__exit__(*outcome)


class HostsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.store = os.path.join(self.folder.name, "store.db")
        self.pair = hosts.Pair()
        self.addCleanup(self.pair.__exit__, None, None, None)

    def serve(self, *options, listen=f"{hosts.SERVER_ADDRESS}:{PORT}"):
        return Server(
            "--store", self.store, "--idle-timeout", f"{IDLE_TIMEOUT_S}s", *options,
            listen=(listen,), prefix=self.pair.server.prefix,
        )  # fmt: skip

    def check_store(self, count):
        """All lines are there, once and in order, under digests that are right."""
        with store_check.StoreCheck(self.store) as store:
            store.check()
            messages = list(store.messages(("", "hosts")))
        self.assertEqual(messages, [f"line {number}".encode() for number in range(1, count + 1)])

    def test_two_hosts(self):
        with self.serve(), Sender(self.pair) as sender:
            sender.send(1000)
            sender.wait_acked()
            sender.finish()
        self.check_store(1000)

    def test_cable_pulled_and_put_back(self):
        with self.serve(), Sender(self.pair) as sender:
            sender.send(10)
            sender.wait_acked()
            self.pair.server.disconnect()
            sender.send(10)
            sender.wait_event("disconnected", NOTICE_S)
            self.pair.server.connect()
            sender.wait_acked(RECOVERY_S)
            sender.finish()
        self.check_store(20)

    def test_answers_lost_on_their_way(self):
        with self.serve(), Sender(self.pair) as sender:
            sender.send(10)
            sender.wait_acked()
            self.pair.client.drop_incoming()
            sender.send(10)
            sender.wait_event("disconnected", NOTICE_S)
            self.pair.client.accept_incoming()
            # They had arrived: WELCOME says so, and nothing is sent twice.
            sender.wait_event("connected", RECOVERY_S, last_seq=20)
            sender.finish()
        self.check_store(20)

    def test_messages_lost_on_their_way(self):
        with self.serve(), Sender(self.pair) as sender:
            sender.send(10)
            sender.wait_acked()
            self.pair.server.drop_incoming()
            sender.send(10)
            sender.wait_event("disconnected", NOTICE_S)
            self.pair.server.accept_incoming()
            sender.wait_acked(RECOVERY_S)
            sender.finish()
        self.check_store(20)

    def test_server_moves_to_another_address(self):
        if not hosts.names_can_be_set():
            processes.skip("there is no /etc/hosts that could be replaced")
        names = os.path.join(self.folder.name, "hosts")
        self.pair.client.write_hosts(names, [f"{hosts.SERVER_ADDRESS} post.example"])
        self.pair.client.use_hosts(names)
        with self.serve(listen=f"0.0.0.0:{PORT}"), Sender(self.pair, host="post.example") as sender:
            sender.send(10)
            sender.wait_acked()
            self.pair.server.remove_address(hosts.SERVER_ADDRESS)
            self.pair.server.add_address(hosts.SERVER_OTHER_ADDRESS)
            self.pair.client.write_hosts(names, [f"{hosts.SERVER_OTHER_ADDRESS} post.example"])
            sender.send(10)
            sender.wait_event("disconnected", NOTICE_S)
            sender.wait_acked(RECOVERY_S)
            sender.finish()
        self.check_store(20)

    def test_check_tells_of_each_address(self):
        """One address refuses, one takes the connection: a warning, and with --strict the exit status."""
        if not hosts.names_can_be_set():
            processes.skip("there is no /etc/hosts that could be replaced")
        names = os.path.join(self.folder.name, "hosts")
        self.pair.client.write_hosts(names, [f"{address} post.example"
                                             for address in (hosts.CLIENT_ADDRESS, hosts.SERVER_ADDRESS)])
        self.pair.client.use_hosts(names)
        with self.serve(listen=f"0.0.0.0:{PORT}"):
            for options, status in (((), 0), (("--strict",), 7)):
                found, output = self.check("post.example", *options)
                self.assertEqual(found, status, output)
                self.assertIn("post.example has 2 addresses", output)
                self.assertRegex(output, rf"warning +tcp +{hosts.CLIENT_ADDRESS}:{PORT}: connection refused")
                self.assertRegex(output, rf"ok +tcp +{hosts.SERVER_ADDRESS}:{PORT}: connected")
                self.assertRegex(output, r"ok +time ")

    def test_check_of_a_server_behind_a_wall(self):
        self.pair.server.drop_incoming()
        status, output = self.check(hosts.SERVER_ADDRESS)
        self.assertEqual(status, 28, output)
        self.assertRegex(output, rf"FAIL +tcp +{hosts.SERVER_ADDRESS}:{PORT}: no TCP connection in time")

    def check(self, host, *options):
        status, output, _ = processes.run(
            [*self.pair.client.prefix, certpost_client.BINARY, "check", "--cacert", certs.path("ca.crt"),
             "--servername", "localhost", "--connect-timeout", f"{CONNECT_TIMEOUT_S}s", *options, f"{host}:{PORT}"])
        return status, output

    def test_server_vanishes_and_comes_back(self):
        """Power fails at the server: no FIN, no RST, and then a server that knows nothing of the connection."""
        with Sender(self.pair) as sender:
            with self.serve() as server:
                sender.send(10)
                sender.wait_acked()
                self.pair.server.disconnect()
                server.kill()
            with self.serve():
                self.pair.server.connect()
                sender.send(10)
                sender.wait_acked(NOTICE_S + RECOVERY_S)
                sender.finish()
        self.check_store(20)

    def test_idle_client_notices_that_the_server_vanished(self):
        """It has nothing to send: its own pings tell it."""
        with Sender(self.pair) as sender, self.serve() as server:
            sender.send(10)
            sender.wait_acked()
            self.pair.server.disconnect()
            sender.wait_event("disconnected", IDLE_NOTICE_S)
            self.pair.server.connect()
            sender.wait_event("connected", RECOVERY_S)
            sender.finish()
            server.stop()
        self.check_store(10)

    def test_server_notices_that_the_client_vanished(self):
        with self.serve() as server, Sender(self.pair) as sender:
            sender.send(10)
            sender.wait_acked()
            self.pair.client.disconnect()
            began = time.monotonic()
            server.wait_log("connection ended.*timeout", (IDLE_TIMEOUT_S + LINGER_S + 3) * processes.SCALE)
            self.assertGreaterEqual(time.monotonic() - began, IDLE_TIMEOUT_S / 2)
            self.pair.client.connect()
            sender.wait_event("connected", RECOVERY_S)
            sender.finish()
        self.check_store(10)


if __name__ == "__main__":
    unittest.main()
