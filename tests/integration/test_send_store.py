"""certpost send against certpostd with a store: what it says was acknowledged is what is there."""

import contextlib
import json
import os
import pathlib
import signal
import tempfile
import threading
import unittest

import certificates as certs
import certpost_client
import processes
from certpost_server import Server
from plain_servers import read_line
from store_check import StoreCheck

STREAM = "orders"
KEY = ("", STREAM)
PATIENCE_S = processes.DEADLINE_S
MEBIBYTE = 1 << 20


class StoreCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store"

    def server(self, *options, listen="127.0.0.1:0"):
        return Server("--store", self.store, *options, listen=(listen,))

    @staticmethod
    def arguments(*arguments):
        return ("send", "--cacert", certs.path("ca.crt"), "--stream", STREAM, *arguments)

    def send(self, *arguments, **options):
        return certpost_client.run(*self.arguments(*arguments), **options)

    def start(self, *arguments, **options):
        return processes.Process([certpost_client.BINARY, *self.arguments(*arguments)],
                                 environment={"SSLKEYLOGFILE": ""}, **options)

    def check_stored(self, messages):
        with StoreCheck(self.store) as store:
            store.check()
            self.assertEqual([bytes(message) for message in store.messages(KEY)], list(messages))

    def check_last(self, result, status, summary):
        self.assertEqual((result.status, result.errors[-1]), (status, f"certpost: {summary}"), result)


class TestStore(StoreCase):
    def test_hello(self):
        with self.server() as server:
            result = self.send(server.address)
        self.assertEqual(result.output, ["Received from server: Message received!"])
        self.check_last(result, 0, "1 of 1 messages acknowledged")
        self.check_stored([b"Hello, server!"])

    def test_a_million_lines_and_again(self):
        """The same input again stores nothing, and says so."""
        path = self.folder / "input"
        count = 1_000_000 // processes.SCALE
        path.write_text("".join(f"{number}\n" for number in range(1, count + 1)), encoding="ascii")
        with self.server() as server:
            for stored, already_there in ((count, 0), (0, count)):
                with open(path, "rb") as lines:
                    result = self.send(server.address, "-l", "--resume", stdin=lines, data=None)
                self.check_last(result, 0, f"{count} of {count} messages acknowledged, {stored} "
                                f"stored, {already_there} already there")
        with StoreCheck(self.store) as store:
            self.assertEqual(store.head(KEY)[0], count)
            found = enumerate(store.messages(KEY), 1)
            self.assertTrue(all(bytes(message) == b"%d" % number for number, message in found))

    def test_what_json_says_was_acknowledged_is_there(self):
        with self.server() as server:
            result = self.send(server.address, "--json", "-l", data=b"line\n" * 5000)
        events = [json.loads(line) for line in result.output]
        acked = [event["seq"] for event in events if event["event"] == "acked"]
        self.assertEqual((result.status, acked[-1], events[-1]["acked"]), (0, 5000, 5000))
        with StoreCheck(self.store) as store:
            store.check()
            self.assertEqual(store.head(KEY)[0], acked[-1])

    def test_a_server_that_is_killed_and_started_again_in_between(self):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self.server())
            client = stack.enter_context(self.start("-l", server.address))
            client.write(b"before\n" * 100)
            client.stderr.stays_silent(0)
            processes.wait_until(client, lambda: self.count() >= 100, "the first hundred")
            address = server.address
            server.kill()
            client.write(b"between\n" * 100)
            client.stderr.wait_line(r"certpost: .*; trying again")
            stack.enter_context(self.server(listen=address))
            client.stderr.wait_line(r"certpost: .*: connected again")
            client.write(b"after\n" * 100)
            client.close_stdin()
            self.assertEqual(client.wait(), 0)
            self.assertEqual(client.stderr.lines[-1], "certpost: 300 of 300 messages acknowledged")
        self.check_stored([b"before"] * 100 + [b"between"] * 100 + [b"after"] * 100)

    def test_a_server_that_goes_for_good(self):
        with self.server() as server, self.start(
                "--json", "-l", "--retry-for", "300ms", server.address) as client:
            client.write(b"one\n")
            client.stdout.wait_line(r'.*"acked".*')
            server.kill()
            client.write(b"two\n")
            client.close_stdin()
            self.assertEqual(client.wait(), 75)
            failed = json.loads(client.stdout.lines[-2])
            self.assertEqual((failed["event"], failed["status"]), ("failed", "connect"))
            self.assertEqual(client.stderr.lines[-1], "certpost: 1 of 2 messages acknowledged")

    def count(self):
        with StoreCheck(self.store) as store:
            return store.head(KEY)[0] if KEY in store.keys else 0

    def test_two_senders_of_one_stream(self):
        with self.server() as server, self.start("--json", "-l", server.address) as older:
            older.write(b"one\n")
            older.stdout.wait_line(r'.*"acked".*')
            self.check_last(self.send(server.address, "-m", "two"), 0, "1 of 1 messages acknowledged")
            failed = json.loads(older.stdout.wait_line(r'.*"failed".*').group())
            self.assertEqual((failed["status"], failed["code"]), ("superseded", 4))
            self.assertEqual(older.wait(), 75)
            self.assertEqual(older.stderr.lines[-1], "certpost: 1 of 1 messages acknowledged")
        self.check_stored([b"one", b"two"])

    def test_two_servers_in_turn(self):
        with self.server() as server:
            gone = server.address
        with self.server() as server:
            self.check_last(self.send(gone, server.address), 0, "1 of 1 messages acknowledged")
        self.check_stored([b"Hello, server!"])

    def test_the_server_s_limit(self):
        with self.server("--max-message", "100") as server:
            result = self.send(server.address, "-l", data=b"one\n" + b"x" * 101 + b"\ntwo\n")
        self.check_last(result, 65, "1 of 2 messages acknowledged")
        self.check_stored([b"one"])


