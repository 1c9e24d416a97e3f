"""A look at the server once a second, from outside: /proc, the files, the rows."""

import contextlib
import os
import sqlite3
import threading
import time

import processes

INTERVAL_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def memory(pid):
    """Resident and proportional bytes."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            name, _, rest = line.partition(":")
            if name in ("Rss", "Pss"):
                found[name.lower()] = int(rest.split()[0]) * 1024
    return found


def machine_ticks():
    """(busy, all) ticks of all cores."""
    with open("/proc/stat", encoding="ascii") as stat:
        values = [int(value) for value in stat.readline().split()[1:9]]
    idle = values[3] + values[4]
    return sum(values) - idle, sum(values)


def file_bytes(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Sampler(threading.Thread):
    """Fills `samples`: dictionaries, a value None where the server was not there or would not say."""

    def __init__(self, world):
        super().__init__(name="sampler", daemon=True)
        self.world = world
        self.samples = []
        self.server = None  # the process to look at
        self._ending = threading.Event()
        self._before = None
        self._wal = world.store.with_name(world.store.name + "-wal")

    def run(self):
        due = time.monotonic()
        while not self._ending.is_set():
            try:
                self._sample()
            except Exception as failure:  # a series with a hole is no reason to lose the run
                self.world.fault(f"sampler: {type(failure).__name__}: {failure}")
                return
            due += INTERVAL_S
            self._ending.wait(max(0.0, due - time.monotonic()))

    def end(self):
        self._ending.set()
        self.join()

    def stored(self):
        """How many messages the store holds; None while nobody may look."""
        if not self.world.is_serving:
            return None
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.world.store}?mode=ro", uri=True, timeout=0)) as store:
                return store.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
        except sqlite3.Error:
            return None

    def _inside(self):
        server = self.server
        if server is None or not self.world.is_serving:
            return {}
        try:
            return {**memory(server.pid), "descriptors": processes.descriptor_count(server.pid),
                    "threads": int(processes.status_fields(server.pid)["Threads"]),
                    "ticks": processes.cpu_ticks(server.pid)}
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return {}  # it has just gone, or we may not look inside

    def _sample(self):
        busy, ticks = machine_ticks()
        now = {"t": self.world.now(), "life": self.world.life, "stored": self.stored(),
               "acked": self.world.total_acked(), "wal": file_bytes(self._wal), "store": file_bytes(self.world.store),
               "busy": busy, "all": ticks, **self._inside()}
        self._add_rates(now)
        self._before = now
        self.samples.append(now)

    def _add_rates(self, now):
        before = self._before
        if before is None:
            return
        seconds = now["t"] - before["t"]
        now["acked_per_s"] = (now["acked"] - before["acked"]) / seconds
        if now["all"] > before["all"]:
            now["machine_cpu"] = 100 * (now["busy"] - before["busy"]) / (now["all"] - before["all"])
        if now["life"] == before["life"]:
            if now["stored"] is not None and before["stored"] is not None:
                now["stored_per_s"] = (now["stored"] - before["stored"]) / seconds
            if "ticks" in now and "ticks" in before:
                now["server_cpu"] = 100 * (now["ticks"] - before["ticks"]) / TICKS_PER_S / seconds
