"""The long run's own parts: trends are found and noise is not, its picture is well-formed, it runs."""

import contextlib
import io
import json
import os
import pathlib
import random
import sqlite3
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree

SOAK = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"]) / "tests" / "soak"
sys.path.insert(0, str(SOAK))

import chart
import judge
import soak
import trend

MEBIBYTE = trend.MEBIBYTE


def series(seconds, value_at, name="rss", life=1, seed=3):
    draw = random.Random(seed)
    return [{"t": at, "life": life, name: value_at(at, draw)} for at in range(seconds)]


def trended(samples):
    return [(verdict.life, verdict.rule.name) for verdict in trend.judge(samples) if verdict.trended]


class TestTrend(unittest.TestCase):
    def test_a_leak_in_noise_is_found(self):
        """20 MiB in ten minutes, in noise as large as that, with spikes."""
        leak = lambda at, draw: (40 + at / 30 + draw.uniform(-10, 10) + 200 * (at % 97 == 0)) * MEBIBYTE
        self.assertEqual(trended(series(600, leak)), [(1, "rss")])

    def test_noise_is_no_trend(self):
        for seed in range(40):
            noise = lambda at, draw: (40 + draw.gauss(0, 15) + 300 * (draw.random() < 0.02)) * MEBIBYTE
            self.assertEqual(trended(series(600, noise, seed=seed)), [], seed)

    def test_warming_up_is_no_trend(self):
        warm = lambda at, draw: (60 - 50 * 0.97**at + draw.uniform(-1, 1)) * MEBIBYTE
        self.assertEqual(trended(series(600, warm)), [])

    def test_a_page_cache_that_fills_is_no_trend(self):
        """Memory is looked at when enough was stored, however slowly; what grows after that is found."""
        cache = lambda at: min(20, 8 + at / 20)
        leak = lambda at: cache(at) + max(0, at - 300) / 10
        for value_at, found in ((cache, []), (leak, [(1, "rss")])):
            samples = [{"t": at, "life": 1, "stored": 400 * at, "rss": value_at(at) * MEBIBYTE}
                       for at in range(600)]
            self.assertEqual(trended(samples), found)

    def test_sure_but_small_is_no_trend(self):
        small = lambda at, draw: (40 + at / 100) * MEBIBYTE
        self.assertEqual(trended(series(600, small)), [])

    def test_each_life_of_the_server_is_judged_alone(self):
        """A server that was started again begins anew: a sawtooth of leaks, or a step that is none."""
        leak = lambda at, draw: (40 + at / 10) * MEBIBYTE
        level = lambda mebibytes: lambda at, draw: mebibytes * MEBIBYTE
        self.assertEqual(trended(series(300, leak) + series(300, leak, life=2)), [(1, "rss"), (2, "rss")])
        self.assertEqual(trended(series(300, level(20)) + series(300, level(90), life=2)), [])

    def test_descriptors_and_threads_that_stay_open(self):
        self.assertEqual(trended(series(300, lambda at, draw: 30 + at // 5 + draw.randint(0, 9), "descriptors")),
                         [(1, "descriptors")])
        self.assertEqual(trended(series(300, lambda at, draw: 6 + at // 30, "threads")), [(1, "threads")])

    def test_throughput_that_falls(self):
        fall = lambda at, draw: 5000 - 12 * at + draw.uniform(-500, 500)
        rise = lambda at, draw: 1000 + 12 * at
        self.assertEqual(trended(series(300, fall, "stored_per_s")), [(1, "stored_per_s")])
        self.assertEqual(trended(series(300, rise, "stored_per_s")), [])

    def test_too_short_is_said(self):
        verdict = trend.judge(series(15, lambda at, draw: at * MEBIBYTE))[0]
        self.assertFalse(verdict.trended)
        self.assertIn("too short to judge", verdict.sentence())


class TestChart(unittest.TestCase):
    def parse(self, svg):
        root = xml.etree.ElementTree.fromstring(svg)
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        return root

    def test_svg_is_well_formed(self):
        picture = chart.Chart("<&\"'> title", ["seed ]]> & more"], 4000)
        picture.lane("kill", "bad", [(1, 1), (3999, 5000)], through=True)
        points = [(at, None if at % 500 == 0 else at % 77) for at in range(4000)]
        picture.panel("Rate", "messages/s", [chart.Series("stored", "a", points, [((0, 0), (4000, 70))])])
        picture.panel("Latency", "ms", [chart.Series("median", "b", points)], logarithmic=True)
        root = self.parse(picture.svg())
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("<&\"'> title", texts)
        self.assertIn("Rate, messages/s", texts)
        self.assertIn("1:00:00", texts)

    def test_svg_of_nothing(self):
        picture = chart.Chart("nothing", [], 0)
        picture.panel("Rate", "messages/s", [chart.Series("stored", "a", [])])
        picture.panel("Latency", "ms", [chart.Series("median", "b", [])], logarithmic=True)
        self.parse(picture.svg())


class TestSoak(unittest.TestCase):
    LOST_OR_ALTERED = (
        "UPDATE messages SET body = CAST('x' AS BLOB) WHERE id = (SELECT max(id) / 2 FROM messages)",
        "DELETE FROM messages WHERE id = (SELECT max(id) / 3 FROM messages)",
        "UPDATE streams SET last_seq = last_seq + 1 WHERE id = 1",
    )

    def run_soak(self, *arguments):
        """(status, the world that it left)."""
        worlds = []
        conclude = judge.conclude
        keep = lambda world, *rest: worlds.append(world) or conclude(world, *rest)
        with unittest.mock.patch.object(judge, "conclude", keep):
            return soak.main(arguments), worlds[0]

    def test_ten_seconds(self):
        """All is well; and had it not been, it would have been noticed."""
        with tempfile.TemporaryDirectory() as folder:
            status, world = self.run_soak("--seconds", "10", "--rate", "400", "--kills", "1", "--seed", "10",
                                          "--keep", "--output", folder)
            summary = json.loads(pathlib.Path(folder, "summary.json").read_text(encoding="utf-8"))
            self.assertEqual((status, summary["faults"], summary["counts"]["server kill"]), (0, [], 1))
            self.assertGreater(summary["messages_stored"], 1000)
            xml.etree.ElementTree.parse(pathlib.Path(folder, "soak.svg"))
            with contextlib.redirect_stdout(io.StringIO()):
                self.check_notices(world)

    def check_notices(self, world):
        some_stream = next(stream for stream, number in world.acked.items() if number)
        world.acked[some_stream] += 1
        judge.check_store(world)
        self.assertTrue(any("were acknowledged" in fault for fault in world.faults), world.faults)
        for statement in self.LOST_OR_ALTERED:
            with contextlib.closing(sqlite3.connect(world.store)) as database, database:
                database.execute(statement)
            world.faults.clear()
            judge.check_store(world)
            self.assertTrue(world.faults, statement)
