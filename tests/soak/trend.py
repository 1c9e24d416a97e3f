"""Whether a series grows (or falls) by more than noise: Theil–Sen slopes and Sen's interval.

A series is cut into lives (a server that was killed begins anew), the first third of each life is left
out (threads start, heaps find their size), and what is left is put into at most POINTS buckets, each its
median: one spike moves nothing, and a thousand samples cost no more than sixty. Memory is not looked at
before WARM_UP_MESSAGES of a life are stored: until then SQLite fills its page cache, which is 8 MiB. The
slope is the median of the slopes of all pairs. A series has *trended* only if both hold:

    - the whole interval of the slope (99 %, by the variance of Kendall's tau) is on the wrong side of 0;
    - the change over the part that was looked at is beyond the rule's threshold.

So a long run finds small leaks and a short one large leaks only: the threshold is for the part that
was looked at, and the report says how long that was.
"""

import collections
import math
import statistics

POINTS = 60
POINTS_MIN = 12
WARM_UP_SHARE = 1 / 3
SECONDS_MIN = 15.0  # of what is left of a life
WARM_UP_MESSAGES = 90_000  # 12 MiB of world.message and what the store keeps beside it
INTERVAL_Z = 2.576  # 99 %, two-sided

MEBIBYTE = 1 << 20

# `direction` +1: growth is bad; -1: a fall is. The threshold is the larger of `absolute` and `relative`
# times the median.
Rule = collections.namedtuple("Rule", "name unit scale direction absolute relative warm_up_messages", defaults=(0,))
RULES = (
    Rule("rss", "MiB", 1 / MEBIBYTE, +1, 8 * MEBIBYTE, 0.15, WARM_UP_MESSAGES),
    Rule("pss", "MiB", 1 / MEBIBYTE, +1, 8 * MEBIBYTE, 0.15, WARM_UP_MESSAGES),
    Rule("descriptors", "", 1, +1, 16, 0.25),
    Rule("threads", "", 1, +1, 1, 0),
    Rule("wal", "MiB", 1 / MEBIBYTE, +1, 32 * MEBIBYTE, 0.5),
    Rule("stored_per_s", "messages/s", 1, -1, 20, 0.5),
)

Line = collections.namedtuple("Line", "slope low high begin end median")


def settled_at(samples, warm_up_messages):
    """When the warm-up of a life is over, in seconds; `samples` are that life's, in order."""
    begin, end = samples[0]["t"], samples[-1]["t"]
    after = begin + (end - begin) * WARM_UP_SHARE
    counts = [(sample["t"], sample["stored"]) for sample in samples if sample.get("stored") is not None]
    if not warm_up_messages or not counts:
        return after
    enough = (at for at, count in counts if count - counts[0][1] >= warm_up_messages)
    return max(after, next(enough, math.inf))


def thinned(points, most=POINTS):
    """At most `most` points, each the median of as many neighbours."""
    size = math.ceil(len(points) / most) if points else 1
    groups = (points[at : at + size] for at in range(0, len(points), size))
    return [tuple(statistics.median(column) for column in zip(*group)) for group in groups]


def line(points):
    """The Theil–Sen line of (seconds, value) points; None if they are too few or too short a time."""
    points = thinned(points)
    if len(points) < POINTS_MIN or points[-1][0] - points[0][0] < SECONDS_MIN:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, later in enumerate(points)
        for earlier in points[:at]
        if later[0] > earlier[0]
    )
    count = len(points)
    spread = INTERVAL_Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Line(statistics.median(slopes), slopes[low], slopes[high], points[0][0], points[-1][0],
                statistics.median(value for _, value in points))


class Verdict:
    """What one rule says about one life of one series."""

    def __init__(self, rule, life, points):
        self.rule, self.life = rule, life
        self.line = line(points)
        self.trended = False
        if self.line is not None:
            self.span_s = self.line.end - self.line.begin
            self.change = self.line.slope * self.span_s
            self.threshold = max(rule.absolute, rule.relative * abs(self.line.median))
            surely = min(self.line.low * rule.direction, self.line.high * rule.direction) > 0
            self.trended = surely and self.change * rule.direction > self.threshold

    def sentence(self):
        name = f"server {self.life}, {self.rule.name}"
        if self.line is None:
            return f"{name}: too short to judge"
        scale = self.rule.scale
        unit = f" {self.rule.unit}" if self.rule.unit else ""
        return (f"{name}: {'TRENDED' if self.trended else 'steady'}: {self.change * scale:+.4g}{unit} in "
                f"{self.span_s:.0f} s, 99 % within {self.line.low * self.span_s * scale:+.4g} and "
                f"{self.line.high * self.span_s * scale:+.4g}; median {self.line.median * scale:.4g}, "
                f"threshold {self.threshold * scale:.4g}")


def judge(samples, rules=RULES):
    """`samples` are dictionaries with `t`, `life` and the series; a missing value is None."""
    lives = collections.defaultdict(list)
    for sample in samples:
        lives[sample["life"]].append(sample)
    verdicts = []
    for rule in rules:
        for life, of_life in sorted(lives.items()):
            values = [(sample["t"], sample[rule.name]) for sample in of_life if sample.get(rule.name) is not None]
            after = settled_at(of_life, rule.warm_up_messages)
            if values:
                verdicts.append(Verdict(rule, life, [point for point in values if point[0] >= after]))
    return verdicts
