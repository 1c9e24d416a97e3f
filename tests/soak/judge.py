"""The end of a long run: is every acknowledged message stored, once, in order; did anything trend."""

import collections
import csv
import json
import re
import statistics

import chart
import others
import trend
from store_check import StoreCheck
from world import message

WINDOW_S = 5
PLAIN_TEXT = re.compile(rb"((?:peer\d+|openssl)-\d+) (\d+) ")
COLUMNS = ("t", "life", "stored", "acked", "stored_per_s", "acked_per_s", "rss", "pss", "descriptors", "threads",
           "wal", "store", "server_cpu", "machine_cpu")


# ---- what is stored ----------------------------------------------------------------------------------


class _Found:
    """A stream of the store, as its messages come by in the order of arrival."""

    def __init__(self, key):
        self.key = key
        self.is_plain = key[1].startswith("plain/")
        self.label = None if self.is_plain else key[1]  # who sent it: the connection's, or the stream's name
        self.count = 0
        self.is_wrong = False

    def take(self, seq, body):
        """A sentence if this is not the next message as it was sent."""
        if self.is_wrong:
            return None
        if self.is_plain and self.label is None:
            told = PLAIN_TEXT.match(body)
            self.label = told.group(1).decode() if told else ""
        self.count += 1
        expected = message(self.label, self.count)
        if self.is_plain:
            expected = expected[:8000]
        if seq == self.count and body == expected:
            return None
        self.is_wrong = True
        return f"{self.key}: message {self.count} has the number {seq} and is {body[:80]!r}, sent was {expected[:80]!r}"


def read_streams(world, store):
    """All messages in one pass: there is no index by stream, and there may be thousands of streams."""
    found = {key: _Found(key) for key in store.keys}
    for key, seq, body in store.arrivals():
        fault = found[key].take(seq, body)
        if fault:
            world.fault(fault)
    return found.values()


def check_store(world):
    """Every stream against what was sent and acknowledged; returns the number of messages."""
    with StoreCheck(world.store) as store:
        for fault in store.faults():
            world.fault(f"store: {fault}")
        found = read_streams(world, store)
    counts = {}
    for stream in found:
        if stream.label in counts:
            world.fault(f"{stream.label} is in two streams")
        counts[stream.label] = stream.count
        if not stream.is_plain and stream.count > world.offered.get(stream.label, 0):
            world.fault(f"{stream.key}: {stream.count} are stored, {world.offered.get(stream.label, 0)} were sent")
    for name, acked in [*world.acked.items(), *world.plain_acked.items()]:
        if counts.get(name, 0) < acked:
            world.fault(f"{name}: {acked} were acknowledged, {counts.get(name, 0)} are stored")
    return sum(counts.values())


# ---- the picture -------------------------------------------------------------------------------------


def series(samples, name, label, style, scale=1.0, **drawing):
    points = []
    life = None
    for sample in samples:
        if life not in (None, sample["life"]):
            points.append((sample["t"], None))
        life = sample["life"]
        value = sample.get(name)
        points.append((sample["t"], None if value is None else value * scale))
    return chart.Series(label, style, points, **drawing)


