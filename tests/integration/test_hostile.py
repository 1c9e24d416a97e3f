"""Peers that are slow, silent, broken or ill-willed: the others are served on, nothing spins or leaks.

One case alone: ctest --preset dev -R 'integration.hostile.reads_nothing'
"""

import contextlib
import random
import select
import signal
import socket
import ssl
import unittest

import admin
import processes
import tls_peers
from certpost1_peer import StoreFile
from certpost_server import DEFAULT_REPLY, SMALL_QUARANTINE, Server
from scene import MEBIBYTE, MEMORY_SCALE, scene
from tls_peers import OpenSslClient, TlsPeer

REPLY_MAX_BYTES = 1024
ALERT = 0x15  # content type of a TLS record that carries an alert
BLOCKED_S = 1.0  # a socket that takes nothing for so long takes nothing any more


def send_until_blocked(peer, record, most_bytes):
    """Sends the record again and again until the server takes no more; returns how many whole ones,
    and the rest of the last. That the socket does not become writable is the event that is awaited."""
    sent = 0
    while sent * len(record) < most_bytes:
        rest = memoryview(record())
        while rest:
            if not select.select([], [peer.socket], [], BLOCKED_S)[1]:
                return sent, bytes(rest)
            rest = rest[peer.socket.send(rest, socket.MSG_DONTWAIT) :]
        sent += 1
    raise AssertionError(f"the server has taken {most_bytes} bytes from a peer that reads nothing")


class Slow(unittest.TestCase):
    def test_one_byte_at_a_time(self):
        """Handshake, messages and close_notify; the honest client has a turn after each message."""
        with scene() as stage, TlsPeer(stage.port, bytewise=True) as slow:
            for number in range(3):
                slow.exchange(b"slow message %d" % number, DEFAULT_REPLY)
                stage.check_served()
                stage.server.wait_received(f"slow message {number}")
            self.assertEqual(slow.finish(), b"")

    def test_one_byte_segments(self):
        """Each byte really is a TCP segment of its own, as the kernel counts them."""
        with scene() as stage, TlsPeer(stage.port, bytewise=True) as slow:
            slow.exchange(b"in small coin", DEFAULT_REPLY)
            segments = tls_peers.data_segments_sent(slow.socket)
            self.assertGreaterEqual(segments, slow.raw_bytes_sent)

    def test_one_byte_between_honest_messages(self):
        """After every single byte of a record, somebody else is served."""
        with scene() as stage, TlsPeer(stage.port) as slow:
            for value in slow.seal(b"bit by bit"):
                slow.send_raw(bytes((value,)))
                stage.check_served()
            self.assertEqual(slow.receive(len(DEFAULT_REPLY)), DEFAULT_REPLY)
            stage.server.wait_received("bit by bit")

    def test_one_byte_at_a_time_as_lines(self):
        with scene(framing="line") as stage, TlsPeer(stage.port) as slow:
            for value in b"letter by letter\n":
                slow.send(bytes((value,)))
            self.assertEqual(slow.receive(len(DEFAULT_REPLY) + 1), DEFAULT_REPLY + b"\n")
            stage.server.wait_received("letter by letter")

    def test_small_receive_window(self):
        """A peer with almost no room for replies gets all of them, one little piece after another."""
        reply = "r" * REPLY_MAX_BYTES
        with scene("--reply", reply, reply=reply.encode()) as stage:
            with TlsPeer(stage.port, receive_buffer_bytes=1) as narrow:
                narrow.send_raw(b"".join(narrow.seal(b"x") for _ in range(64)))
                self.assertEqual(narrow.receive(64 * len(reply)), reply.encode() * 64)


