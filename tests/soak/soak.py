"""The long run: everything at once against one real server, watched from outside, judged at the end.

scripts/soak is how a person starts it; see --help. The main thread conducts: it starts, kills and
reloads the server. All others are threads or programs of their own (senders.py, others.py), paced by
the clock and drawn from the seed. What happens when is the machine's to say, so a seed repeats the
choices of a run, not its interleaving.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import signal
import sys

import certificates as certs
import judge
import others
import senders
import trend
import watch
from faulty_proxy import MODES, FaultyProxy
from world import PATIENCE_S, Server, World

HERE = pathlib.Path(__file__).resolve().parent
# Two authorities: a reload changes the whole chain, and the type of the key.
PAIRS = ("", "ed25519/")
MESSAGE_BYTES = 150  # on disk, on average: world.message and what the store keeps beside it
START_PATIENCE_S = 60
LOCKED = "another process has locked it"
BULK, FAULTY, SPOOLS, PLAIN, CHURN = 3, 2, 2, 2, 2
PROXY = {"after_bytes_max": 1 << 18, "stall_max_s": 3.0, "delay_max_s": 0.002}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/soak", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Mixes everything against one certpostd with a store, watches it from outside, checks every\n"
        "message at the end, and says whether memory, descriptors, threads, the write-ahead log or\n"
        "throughput trended. Writes soak.svg, summary.json, samples.csv and the server's log.",
        epilog="Exit status: 0 all is well, 1 a fault or a trend, 2 usage.")
    add = parser.add_argument
    add("minutes", nargs="?", type=float, help="how long")
    add("--seconds", type=float, help="the same in seconds")
    add("--rate", type=float, default=3000, help="messages a second of all senders together, bursts aside (%(default)g)")
    add("--store-max", type=float, default=4096, metavar="MIB",
        help="bound of the store: the rate is lowered to stay within (%(default)g)")
    add("--kills", type=int, metavar="N", help="kill the server so often (default: once per 20 minutes begun)")
    add("--reload-every", type=float, default=7, metavar="SECONDS", help="a reload about so often (%(default)g)")
    add("--seed", type=int, help="repeats the choices of a run (default: a new one, printed)")
    add("--output", type=pathlib.Path, help="folder for what is written (default: build/soak)")
    add("--keep", action="store_true", help="keep the store and the spools, also when all is well")
    options = parser.parse_args(arguments)
    if (options.minutes is None) == (options.seconds is None):
        parser.error("give MINUTES (or --seconds)")
    options.seconds = options.seconds if options.minutes is None else options.minutes * 60
    if options.seconds <= 0 or options.rate <= 0:
        parser.error("a time and a rate are more than 0")
    if options.kills is None:
        options.kills = 1 + int(options.seconds // 1200)
    if options.seed is None:
        options.seed = others.choose_seed()
    if options.output is None:
        options.output = certs.SOURCE_DIR / "build" / "soak"
    most = options.store_max * trend.MEBIBYTE / MESSAGE_BYTES / options.seconds / 1.5  # bursts
    options.rate = min(options.rate, most)
    return options


class Conductor:
    """Starts, reloads, kills and ends the server; starts and joins everybody else."""

    def __init__(self, world, options):
        self.world, self.options = world, options
        self.random = world.draw("conductor")
        self.certificates = world.folder / "tls"
        self.certificates.mkdir()
        self.ca = world.folder / "ca.crt"
        self.ca.write_text("".join(pathlib.Path(certs.path(f"{pair}ca.crt")).read_text(encoding="ascii")
                                   for pair in PAIRS), encoding="ascii")
        self.log = open(options.output / "certpostd.log", "w", encoding="utf-8")
        self.sampler = watch.Sampler(world)
        self.server = None
        self.actors, self.proxies = [], []
        self.follower = self.probe = None

    # ---- the server ----------------------------------------------------------------------------------

    def start_server(self):
        world = self.world
        world.life += 1
        self.install(PAIRS[0])
        until = world.now() + START_PATIENCE_S
        while True:
            self.server = Server(world, self.certificates, self.log)
            address = self.server.wait_listening()
            if address:
                break
            self.server.wait()
            # A foreign reader keeps what a killed server left from being forced to the disk: the server
            # does not start, and whoever watches over it starts it again.
            if LOCKED not in self.server.report() or world.now() > until:
                raise SystemExit(f"scripts/soak: certpostd does not start{self.server.report()}")
            world.mark("refused start", world.now())
            self.server.kill()
            world.pause(0.5)
        world.address = address
        self.sampler.server = self.server
        world.is_serving = True

    def kill_server(self):
        """As a power switch would, with the same store and address again at once."""
        world = self.world
        disturbance = world.disturb()
        world.is_serving = False
        world.mark("server kill", world.now())
        self.server.kill()
        self.start_server()
        world.calm(disturbance)

    def replace(self, name, data):
        new = self.certificates / f"{name}.new"
        new.write_bytes(data)
        new.rename(self.certificates / name)

    def install(self, pair):
        for name in ("server.crt", "server.key"):
            self.replace(name, pathlib.Path(certs.path(pair + name)).read_bytes())

    def reload(self):
        """Most are good; a bad one must change nothing."""
        self.install(self.random.choice(PAIRS))
        kind = self.random.choices(("good", "other key", "nonsense", "missing"), (5, 1, 1, 1))[0]
        if kind == "other key":
            self.replace("server.key", pathlib.Path(certs.path("rsa3072/server.key")).read_bytes())
        elif kind == "nonsense":
            self.replace("server.crt", self.random.randbytes(3000))
        elif kind == "missing":
            (self.certificates / "server.key").unlink()
        begin = self.world.now()
        said = self.server.reload()
        if said is None or said.endswith(" info reloaded") != (kind == "good"):
            self.world.fault(f"a reload ({kind}) got {said!r}")
        self.world.mark("reload" if kind == "good" else "bad reload", begin, self.world.now())

    def watch_server(self):
        if not self.server.is_running():
            self.world.fault(f"certpostd ended by itself with {self.server.wait()}{self.server.report()}")
            return False
        size = watch.file_bytes(self.world.store)
        self.world.is_full = size > self.options.store_max * trend.MEBIBYTE
        return True

    # ---- everybody else ------------------------------------------------------------------------------

    def start_others(self):
        world, ca = self.world, self.ca
        share = self.options.rate / (BULK + FAULTY + SPOOLS)
        direct = lambda: world.address
        self.proxies = [FaultyProxy(world.address, f"{world.seed}/{at}", modes=MODES, **PROXY)
                        for at in range(FAULTY)]
        through = [(lambda proxy=proxy: proxy.address) for proxy in self.proxies]
        self.actors = [senders.Sender(world, f"bulk{at}", share, direct, ca) for at in range(BULK)]
        self.actors += [senders.Sender(world, f"faulty{at}", share, through[at], ca) for at in range(FAULTY)]
        self.actors += [senders.SpoolSender(world, f"spool{at}", share, direct, ca) for at in range(SPOOLS)]
        context = senders.wide_context(ca)
        self.actors += [senders.PlainPeer(world, f"peer{at}", context) for at in range(PLAIN)]
        self.actors += [senders.OpenSslPeer(world, "openssl")]
        self.actors += [others.Churn(world, f"churn{at}", 0.05, ca) for at in range(CHURN)]
        self.actors += [others.SlowDisk(world, "disk"), others.Verifier(world, "verify")]
        self.follower = others.Follower(world)
        self.probe = others.Probe(world, HERE / "probe.py", ca, world.address)
        for actor in self.actors:
            actor.start()

    def conduct(self):
        """The schedule, until the time is over."""
        seconds = self.options.seconds
        kills = [seconds * (at + self.random.uniform(-0.2, 0.2)) / (self.options.kills + 1)
                 for at in range(1, self.options.kills + 1)]
        reload_at = self.options.reload_every
        while self.world.now() < seconds and not self.world.pause(0.1) and self.watch_server():
            if kills and self.world.now() >= kills[0]:
                kills.pop(0)
                self.kill_server()
            elif self.world.now() >= reload_at:
                self.reload()
                reload_at = self.world.now() + self.options.reload_every * self.random.uniform(0.5, 1.5)

    def drain(self):
        """Everybody ends in order, then the server does."""
        world = self.world
        world.stopping.set()
        for proxy in self.proxies:
            proxy.heal()
        until = world.now() + 2 * PATIENCE_S
        for actor in self.actors:
            actor.join(max(0.1, until - world.now()))
            if actor.is_alive():
                world.fault(f"{actor.name} does not end")
        self.probe.finish()
        if self.server.is_running():
            self.follower.finish(self.sampler.stored() or 0)
        self.sampler.end()
        world.is_serving = False
        self.stop_server()
        for proxy in self.proxies:
            world.counts.update({f"proxy_{what}": count for what, count in proxy.counts.items()})
            proxy.stop()

    def stop_server(self):
        if not self.server.is_running():
            return
        self.server.signal(signal.SIGTERM)
        status = self.server.wait()
        if status != 0:
            self.world.fault(f"certpostd ended with {status}{self.server.report()}")
        self.server.kill()

    def end(self):
        """Whatever has happened, nothing is left."""
        self.world.stopping.set()
        if self.server is not None:
            self.server.kill()
        self.sampler.end()
        self.log.close()


def run(options, world):
    conductor = Conductor(world, options)
    try:
        conductor.start_server()
        conductor.sampler.start()
        conductor.start_others()
        with contextlib.suppress(KeyboardInterrupt):
            conductor.conduct()
        print(f"{world.now():.0f} s: draining", flush=True)
        drain_at = world.now()
        conductor.drain()
        world.mark("drain", drain_at, world.now())
    finally:
        if conductor.sampler.ident is None:
            conductor.sampler.start()
        conductor.end()
    return conductor


def main(arguments):
    options = parse(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    folder = options.output / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    print(f"seed {options.seed}, {options.seconds:g} s, {options.rate:.0f} messages/s and bursts, "
          f"{options.kills} kills; {options.output}", flush=True)
    world = World(options.seed, folder)
    conductor = run(options, world)
    is_well = judge.conclude(world, options, conductor.sampler.samples, conductor.probe.latencies)
    if is_well and not options.keep:
        shutil.rmtree(folder)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
