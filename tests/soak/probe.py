"""The honest small client of a long run: one short message at a time, and how long each took.

    probe.py HOST:PORT CA SEED

Prints `MONOTONIC_SECONDS MILLISECONDS NUMBER` for each acknowledged message. It checks every digest. A
lost connection is made again, and the time that this took counts as the message's. It ends with its
input.
"""

import random
import select
import socket
import ssl
import sys
import time

import certpost1
from world import message

STREAM = "probe"
INTERVAL_S = 0.1
TIMEOUT_S = 30


def input_ended(most_s):
    """Waits; true when the input has ended."""
    return bool(select.select([sys.stdin], [], [], most_s)[0])


def connect(address, context, client):
    host, _, port = address.rpartition(":")
    raw = socket.create_connection((host, int(port)), TIMEOUT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = context.wrap_socket(raw, server_hostname="localhost")
    client.connect(tls)
    return tls


def deliver(address, context, client, tls):
    """Until all is acknowledged, over as many connections as it takes; None if the input has ended."""
    while True:
        try:
            if tls is None:
                tls = connect(address, context, client)
            client.deliver()
            return tls
        except (OSError, certpost1.Truncated, certpost1.Refused):
            if tls is not None:
                tls.close()
            tls = None
            if input_ended(0.05):
                return None


def main(address, ca, seed):
    draw = random.Random(f"{seed}/probe")
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([certpost1.ALPN])
    client = certpost1.Client(STREAM.encode(), certpost1.STORED, seq=0)
    tls, number = None, 0
    while not input_ended(draw.uniform(0.5, 1.5) * INTERVAL_S):
        number += 1
        began = time.monotonic()
        client.queue(message(STREAM, number))
        tls = deliver(address, context, client, tls)
        if tls is None:
            break
        now = time.monotonic()
        print(f"{now:.6f} {(now - began) * 1000:.4f} {number}", flush=True)
    if tls is not None:
        tls.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (certpost1.DigestError, certpost1.ProtocolError, AssertionError) as failure:
        print(f"fault {type(failure).__name__}: {failure}", flush=True)
        sys.exit(1)
