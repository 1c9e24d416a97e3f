"""Two hosts on one machine: network namespaces that this test makes, joined by one virtual cable.

    with hosts.Pair() as pair:
        with pair.server.start(["certpostd", ...]) as server: ...

Each host is a process that waits for its input to end, in namespaces of its own. It holds them: when it
ends, and it ends with the test at the latest, the kernel takes interfaces, addresses, routes and packet
filters back. Nothing has a name outside, so tests can run side by side and leave nothing behind.
"""

import os
import subprocess

import processes

CLIENT_ADDRESS = "10.99.0.1"
SERVER_ADDRESS = "10.99.0.2"
SERVER_OTHER_ADDRESS = "10.99.0.3"
PREFIX_BITS = 24
CABLE = "cable"  # the interface's name, at either end


def need():
    """Skips the test where namespaces cannot be made."""
    for program in ("unshare", "nsenter", "ip", "nft"):
        processes.need_program(program)
    made = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    if made.returncode != 0:
        processes.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
    filtered = subprocess.run(
        ["unshare", "--net", "nft", "add", "table", "inet", "probe"], capture_output=True, text=True
    )
    if filtered.returncode != 0:
        processes.skip(f"packets cannot be filtered here: {filtered.stderr.strip()}")


class Host:
    """A network of its own, in which programs can be started."""

    def __init__(self, address):
        self.address = address
        self._holder = processes.Process(["unshare", "--net", "--mount", "--", "sh", "-c", "echo ready; exec cat"])
        self._holder.stdout.wait_line("ready")

    @property
    def prefix(self):
        """Put before a command, it runs there, under the same process id."""
        return [processes.need_program("nsenter"), "-t", str(self._holder.pid), "--net", "--mount", "--"]

    def run(self, *command):
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")

    def take_cable(self, other):
        """Joins this host with another one, and gives both their addresses."""
        self.run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", str(other._holder.pid))
        for host in (self, other):
            host.run("ip", "link", "set", "lo", "up")
            host.add_address(host.address)
            host.connect()

    def connect(self):
        self.run("ip", "link", "set", CABLE, "up")

    def disconnect(self):
        """Pulls the plug: packets vanish in both directions, and nobody is told."""
        self.run("ip", "link", "set", CABLE, "down")

    def add_address(self, address):
        self.run("ip", "address", "add", f"{address}/{PREFIX_BITS}", "dev", CABLE)

    def remove_address(self, address):
        self.run("ip", "address", "delete", f"{address}/{PREFIX_BITS}", "dev", CABLE)

    def drop_incoming(self):
        """From now on nothing arrives here, while what is sent from here does arrive."""
        self.run("nft", "add", "table", "inet", "faults")
        self.run(
            "nft", "add", "chain", "inet", "faults", "incoming",
            "{ type filter hook input priority 0 ; policy drop ; }",
        )  # fmt: skip

    def accept_incoming(self):
        self.run("nft", "delete", "table", "inet", "faults")

    def write_hosts(self, path, lines):
        """What names mean on this host; written in place, because the file is mounted."""
        with open(path, "w", encoding="ascii") as names:
            names.write("".join(f"{line}\n" for line in lines))

    def use_hosts(self, path):
        """From now on `path` is this host's /etc/hosts."""
        self.run("mount", "--bind", path, "/etc/hosts")

    def close(self):
        self._holder.kill()


class Pair:
    """The client's host and the server's, joined. Leaving the `with` takes both away."""

    def __init__(self):
        need()
        self.client = Host(CLIENT_ADDRESS)
        self.server = Host(SERVER_ADDRESS)
        self.client.take_cable(self.server)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.client.close()
        self.server.close()


def names_can_be_set():
    """Whether there is a file to put another one over."""
    return os.path.exists("/etc/hosts")
