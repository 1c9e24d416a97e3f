"""certpostd with sockets that somebody else has opened (sd_listen_fds(3)).

One case alone: ctest --preset dev -R 'integration.socket_activation.all_workers_share_one_socket'
"""

import contextlib
import signal
import socket
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, PROGRAM, Server
from service_manager import Passed, listening
from tls_peers import TlsPeer

CONNECTIONS = 60


class ActivationCase(unittest.TestCase):
    def listening(self, *arguments, **options):
        opened = listening(*arguments, **options)
        self.addCleanup(opened.close)
        return opened

    def serve(self, sockets, *options, listen, names=None, **arguments):
        passed = Passed(sockets, names)
        environment = {**passed.options["environment"], **arguments.pop("environment", {})}
        return Server(*options, listen=listen, prefix=passed.prefix, sandbox=True,
                      passed=passed.options["passed"], environment=environment, **arguments)

    def exchange(self, port, **options):
        with TlsPeer(port, **options) as client:
            client.exchange(b"Hello, server!", DEFAULT_REPLY)
            client.finish()


class SocketActivation(ActivationCase):
    def test_all_workers_share_one_socket(self):
        opened = self.listening()
        port = opened.getsockname()[1]
        with self.serve([opened], "--workers", "4", listen=["systemd:certpost"], names="certpost") as server:
            self.assertEqual(server.address, f"127.0.0.1:{port}")
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(TlsPeer(port)) for _ in range(CONNECTIONS)]
                for client in clients:
                    client.exchange(b"Hello, server!", DEFAULT_REPLY)
                for client in clients:
                    client.finish()

    def test_each_name_is_its_own(self):
        first, second, third = self.listening(), self.listening("127.0.0.2"), self.listening("127.0.0.3")
        # Two sockets of one unit have one name; the addresses come in the order of the options.
        with self.serve([first, second, third], "--listen", "systemd:twice", "--listen", "127.0.0.1:0",
                        listen=["systemd:once"], names="twice:once:twice") as server:
            self.assertEqual(server.port, second.getsockname()[1])
            for opened in (first, third):
                host, port = opened.getsockname()
                self.assertEqual(server.wait_line(r"Server listening on (\S+)").group(1), f"{host}:{port}")
                self.exchange(port, host=host)
            own = server.wait_line(r"Server listening on 127\.0\.0\.1:(\d+)").group(1)
            self.exchange(int(own))

    def test_without_names_they_are_unknown(self):
        opened = self.listening()
        with self.serve([opened], listen=["systemd:unknown"]) as server:
            self.exchange(server.port)

    def test_a_reload_keeps_them(self):
        opened = self.listening()
        with self.serve([opened], listen=["systemd:certpost"], names="certpost") as server:
            server.send_signal(signal.SIGHUP)
            server.wait_log("reloaded")
            self.exchange(server.port)

    def test_who_connects_between_two_servers_is_served_by_the_second(self):
        opened = self.listening()
        port = opened.getsockname()[1]
        with self.serve([opened], listen=["systemd:certpost"], names="certpost"):
            self.exchange(port)
        with contextlib.closing(tls_peers.tcp_connect(port)) as early:
            with self.serve([opened], listen=["systemd:certpost"], names="certpost"):
                with tls_peers.client_context().wrap_socket(early, server_hostname="localhost") as client:
                    client.sendall(b"Hello, server!")
                    self.assertEqual(client.recv(100), DEFAULT_REPLY)

    def test_ipv4_through_a_socket_for_both(self):
        try:
            opened = self.listening("::", dualstack_ipv6=True)
        except (OSError, ValueError):
            processes.skip("this machine has no IPv6")
        with self.serve([opened], "--proxy-from", "127.0.0.0/8", listen=["systemd:certpost"],
                        names="certpost") as server:
            port = opened.getsockname()[1]
            # The network of an option is compared with the address that the peer really has.
            with contextlib.closing(tls_peers.tcp_connect(port)) as client:
                client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 5678\r\n")
                with tls_peers.client_context().wrap_socket(client, server_hostname="localhost"):
                    server.wait_line(r"Connected by 192\.0\.2\.7:1234")
            self.exchange(port, host="::1")


class Refused(ActivationCase):
    def check(self, sockets, words, *options, names="certpost", status=2, count=None, pid=None):
        passed = Passed(sockets, names, count, pid)
        got, _, told = processes.run(
            [*passed.prefix, PROGRAM, "--cert", certs.path("server.crt"), "--key", certs.path("server.key"),
             *(options or ("--listen", "systemd:certpost"))], **passed.options)
        self.assertIn(words, told)
        self.assertEqual(got, status)
        self.assertEqual(told.count("\n"), 1)

    def test_no_socket_of_that_name(self):
        self.check([self.listening(), self.listening()], "systemd:certpost: no socket of that name was passed; there "
                   "are: post, o\\x1bther", names="post:o\x1bther")

    def test_no_socket_at_all(self):
        self.check([], "systemd:certpost: no socket was passed (LISTEN_FDS); a socket unit does that, with "
                   "FileDescriptorName=certpost", names=None)

    def test_sockets_for_another_process(self):
        self.check([self.listening()], "systemd:certpost: the sockets were passed to process 1 (LISTEN_PID), and this "
                   "is ", pid="1")

    def test_sockets_for_another_process_that_nobody_asks_for(self):
        """The variables may have been left over from a parent."""
        with Server(environment={"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}) as server:
            self.exchange(server.port)

    def test_a_socket_that_nobody_takes(self):
        self.check([self.listening(), self.listening()], "a socket named other was passed, and no --listen "
                   "systemd:other takes it; its clients would wait for ever", names="certpost:other")

    def test_one_name_twice(self):
        self.check([self.listening()], "--listen cannot be at systemd:certpost: --listen is at systemd:certpost",
                   "--listen", "systemd:certpost", "--listen", "systemd:certpost")

    def test_what_is_no_listening_tcp_socket(self):
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            self.check([file], "descriptor 3 is no socket")
            datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.check([datagrams], "descriptor 3 is no TCP socket")
            local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self.check([local], "descriptor 3 is no TCP socket")
            accepted = stack.enter_context(tls_peers.tcp_connect(self.listening().getsockname()[1]))
            self.check([accepted], "descriptor 3 does not listen (a socket unit needs Accept=no)")

    def test_a_descriptor_that_was_not_passed(self):
        self.check([self.listening()], "systemd:two: descriptor 4", "--listen", "systemd:certpost",
                   "--listen", "systemd:two", names="certpost:two", count=2)

    def test_variables_that_do_not_fit(self):
        opened = [self.listening()]
        self.check(opened, "LISTEN_FDS is no number up to 1024", count="many")
        self.check(opened, "LISTEN_FDS is no number up to 1024", count=1025)
        self.check(opened, "LISTEN_FDS is set, and LISTEN_PID is no process number", pid="me")
        self.check(opened, "LISTEN_FDNAMES has more names than the 1 sockets", names="certpost:other")
        self.check(opened * 2, "LISTEN_FDNAMES has 1 names, and LISTEN_FDS says 2 sockets")

    def test_names_that_cannot_be(self):
        for name in ("", "a:b", "with space", "x" * 256, "\x1b"):
            self.check([], "systemd: is followed by the name of a socket", "--listen", f"systemd:{name}", names=None)


if __name__ == "__main__":
    unittest.main()