class TestMemory(StoreCase):
    def test_a_big_input_does_not_grow_memory(self):
        """200 MB through a pipe: the high-water mark of the client stays where it was."""
        block = b"".join(b"%0199d\n" % number for number in range(5000))
        count = 200_000_000 // len(block) // processes.SCALE
        with self.server() as server, self.start("-l", "--json", server.address) as client:
            pump = threading.Thread(target=self.pump, args=(client, block, count))
            pump.start()
            done = client.stdout.wait_line(r'.*"done".*', 240)
            pump.join()
            self.assertEqual(json.loads(done.group())["acked"], count * 5000)
            self.assertEqual(client.wait(), 0)
        self.assertLess(self.peak_bytes, 64 * MEBIBYTE * (8 if processes.SANITIZER else 1))

    def pump(self, client, block, count):
        """Its own pipe end: the whole input, and then the client's peak before it can end."""
        for _ in range(count):
            client.write(block, 240)
        peak = processes.status_fields(client.pid)["VmHWM"]
        self.peak_bytes = int(peak.split()[0]) * 1024
        client.close_stdin()


class TestInterrupted(StoreCase):
    def test_what_was_and_was_not_acknowledged(self):
        """The server is stopped, so that exactly what it had acknowledged before is acknowledged."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number), self.server() as server:
                self.interrupt(server, number)

    def interrupt(self, server, number):
        with self.start("--json", "-l", server.address) as client:
            client.write(b"line\n" * 3)
            client.stdout.wait(lambda: self.acked(client) == 3, "three acknowledgements")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                client.write(b"more\n" * 2)
                client.send_signal(number)
                self.assertEqual(client.wait(), -number)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            last = client.stderr.lines[-1]
            self.assertRegex(last, r"^certpost: 3 of [3-5] messages acknowledged, interrupted$")
            done = json.loads(client.stdout.lines[-1])
            self.assertEqual((done["event"], done["acked"], done["interrupted"]), ("done", 3, True))
            self.assertIn(f"3 of {done['sent']} ", last)

    @staticmethod
    def acked(client):
        """Messages of this run: the numbers begin where the stream stood at the connection."""
        events = [json.loads(line) for line in client.stdout._lines]
        numbers = [event["seq"] for event in events if event["event"] == "acked"]
        start = [event["last_seq"] for event in events if event["event"] == "connected"]
        return numbers[-1] - start[0] if numbers else 0


if __name__ == "__main__":
    unittest.main()
