"""A disk that stands still, and one that is full, under certpostd with real senders.

The first is a library that is preloaded into the server (tests/support/standing_disk.c), which therefore
runs without its sandbox. The second is a file system of 4 MiB.
"""

import contextlib
import os
import select
import ssl
import tempfile
import time
import unittest

import certpost1
import processes
import stream_load
from certpost1_peer import Sender, StoreFile
from certpost_server import Server
from scene import MEBIBYTE
from small_disk import SmallDisk
from store_check import StoreCheck
from stream_load import Lines, LineSender, StoringServer, Tally

CLIENTS = 100
STILL_S = 10
PENDING_BYTES = 16 * MEBIBYTE
# TLS state, two buffers that are being filled, and the receiver; of which 100 are far more than are in use.
CONNECTION_BYTES = 128 * 1024
MESSAGE_BYTES = 8000
MESSAGES = 120  # of each client; within its window
SLICE_BYTES = 1 << 14


class StandingDisk:
    """The server's fdatasync waits between `stop` and `go`."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "standing")
        library = os.path.join(os.environ["CERTPOST_BINARY_DIR"], "tests", "libstanding_disk.so")
        self.environment = {"LD_PRELOAD": library, "STANDING_DISK": self.path}

    def stop(self):
        os.mkfifo(self.path)

    def go(self):
        with open(self.path, "wb"):
            os.unlink(self.path)


class Pusher(Sender):
    """Sends as much as the server takes, and hears nothing."""

    FRAMES = certpost1.encode(certpost1.MESSAGE, b"y" * MESSAGE_BYTES) * MESSAGES

    def __init__(self, number):
        super().__init__(f"s{number}".encode(), seq=0)
        self.pushed = 0

    def push(self):
        try:
            while self.pushed < len(self.FRAMES):
                self.pushed += self.socket.send(self.FRAMES[self.pushed : self.pushed + SLICE_BYTES])
        except ssl.SSLWantWriteError:
            return True
        return False


class StandStill(unittest.TestCase):
    def test_memory_is_bounded_while_the_disk_stands_still_for_ten_seconds(self):
        if processes.SANITIZER:
            processes.skip("a sanitizer's memory is not the server's")
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            store, disk = StoreFile(folder), StandingDisk(folder)
            server = stack.enter_context(Server(
                "--store", store.path, "--max-pending-total", str(PENDING_BYTES), sandbox=False,
                environment=disk.environment))
            pushers = [stack.enter_context(Pusher(number)) for number in range(CLIENTS)]
            for pusher in pushers:
                pusher.open(server.port)
                pusher.socket.setblocking(False)
            before = processes.resident_bytes(server.pid)
            disk.stop()
            peak = self.push_for_a_while(server, pushers)
            grown, pushed = peak - before, sum(pusher.pushed for pusher in pushers)
            print(f"before {before >> 10} KiB, grown by {grown >> 10} KiB; bound of pending bytes "
                  f"{PENDING_BYTES >> 10} KiB; {pushed >> 10} KiB pushed", flush=True)
            self.assertGreater(pushed, 2 * PENDING_BYTES)
            self.assertLess(grown, PENDING_BYTES + CLIENTS * CONNECTION_BYTES)
            disk.go()
            self.check_goes_on(server, store, pushers)

    def push_for_a_while(self, server, pushers):
        """Returns the greatest memory that was seen; an answer during that time would be a lie."""
        sockets = {pusher.socket: pusher for pusher in pushers}
        waiting = {pusher.socket for pusher in pushers if pusher.push()}
        server.wait_log("the disk stands still")
        until = time.monotonic() + STILL_S
        peak = 0
        while (left := until - time.monotonic()) > 0:
            peak = max(peak, processes.resident_bytes(server.pid))
            answered, writable, _ = select.select(list(sockets), list(waiting), [], min(left, 0.2))
            self.assertEqual(answered, [], "something was answered before it could be stored")
            waiting -= {socket for socket in writable if not sockets[socket].push()}
        return peak

    def check_goes_on(self, server, store, pushers):
        """What comes now is stored, and so is what was pushed whole."""
        for pusher in pushers:
            pusher.socket.setblocking(True)
            pusher.socket.settimeout(processes.DEADLINE_S)
        kind, first = pushers[0].frames.receive({certpost1.ACK})
        self.assertEqual(kind, certpost1.ACK)
        self.assertGreater(first["last_seq"], 0)
        with Sender(b"after", seq=0) as sender:
            sender.open(server.port)
            sender.send_all([b"stored"])
            sender.leave()
        self.assertEqual(store.messages("", "after"), [b"stored"])
        for pusher in pushers:
            pusher.close()


class Space(unittest.TestCase):
    def test_full_disk_under_certpost_send(self):
        """It says of no line that it is stored while there is no room, and delivers all when there is."""
        disk = SmallDisk("4m")
        if disk.why_not is not None:
            processes.skip(f"a small file system cannot be mounted: {disk.why_not}")
        self.addCleanup(disk.close)
        ballast = disk.fill(leave_bytes=MEBIBYTE)
        post = StoringServer(store=os.path.join(disk.folder, "store.db"))
        self.addCleanup(post.close)
        tally = Tally()
        sender = LineSender(tally, Lines(stream_load.pick_seed(), "full"), post.address)
        self.addCleanup(sender.close)
        self.assertIn("the disk is full", post.server.wait_log("error the store has failed").group())
        tally.wait_more("disconnected", 2)
        self.assertTrue(sender.process.is_running())
        said = sender.acked
        self.assertGreater(said, 0)
        with StoreCheck(post.store) as store:
            store.check()
            store.check_sent(("", "full"), list(sender.lines.made), said)
        self.assertEqual(sender.acked, said)
        tally.mark()
        os.unlink(ballast)
        post.server.wait_log("info the store works again")
        tally.wait_more("acked", 1)
        sender.finish()
        self.assertEqual(sender.acked, sender.fed)
        self.assertIn("store_full", "".join(str(event) for event in sender.events))
        post.server.stop()
        with StoreCheck(post.store) as store:
            store.check()
            store.check_sent(("", "full"), sender.lines.made[: sender.fed])
        stream_load.verify(post.store)


if __name__ == "__main__":
    unittest.main()
