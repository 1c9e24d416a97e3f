"""Very many TLS clients at once in one process, each sending numbered messages one after the other.

One epoll loop over plain sockets with TLS in memory. Every client first finishes its handshake; when
all have, and the test has had a look at the server, all begin to talk. Each message waits for the
reply to the one before. Any failure of any client fails the whole.
"""

import select
import socket
import ssl
import time

import processes
import tls_peers

CONNECTING_AT_ONCE = 200  # handshakes in flight, so that no client's deadline is another's work


class _Client:
    def __init__(self, number, port, context):
        self.number = number
        self.sent = 0
        self.waiting_bytes = 0  # of the reply that is still to come
        self.reply = bytearray()
        self.is_connected = False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))

    def flush(self):
        if self.outgoing.pending:
            data = self.outgoing.read()
            # A few hundred bytes into an empty socket buffer: less than all of it is a failure.
            if self.socket.send(data) != len(data):
                raise AssertionError(f"client {self.number}: the socket buffer is full")

    def take_bytes(self):
        """What the socket has, into the TLS side; False when the server has ended the connection."""
        data = self.socket.recv(1 << 16)
        if data:
            self.incoming.write(data)
        return bool(data)


class Swarm:
    """`count` clients; connect(), then exchange(), then leave()."""

    def __init__(self, port, count, reply):
        self._port = port
        self._count = count
        self._expected_reply = reply
        self._context = tls_peers.client_context()
        self._epoll = select.epoll()
        self._clients = {}
        self.message_of = lambda client, number: f"client {client} message {number}".encode()

    def connect(self):
        """Connects all and finishes every handshake."""
        waiting = list(range(self._count))
        in_flight = 0
        connected = 0
        while connected < self._count:
            while waiting and in_flight < CONNECTING_AT_ONCE:
                client = _Client(waiting.pop(), self._port, self._context)
                self._clients[client.socket.fileno()] = client
                self._epoll.register(client.socket, select.EPOLLOUT)
                in_flight += 1
            for client in self._events():
                if self._shake(client):
                    in_flight -= 1
                    connected += 1

    def exchange(self, messages_each):
        """Every client sends its messages, each after the reply to the one before."""
        for client in self._clients.values():
            self._send_next(client)
        talking = len(self._clients)
        while talking:
            for client in self._events():
                talking -= self._talk(client, messages_each)

    def leave(self):
        """Every client says close_notify and waits for the server's."""
        staying = len(self._clients)
        for client in self._clients.values():
            staying -= self._say_goodbye(client)
        while staying:
            for client in self._events():
                if not client.take_bytes():
                    client.incoming.write_eof()
                staying -= self._say_goodbye(client)
        self._epoll.close()

    def _events(self):
        events = self._epoll.poll(processes.DEADLINE_S)
        if not events:
            raise AssertionError(f"nothing has happened for {processes.DEADLINE_S} s")
        for descriptor, _ in events:
            yield self._clients[descriptor]

    def _shake(self, client):
        """One step of a handshake; true when it is finished."""
        if not client.is_connected:
            error = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, f"client {client.number} cannot connect")
            client.is_connected = True
            self._epoll.modify(client.socket, select.EPOLLIN)
        elif not client.take_bytes():
            raise AssertionError(f"client {client.number}: the server left during the handshake")
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            client.flush()
            return False
        client.flush()
        return True

    def _send_next(self, client):
        client.tls.write(self.message_of(client.number, client.sent))
        client.sent += 1
        client.flush()

    def _talk(self, client, messages_each):
        """Takes what came; 1 when the client has all its replies, else 0."""
        if not client.take_bytes():
            raise AssertionError(f"client {client.number}: the server left after {client.sent} messages")
        try:
            while True:
                client.reply += client.tls.read(1 << 14)
        except ssl.SSLWantReadError:
            pass
        if len(client.reply) < len(self._expected_reply):
            return 0
        if client.reply != self._expected_reply:
            raise AssertionError(f"client {client.number}: the reply is {bytes(client.reply)!r}")
        client.reply.clear()
        if client.sent < messages_each:
            self._send_next(client)
            return 0
        return 1

    def _say_goodbye(self, client):
        """One step of the end; 1 when both sides have said close_notify, else 0."""
        try:
            client.tls.unwrap()
        except ssl.SSLWantReadError:
            client.flush()
            return 0
        client.flush()
        self._epoll.unregister(client.socket)
        client.socket.close()
        return 1


def run(server, count, messages_each, reply, when_connected=lambda: None):
    """One full load; returns the seconds that the messages took."""
    swarm = Swarm(server.port, count, reply)
    swarm.connect()
    when_connected()
    begin = time.monotonic()
    swarm.exchange(messages_each)
    took_s = time.monotonic() - begin
    swarm.leave()
    return took_s
