"""The end of a long run: is every acknowledged message stored, once, in order; did anything trend."""

import collections
import csv
import itertools
import json
import re
import statistics

import chart
import others
import trend
from store_check import StoreCheck, StoreFault
from world import message, messages

WINDOW_S = 5
PLAIN_TEXT = re.compile(rb"((?:peer\d+|openssl)-\d+) (\d+) ")
COLUMNS = ("t", "life", "stored", "acked", "stored_per_s", "acked_per_s", "rss", "pss", "descriptors", "threads",
           "wal", "store", "server_cpu", "machine_cpu")


# ---- what is stored ----------------------------------------------------------------------------------


def check_store(world):
    """Every stream against what was sent and acknowledged; returns the number of messages."""
    plain = {}
    total = 0
    with StoreCheck(world.store) as store:
        for fault in store.faults():
            world.fault(f"store: {fault}")
        for key in store.keys:
            try:
                if key[1].startswith("plain/"):
                    total += check_plain(world, store, key, plain)
                elif key[1] in world.offered:
                    total += check_stream(world, store, key)
                else:
                    world.fault(f"a stream that nobody sent: {key}")
            except StoreFault as fault:
                world.fault(str(fault))
        known = {name for _, name in store.keys}
    for name, acked in world.acked.items():
        if acked and name not in known:
            world.fault(f"{name}: {acked} acknowledged, and no such stream")
    for label, acked in world.plain_acked.items():
        if plain.get(label, 0) < acked:
            world.fault(f"{label}: {acked} replies, {plain.get(label, 0)} messages stored")
    return total


def check_stream(world, store, key):
    offered = itertools.islice(messages(key[1]), world.offered[key[1]])
    return store.check_sent(key, offered, world.acked.get(key[1], 0))


def check_plain(world, store, key, plain):
    """A plain connection's stream: one label, numbers from 1, each as it was sent."""
    count = 0
    for count, body in enumerate(store.messages(key), 1):
        found = PLAIN_TEXT.match(body)
        label = found.group(1).decode() if found else None
        if label is None or int(found.group(2)) != count or body != message(label, count)[:8000]:
            raise StoreFault([f"{key}: message {count} is {body[:80]!r}"])
        if count == 1 and label in plain:
            raise StoreFault([f"{key}: {label} is in two streams"])
        plain[label] = count
    return count


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