def fits(verdicts, name):
    """The fitted line of each life, for those that were judged."""
    found = []
    for verdict in verdicts:
        if verdict.rule.name == name and verdict.line is not None:
            line, scale = verdict.line, verdict.rule.scale
            middle = (line.begin + line.end) / 2
            found.append(tuple((at, (line.median + line.slope * (at - middle)) * scale)
                               for at in (line.begin, line.end)))
    return found


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def windows(latencies, share):
    groups = collections.defaultdict(list)
    for seconds, latency_ms in latencies:
        groups[int(seconds // WINDOW_S)].append(latency_ms)
    last = max(groups, default=-1)
    return [((at + 0.5) * WINDOW_S, percentile(groups[at], share) if groups[at] else None) for at in range(last + 1)]


LANES = (
    ("server kill", "bad", True), ("refused start", "bad", False), ("client kill", "b", False), ("reload", "c", False), ("bad reload", "bad", False),
    ("lock", "b", False), ("long lock", "bad", False), ("reader", "a", False), ("verify", "d", False),
    ("drain", "d", True),
)


def draw(world, title, subtitles, samples, latencies, verdicts):
    seconds = max([sample["t"] for sample in samples], default=1)
    picture = chart.Chart(title, subtitles, seconds)
    for kind, style, through in LANES:
        picture.lane(kind, style, world.marks.get(kind, []), through)
    mebibyte = 1 / trend.MEBIBYTE
    get = lambda *arguments, **named: series(samples, *arguments, **named)
    picture.panel("Messages", "per second", [get("stored_per_s", "stored", "a", fits=fits(verdicts, "stored_per_s")),
                                             get("acked_per_s", "acknowledged", "b", is_dotted=True)])
    picture.panel("Latency of a small client", f"ms, in windows of {WINDOW_S} s",
                  [chart.Series("99th percentile", "b", windows(latencies, 0.99)),
                   chart.Series("median", "a", windows(latencies, 0.5))], logarithmic=True)
    picture.panel("Memory of the server", "MiB", [get("pss", "PSS", "c", mebibyte),
                                                  get("rss", "RSS", "a", mebibyte, fits=fits(verdicts, "rss"))])
    picture.panel("Descriptors and threads", "count",
                  [get("descriptors", "descriptors", "a", fits=fits(verdicts, "descriptors")),
                   get("threads", "threads", "c")])
    picture.panel("Write-ahead log", "MiB", [get("wal", "WAL", "a", mebibyte, fits=fits(verdicts, "wal"))])
    picture.panel("Store", "MiB", [get("store", "database", "a", mebibyte)])
    picture.panel("Processor", "% (100 is one core for the server, all cores for the machine)",
                  [get("machine_cpu", "machine", "d"), get("server_cpu", "server", "a")])
    return picture.svg()


# ---- all together --------------------------------------------------------------------------------------


def latency_words(latencies):
    values = [latency_ms for _, latency_ms in latencies]
    if not values:
        return "no latency was measured"
    return (f"latency of a small client: median {statistics.median(values):.2f} ms, 99th percentile "
            f"{percentile(values, 0.99):.1f} ms, longest {max(values):.0f} ms, {len(values)} messages")


def write_samples(path, samples):
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for sample in samples:
            writer.writerow(["" if sample.get(name) is None else f"{sample[name]:.10g}" for name in COLUMNS])


def conclude(world, options, samples, latencies):
    """Prints and writes what came of it; true if there was neither a fault nor a trend."""
    stored = check_store(world)
    verified = others.verify(world)
    if verified and verified["messages"] != stored:
        world.fault(f"certpost verify counts {verified['messages']} messages, {stored} are stored")
    # When everybody leaves, everything falls: that is no trend.
    drain_at = world.marks["drain"][0][0]
    verdicts = trend.judge([sample for sample in samples if sample["t"] < drain_at])
    trends = [verdict.sentence() for verdict in verdicts if verdict.trended]
    outcome = f"{len(world.faults)} faults, {len(trends)} trends"
    facts = (f"{stored} messages stored, {world.total_acked()} acknowledged, {len(world.acked)} streams and "
             f"{len(world.plain_acked)} plain connections")
    events = ", ".join(f"{world.counts[kind]} × {kind}" for kind, _, _ in LANES)
    for verdict in verdicts:
        print(verdict.sentence())
    print(facts, events, latency_words(latencies), sep="\n")
    print("counts:", ", ".join(f"{name} {count}" for name, count in sorted(world.counts.items())))
    title = f"certpost soak: {options.seconds / 60:.3g} minutes, seed {options.seed}: {outcome}"
    (options.output / "soak.svg").write_text(
        draw(world, title, [facts, latency_words(latencies)], samples, latencies, verdicts), encoding="utf-8")
    write_samples(options.output / "samples.csv", samples)
    (options.output / "summary.json").write_text(json.dumps({
        "seed": options.seed, "seconds": options.seconds, "rate": options.rate, "messages_stored": stored,
        "messages_acknowledged": world.total_acked(), "faults": world.faults, "trends": trends,
        "counts": dict(world.counts), "latency": latency_words(latencies),
        "verdicts": [verdict.sentence() for verdict in verdicts]}, indent=1) + "\n", encoding="utf-8")
    print(f"{options.output / 'soak.svg'}\n{outcome}; seed {options.seed}")
    return not world.faults and not trends
