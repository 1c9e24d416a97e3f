"""The admin endpoint of a server under test: where it is, and one request at a time."""

import socket
import time

import processes


class Answer:
    """What came back: status, headers (names in small letters) and body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        self.version, status, self.words = first.split(" ", 2)
        self.status = int(status)
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    @property
    def text(self):
        return self.body.decode("utf-8")


def address(server):
    """Where the endpoint of a started server is: unix:PATH or HOST:PORT, as its log says."""
    return server.wait_log(r"admin endpoint address=(?P<at>\S+)").group("at")


def connect(at, timeout_s=30):
    """A connection to the endpoint."""
    if at.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        connection.connect(at[len("unix:") :])
        return connection
    host, _, port = at.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout_s)


def read_all(connection):
    """All bytes until the other side ends."""
    data = bytearray()
    while True:
        piece = connection.recv(1 << 16)
        if not piece:
            return bytes(data)
        data += piece


def raw(at, request):
    """Sends bytes, and returns all that comes until the end."""
    with connect(at) as connection:
        connection.sendall(request)
        return read_all(connection)


def get(at, path, method="GET", host=None, headers=()):
    """One request, one Answer."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or at}", *headers, "", ""]
    return Answer(raw(at, "\r\n".join(lines).encode()))


def samples(at):
    """All samples of /metrics: {"name" or 'name{label="value"}': number}."""
    answer = get(at, "/metrics")
    if answer.status != 200:
        raise AssertionError(f"/metrics says {answer.status}: {answer.text}")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            if name in found:
                raise AssertionError(f"{name} is there twice")
            found[name] = float(value)
    return found


def raw_unless_reset(at, request):
    """As raw, where the other side may have heard enough before it has read all."""
    with connect(at) as connection:
        data = bytearray()
        try:
            connection.sendall(request)
            while piece := connection.recv(1 << 16):
                data += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return bytes(data)


def wait_sample(at, name, least):
    """Asks until a sample has reached a value, and returns all samples of that answer."""
    deadline = time.monotonic() + processes.DEADLINE_S
    while time.monotonic() < deadline:
        found = samples(at)
        if found[name] >= least:
            return found
    raise AssertionError(f"{name} is {found[name]}, and did not reach {least}")