class Deaf(unittest.TestCase):
    """A peer that sends and never reads."""

    def test_reads_nothing(self):
        """It is not read from any more once its replies pile up; when it reads at last, none is missing."""
        reply = "r" * REPLY_MAX_BYTES
        with scene("--reply", reply, reply=reply.encode()) as stage:
            with TlsPeer(stage.port, receive_buffer_bytes=4096) as deaf:
                sent, rest = send_until_blocked(deaf, _Record(deaf, b"x"), 64 * MEBIBYTE)
                stage.check_memory(8)
                stage.check_served()
                stage.check_newcomer_served()
                stage.check_not_spinning()
                received = self._read_while_sending(deaf, rest, (sent + 1) * len(reply))
                self.assertEqual(received, (sent + 1) * len(reply))
                stage.check_memory(8)

    def _read_while_sending(self, deaf, rest, wanted):
        """Reads `wanted` bytes of replies, sending the rest of the last record as there is room."""
        received = 0
        while received < wanted:
            if rest and select.select([], [deaf.socket], [], 0)[1]:
                rest = rest[deaf.socket.send(rest, socket.MSG_DONTWAIT) :]
            received += len(deaf.receive_more(b""))
        return received

    def test_reads_nothing_and_vanishes(self):
        reply = "r" * REPLY_MAX_BYTES
        with scene("--reply", reply, reply=reply.encode()) as stage:
            for leave in (TlsPeer.reset, TlsPeer.vanish):
                with TlsPeer(stage.port, receive_buffer_bytes=4096) as deaf:
                    send_until_blocked(deaf, _Record(deaf, b"x"), 64 * MEBIBYTE)
                    leave(deaf)
                    stage.check_served()

    def test_reads_nothing_until_time_is_up(self):
        """--write-timeout ends it, with a reason in the log."""
        reply = "r" * REPLY_MAX_BYTES
        with scene("--reply", reply, "--write-timeout", "2s", reply=reply.encode()) as stage:
            with TlsPeer(stage.port, receive_buffer_bytes=4096) as deaf:
                address = deaf.address
                with contextlib.suppress(ConnectionResetError):  # it may end while we still send
                    send_until_blocked(deaf, _Record(deaf, b"x"), 64 * MEBIBYTE)
                stage.server.wait_log(f'peer={address} reason="timeout: write".*took no data')

    def test_newlines_cannot_multiply_memory(self):
        """One record of 16,384 empty lines earns 16 MiB of replies: they are made as they are taken."""
        reply = "r" * REPLY_MAX_BYTES
        lines = b"\n" * tls_peers.TLS_RECORD_MAX_BYTES
        with scene("--reply", reply, reply=reply.encode(), framing="line") as stage:
            with TlsPeer(stage.port, receive_buffer_bytes=4096) as greedy:
                greedy.send(lines)
                stage.server.wait_line(r"Received: ")
                stage.check_not_spinning()
                stage.check_memory(8)
                stage.check_served()
                wanted = len(lines) * (len(reply) + 1)
                received = 0
                while received < wanted:
                    received += len(greedy.receive_more(b""))
                self.assertEqual(received, wanted)
                stage.check_memory(8)

    def test_server_ends_beside_a_deaf_peer(self):
        """SIGTERM ends the server within --drain-timeout although one peer takes nothing."""
        reply = "r" * REPLY_MAX_BYTES
        with Server("--reply", reply, "--drain-timeout", "1s", "--workers", "1") as server:
            with TlsPeer(server.port, receive_buffer_bytes=4096) as deaf, TlsPeer(server.port) as honest:
                send_until_blocked(deaf, _Record(deaf, b"x"), 64 * MEBIBYTE)
                honest.exchange(b"before the end", reply.encode())
                server.stop()
                self.assertEqual(honest.receive_all(), b"")


class _Record:
    """Makes the same message into a new record at each call; all records are of one length."""

    def __init__(self, peer, message):
        self._seal = lambda: peer.seal(message)
        self._length = len(message) + 22  # header 5, content type 1, tag 16 (RFC 8446, section 5.2)

    def __call__(self):
        return self._seal()

    def __len__(self):
        return self._length


