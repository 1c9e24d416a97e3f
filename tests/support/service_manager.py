"""A service manager for tests: it listens on a NOTIFY_SOCKET, and passes sockets.

Used by test_service.py, test_units.py and test_socket_activation.py. As a program, it stands in front of
another one and moves the descriptors that it was given to where sd_listen_fds(3) has them:

    service_manager.py DESCRIPTOR,… PROGRAM ARGUMENT…
"""

import fcntl
import os
import select
import socket
import sys
import time

import processes


class Manager:
    """Listens for what a service tells. `address` is the value of NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address = str(address)
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._heard = []  # what came and nobody has waited for

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._socket.close()

    def close(self):
        self._socket.close()

    def hear(self, timeout_s=None):
        """The next datagram as a dictionary, or None when none comes in time."""
        if self._heard:
            return self._heard.pop(0)
        if not select.select([self._socket], [], [], timeout_s or processes.DEADLINE_S)[0]:
            return None
        text = self._socket.recv(4096).decode("utf-8")
        assert text.endswith("\n"), text
        return dict(line.split("=", 1) for line in text[:-1].split("\n"))

    def hear_now(self):
        """What has come already, or None."""
        return self.hear(timeout_s=0.000001)

    def wait(self, name, matches=lambda value: True):
        """Waits for a datagram that has `name` with such a value; what comes before it is dropped."""
        deadline = time.monotonic() + processes.DEADLINE_S
        seen = []
        while time.monotonic() < deadline:
            facts = self.hear(max(deadline - time.monotonic(), 0.001))
            seen.append(facts)
            if facts and name in facts and matches(facts[name]):
                return facts
        raise AssertionError(f"no {name} came, but {seen}")

    def names_until(self, name):
        """The steps of the service's life that are told, up to and with `name`."""
        steps = []
        while True:
            facts = self.hear()
            if facts is None:
                raise AssertionError(f"no {name} came, but {steps}")
            steps += [fact for fact in facts if fact in ("READY", "RELOADING", "STOPPING")]
            if name in facts:
                return steps

    def stuff(self):
        """Fills the queue: whoever tells anything now is told to try again. Returns how many it took."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
            other.connect(name)
            while True:
                try:
                    other.send(b"STUFFING=1\n")
                    count += 1
                except BlockingIOError:
                    return count

    def environment(self, watchdog_ms=None, **others):
        variables = {"NOTIFY_SOCKET": self.address, **others}
        if watchdog_ms:
            variables["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
        return variables



class Passed:
    """Sockets for a program: `options` for processes.Process. What stays away is None."""

    def __init__(self, sockets, names=None, count=None, pid=None):
        descriptors = [passed.fileno() for passed in sockets]
        program = os.path.abspath(__file__)
        self.prefix = (sys.executable, "-B", program, ",".join(map(str, descriptors)))
        environment = {"LISTEN_FDS": str(len(sockets) if count is None else count)}
        if names is not None:
            environment["LISTEN_FDNAMES"] = names
        if pid is not None:
            environment["LISTEN_PID"] = pid
        self.options = {"passed": descriptors, "environment": environment}


def listening(host="127.0.0.1", port=0, **options):
    """A socket as a socket unit makes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=64, **options)


def main(descriptors, *command):
    # First out of the way of each other, then to their places.
    first = 3
    moved = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 100) for text in descriptors.split(",") if text]
    for index, descriptor in enumerate(moved):
        os.dup2(descriptor, first + index, inheritable=True)
        os.close(descriptor)
    os.closerange(first + len(moved), 200)
    os.environ.setdefault("LISTEN_PID", str(os.getpid()))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
