"""certpost send --json: what a program reads of a delivery while it goes on."""

import json
import unittest

from certified_servers import NAME, PATIENCE_S, SendCase, certificates, unused_port
from plain_servers import read_line


def setUpModule():
    certificates.begin()


class TestJson(SendCase):
    def events(self, result):
        return [json.loads(line) for line in result.output]

    def test_a_delivery(self):
        with self.server(ack_every=1) as server:
            result = self.send(server, "--json", "-m", "one", "-m", "two")
        self.assertEqual((result.status, result.errors),
                         (0, ["certpost: 2 of 2 messages acknowledged"]), result)
        events = self.events(result)
        connected = events[0]
        self.assertEqual(connected["event"], "connected")
        self.assertEqual(connected["endpoint"], f"127.0.0.1:{server.port}")
        self.assertEqual((connected["stream"], connected["last_seq"], connected["level"]),
                         (NAME, 0, "stored"))
        self.assertEqual(connected["tls"], "TLSv1.3")
        acked = [event for event in events if event["event"] == "acked"]
        self.assertEqual(acked[-1], {"event": "acked", "stream": NAME, "seq": 2, "level": "stored"})
        self.assertEqual(events[-1], {"event": "done", "stream": NAME, "sent": 2, "acked": 2,
                                      "last_seq": 2, "interrupted": False})

    def test_a_lost_connection(self):
        with self.server(lambda peer: peer.greet().take().ack().cut()) as server:
            result = self.send(server, "--json", "-m", "one", "-m", "two")
        self.assertEqual(result.status, 0, result)
        kinds = [event["event"] for event in self.events(result)]
        self.assertEqual(kinds[:3], ["connected", "acked", "disconnected"])
        self.assertEqual(kinds[-1], "done")
        lost = self.events(result)[2]
        self.assertEqual(lost["status"], "truncated", lost)
        self.assertGreaterEqual(lost["retry_in_ms"], 0)

    def test_a_code_is_told_with_the_end_that_it_caused_and_no_other(self):
        dead = f"127.0.0.1:{unused_port()}"
        with self.server(lambda peer: peer.greet().take().ack().go_away("busy", "later").end()) as server:
            result = self.send(server, "--json", "-m", "one", "-m", "two", dead)
        self.assertEqual(result.status, 0, result)
        failures = [event for event in self.events(result) if "status" in event]
        codes = [(event["status"], event.get("code")) for event in failures]
        self.assertEqual([code for code in codes if code[0] == "closed"], [("closed", 9)], result)
        refused = [code for code in codes if code[0] == "connect"]
        self.assertGreaterEqual(len(refused), 2, result)
        self.assertEqual(set(refused), {("connect", None)}, result)

    def test_a_refused_message(self):
        script = lambda peer: peer.greet().take().ack().reject(33, "né\x1b\"\\".encode()).end()
        with self.server(script) as server:
            result = self.send(server, "--json", "-m", "one", "-m", "two")
        self.assertEqual(result.status, 65, result)
        failed, done = self.events(result)[-2:]
        self.assertEqual((failed["event"], failed["status"], failed["code"], failed["seq"]),
                         ("failed", "refused", 33, 2))
        self.assertIn("né\\x1b\"\\\\", failed["reason"])
        self.assertEqual((done["sent"], done["acked"], done["last_seq"]), (2, 1, 1))

    def test_names_that_want_to_break_out(self):
        name = 'a"},{\\ \u202e é'
        with self.server(server_name='s"\\'.encode()) as server:
            result = self.send(server, "--json", stream=name)
        self.assertEqual(result.status, 0, result)
        for line in result.output:
            self.assertNotIn("\u202e", line)
        events = self.events(result)
        self.assertEqual((events[0]["stream"], events[0]["server"]), (name, 's"\\'))
        self.assertEqual(self.stored(name.encode()), [b"Hello, server!"])

    def test_events_come_as_they_happen(self):
        with self.server(ack_every=1) as server, self.start(server, "--json", "-l") as process:
            self.assertEqual(json.loads(read_line(process.stdout))["event"], "connected")
            for number in (1, 2, 3):
                process.stdin.write(b"line\n")
                process.stdin.flush()
                event = json.loads(read_line(process.stdout))
                self.assertEqual((event["event"], event["seq"]), ("acked", number))
            process.stdin.close()
            self.assertEqual(json.loads(read_line(process.stdout))["event"], "done")
            self.assertEqual(process.wait(PATIENCE_S), 0)
            process.stdout.read()
            process.stderr.read()

    def test_acknowledged_numbers_are_what_the_server_holds(self):
        with self.server(ack_every=7) as server:
            result = self.send(server, "--json", "-l", "--resume", data=b"x\n" * 1000)
        self.assertEqual(result.status, 0, result)
        acked = [event["seq"] for event in self.events(result) if event["event"] == "acked"]
        self.assertEqual(acked, sorted(set(acked)))
        self.assertEqual(acked[-1], len(self.stored()))
        done = self.events(result)[-1]
        self.assertEqual((done["acked"], done["already_there"]), (1000, 0))

    def test_a_reader_that_goes_away(self):
        with self.server() as server, self.start(server, "--json", "-l") as process:
            read_line(process.stdout)
            process.stdout.close()
            process.stdin.write(b"line\n")
            process.stdin.flush()
            self.assertEqual(process.wait(PATIENCE_S), 74)
            errors = process.stderr.read().decode().splitlines()
            process.stdin.close()
        self.assertEqual(errors, ["certpost: cannot write to standard output: Broken pipe",
                                  "certpost: 1 of 1 messages acknowledged"])


if __name__ == "__main__":
    unittest.main()