class Cut(unittest.TestCase):
    """A connection that ends where it should not."""

    def _cut_everywhere(self, leave):
        with scene() as stage:
            size = 0
            cut = 1
            while cut == 1 or cut < size:
                with TlsPeer(stage.port) as peer:
                    peer.exchange(b"whole", DEFAULT_REPLY)
                    record = peer.seal(b"never to be seen")
                    size = len(record)
                    peer.send_raw(record[:cut])
                    leave(peer)
                    # Header bytes are few and each its own case; the body is all the same.
                    cut += 1 if cut < 7 else 8
            stage.check_served()
            stage.server.wait_log("truncated|reset")
            self.assertEqual(set(stage.server.received()), {"whole", "I am honest"})

    def test_cut_in_a_record_by_reset(self):
        self._cut_everywhere(TlsPeer.reset)

    def test_cut_in_a_record_by_end(self):
        self._cut_everywhere(TlsPeer.vanish)

    def test_cut_in_a_record_by_half_close(self):
        with scene() as stage, TlsPeer(stage.port) as peer:
            peer.send_raw(peer.seal(b"never to be seen")[:20])
            peer.socket.shutdown(socket.SHUT_WR)
            tls_peers.raw_receive_all(peer.socket)
            stage.server.wait_log(f"peer={peer.address}.*truncated")

    def _client_hello(self, port):
        with TlsPeer(port, handshake=False) as peer:
            try:
                peer.tls.do_handshake()
            except ssl.SSLWantReadError:
                return peer.outgoing.read()
        raise AssertionError("a handshake with nobody")

    def _cut_in_client_hello(self, leave):
        with scene() as stage:
            hello = self._client_hello(stage.port)
            for cut in (0, 1, 4, 5, 6, 9, len(hello) // 2, len(hello) - 1, len(hello)):
                connection = tls_peers.tcp_connect(stage.port)
                connection.sendall(hello[:cut])
                leave(connection)
                stage.check_served()

    def test_cut_in_client_hello_by_reset(self):
        self._cut_in_client_hello(tls_peers.reset)

    def test_cut_in_client_hello_by_end(self):
        self._cut_in_client_hello(socket.socket.close)

    def test_vanishes_after_connecting(self):
        with scene() as stage:
            for number in range(300):
                connection = tls_peers.tcp_connect(stage.port)
                if number % 2:
                    tls_peers.reset(connection)
                else:
                    connection.close()
            stage.check_served()

    def test_vanishes_after_sending(self):
        """What was sent whole is received, although nobody waits for the reply."""
        with scene() as stage:
            for number in range(50):
                with TlsPeer(stage.port) as peer:
                    peer.send(b"testament %d" % number)
                    peer.vanish()
            for number in range(50):
                stage.server.wait_received(f"testament {number}")

    def test_speaks_after_its_close_notify(self):
        """What comes after the end is not part of the conversation."""
        with scene() as stage, TlsPeer(stage.port) as peer:
            peer.send_raw(peer.seal_end() + b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual(peer.receive_all(), b"")


class Silent(unittest.TestCase):
    """Connections on which nothing comes."""

    def test_silent_before_the_handshake(self):
        with scene() as stage:
            silent = [tls_peers.tcp_connect(stage.port) for _ in range(200)]
            stage.check_served()
            stage.check_newcomer_served()
            stage.check_not_spinning()
            for connection in silent:
                connection.close()

    def test_silent_in_the_middle_of_the_handshake(self):
        with scene() as stage, tls_peers.tcp_connect(stage.port) as silent:
            silent.sendall(b"\x16\x03\x01\x02\x00\x01")
            stage.check_newcomer_served()
            stage.check_not_spinning()

    def test_silent_in_the_middle_of_a_record(self):
        with scene() as stage, TlsPeer(stage.port) as silent:
            silent.send_raw(silent.seal(b"to be continued")[:-1])
            stage.check_served()
            stage.check_not_spinning()
            self.assertNotIn("to be continued", stage.server.received())

    def test_silent_until_the_handshake_timeout(self):
        with scene("--handshake-timeout", "500ms") as stage:
            with tls_peers.tcp_connect(stage.port) as silent:
                port = silent.getsockname()[1]
                tls_peers.raw_receive_all(silent)
                stage.server.wait_log(f'peer=127.0.0.1:{port} reason="timeout: handshake"')

    def test_dripping_does_not_extend_the_handshake_timeout(self):
        """The deadline is for the whole handshake, not for the next byte."""
        with scene("--handshake-timeout", "1s") as stage:
            with tls_peers.tcp_connect(stage.port) as dripping:
                dripping.sendall(b"\x16\x03\x01\x40\x00")
                begin_bytes = 0
                while not select.select([dripping], [], [], 0.1)[0]:
                    dripping.sendall(b"\x01")
                    begin_bytes += 1
                    self.assertLess(begin_bytes, 100 * processes.SCALE)
                stage.server.wait_log('reason="timeout: handshake"')

    def test_idle_clients_cost_nothing(self):
        with scene() as stage:
            idle = [TlsPeer(stage.port) for _ in range(50)]
            stage.check_not_spinning()
            for peer in idle:
                peer.exchange(b"still here", DEFAULT_REPLY)
                peer.socket.close()


class Wrong(unittest.TestCase):
    """Bytes that are not what the protocol wants."""

    def _raw(self, stage, data, log):
        """Sends raw bytes; expects the end, and a log line in words; returns what came back."""
        with tls_peers.tcp_connect(stage.port) as peer:
            port = peer.getsockname()[1]
            peer.sendall(data)
            answer = tls_peers.raw_receive_all(peer)
        line = stage.server.wait_log(f"(info|warning) .*peer=127.0.0.1:{port}\\b.*").group(0)
        self.assertRegex(line, log)
        self.assertNotRegex(line, "error:[0-9A-F]{8}")  # OpenSSL's bare error stack
        stage.check_served()
        return answer

    def test_http(self):
        with scene() as stage:
            self._raw(stage, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP")

    def test_plain_text(self):
        with scene() as stage:
            self._raw(stage, b"Hello, server!\n", "does not speak TLS")

    def test_garbage(self):
        with scene() as stage:
            for seed in range(20):
                self._raw(stage, random.Random(seed).randbytes(600), "(?i)TLS")

    def test_record_that_is_too_long(self):
        with scene() as stage:
            answer = self._raw(stage, b"\x16\x03\x01\xff\xff" + b"\x01" * 600, "(?i)TLS|record")
            self.assertEqual(answer[:1], bytes((ALERT,)), answer)

    def test_client_hello_of_sixteen_mebibytes(self):
        """It is refused by its header, and never waited for or stored."""
        with scene() as stage:
            hello = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x4000 - 4)
            answer = self._raw(stage, hello, "(?i)TLS|handshake")
            self.assertEqual(answer[:1], bytes((ALERT,)), answer)
            stage.check_memory(8)

    def test_change_cipher_spec_without_end(self):
        with scene() as stage:
            self._raw(stage, b"\x14\x03\x03\x00\x01\x01" * 100, "(?i)TLS|handshake")

    def test_altered_record(self):
        """One flipped bit: alert bad_record_mac, and nothing of it is a message."""
        with scene() as stage, TlsPeer(stage.port) as peer:
            record = bytearray(peer.seal(b"forged"))
            record[-1] ^= 1
            peer.send_raw(bytes(record))
            with self.assertRaisesRegex(ssl.SSLError, "(?i)bad.record.mac"):
                peer.receive_all()
            peer.socket.close()
            stage.server.wait_log(f"peer={peer.address} reason=protocol.*altered")
            self.assertNotIn("forged", stage.server.received())

    def test_replayed_record(self):
        with scene() as stage, TlsPeer(stage.port) as peer:
            record = peer.seal(b"only once")
            peer.send_raw(record + record)
            with self.assertRaisesRegex(ssl.SSLError, "(?i)bad.record.mac"):
                peer.receive_all()
            stage.server.wait_received("only once")
            stage.check_newcomer_served()
            self.assertEqual(stage.server.received().count("only once"), 1)

    def test_tls1_1(self):
        with scene() as stage:
            options = ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-brief")
            with OpenSslClient(stage.port, *options) as old:
                self.assertNotEqual(old.wait(), 0)
                self.assertRegex(old.everything(), "(?i)alert protocol version")
            stage.server.wait_log("(info|warning) .*(version|TLS 1)")

    def test_renegotiation_is_refused(self):
        with scene("--tls-min", "1.2") as stage:
            with OpenSslClient(stage.port, "-tls1_2") as client:
                client.write(b"before\n")
                client.stdout.wait_bytes(DEFAULT_REPLY)
                client.write(b"R\n")
                client.wait()
                self.assertIn("RENEGOTIATING", client.everything())
                self.assertRegex(client.everything(), "(?i)no renegotiation")

    def test_key_updates_between_messages(self):
        with scene() as stage, OpenSslClient(stage.port, "-brief") as client:
            for number in range(1, 41):
                client.write(b"K\n" if number % 2 else b"k\n")
                client.stderr.wait_bytes(b"KEYUPDATE", count=number)
                client.write(b"message %d\n" % number)
                client.stdout.wait_bytes(DEFAULT_REPLY, count=number)
                stage.server.wait_received(f"message {number}")

    def test_key_updates_without_end(self):
        """OpenSSL 3.0 takes them for ever; ours ends a connection that sends more than 32 and no data."""
        with scene() as stage, OpenSslClient(stage.port, "-brief") as client:
            client.write(b"message\n")
            client.stdout.wait_bytes(DEFAULT_REPLY)
            for number in range(1, 33):
                client.write(b"k\n")
                client.stderr.wait_bytes(b"KEYUPDATE", count=number)
            client.write(b"still served\n")
            client.stdout.wait_bytes(DEFAULT_REPLY, count=2)
            for number in range(33, 33 + 33):
                client.write(b"k\n")
                client.stderr.wait_bytes(b"KEYUPDATE", count=number)
            client.wait()
            stage.server.wait_log("key update")


class Output(unittest.TestCase):
    """The reader of the server's standard output goes away or stands still."""

    def test_output_without_reader_is_refused_not_acknowledged(self):
        """A message that could not be printed was not received."""
        with Server() as server, TlsPeer(server.port) as client:
            client.exchange(b"before", DEFAULT_REPLY)
            server.stdout.abandon()
            client.send(b"nobody sees this")
            self.assertRegex(client.receive_all(), rb"^Message refused: .*[a-z]")
            server.wait_log("standard output")

    def test_without_reader_the_server_is_not_ready(self):
        with Server("--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            self.assertEqual(admin.get(at, "/readyz").status, 200)
            server.stdout.abandon()
            answer = admin.get(at, "/readyz")
            self.assertEqual((answer.status, answer.text), (503, "standard output cannot be written\n"))
            self.assertIn("\ncertpost_ready 0\n", admin.get(at, "/metrics").text)

    def test_with_a_store_it_is_ready_without_a_reader(self):
        with StoreFile() as store, Server("--store", store.path, "--print", "--admin", "127.0.0.1:0") as server:
            at = admin.address(server)
            server.stdout.abandon()
            self.assertEqual(admin.get(at, "/readyz").status, 200)
            with TlsPeer(server.port) as client:
                client.exchange(b"not printed, but stored", DEFAULT_REPLY)
                client.finish()
            server.wait_log("messages cannot be printed; they are stored")
            self.assertEqual(admin.get(at, "/readyz").status, 200)

    def test_output_that_stands_still(self):
        """With a full pipe behind it the server acknowledges nothing, and reads no further than its
        bound; when the reader goes on, every message is printed once, in order, and acknowledged."""
        with Server(environment=SMALL_QUARANTINE) as server, TlsPeer(server.port) as client:
            client.exchange(b"before", DEFAULT_REPLY)
            server.stdout.hold()
            resident = processes.resident_bytes(server.pid)
            numbered = _Numbered(client)
            sent, rest = send_until_blocked(client, numbered, 64 * MEBIBYTE)
            grown = processes.resident_bytes(server.pid) - resident
            self.assertLess(grown, 8 * MEBIBYTE * MEMORY_SCALE)
            server.stdout.release()
            client.receive_until(DEFAULT_REPLY, count=sent)
            client.send_raw(rest)
            if rest:
                client.receive(len(DEFAULT_REPLY))
            server.stop()
            self.assertEqual(server.received()[1:], numbered.messages[: sent + bool(rest)])

    def test_output_that_stands_still_does_not_keep_the_server(self):
        """SIGTERM ends it within --drain-timeout, with what was not printed not acknowledged."""
        with Server("--drain-timeout", "1s") as server, TlsPeer(server.port) as client:
            client.exchange(b"before", DEFAULT_REPLY)
            server.stdout.hold()
            sent, _ = send_until_blocked(client, _Numbered(client), 64 * MEBIBYTE)
            server.send_signal(signal.SIGTERM)
            server.stderr.wait_end()
            server.stdout.release()
            server.wait()
            with contextlib.suppress(ConnectionResetError, tls_peers.Truncated):
                acknowledged = 0
                while piece := client.receive_some():
                    acknowledged += piece.count(DEFAULT_REPLY)
            self.assertLessEqual(acknowledged, len(server.received()) - 1)
            self.assertLess(acknowledged, sent)


class _Numbered:
    """Makes messages of 16 KiB into records, each with a number of its own."""

    def __init__(self, peer):
        self._peer = peer
        self.messages = []

    def __call__(self):
        self.messages.append(f"{len(self.messages):08}" + "x" * (tls_peers.TLS_RECORD_MAX_BYTES - 8))
        return self._peer.seal(self.messages[-1].encode())

    def __len__(self):
        return tls_peers.TLS_RECORD_MAX_BYTES + 22
