"""What a running certpostd may still do: its user, its capabilities, its sandbox; and that it serves,
reloads and drains with no more than that.

One case alone: ctest --preset dev -R 'integration.rights.sandbox_serves_reloads_and_drains'
"""

import os
import pathlib
import pwd
import re
import shutil
import signal
import tempfile
import unittest

import certificates as certs
import processes
import tls_peers
from certpost_server import DEFAULT_REPLY, PROGRAM, Server, run_certpostd
from tls_peers import TlsPeer

USER = "nobody"
NO_CAPABILITY = "0000000000000000"


def need_root():
    if os.geteuid() != 0:
        processes.skip("only root can become somebody else")


def need_kernel(*features):
    """The sandbox's halves, as the server itself logs them."""
    with Server(sandbox=True) as server:
        line = server.wait_log("sandbox landlock=").group(0)
        for feature, shown in (("landlock", "landlock=abi"), ("seccomp", "seccomp=yes")):
            if feature in features and shown not in line.replace('"', ""):
                processes.skip(f"this kernel has no {feature}: {line}")


class Rights(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.cert = str(self.folder / "server.crt")
        self.key = str(self.folder / "server.key")
        self.place("")

    def place(self, kind):
        """Puts a pair where the server looks, by renaming, as whoever renews certificates does."""
        for path in (self.cert, self.key):
            source = certs.path(os.path.join(kind, os.path.basename(path)))
            shutil.copy(source, path + ".new")
            os.chmod(path + ".new", 0o600)
            os.replace(path + ".new", path)

    def server(self, *options, **arguments):
        return Server(*options, cert=self.cert, key=self.key, sandbox=True, **arguments)

    def exchange(self, server, kind=""):
        """A new connection is served, with the certificate of this kind."""
        context = tls_peers.client_context(ca=os.path.join(kind, "ca.crt"))
        with TlsPeer(server.port, context=context) as client:
            client.exchange(b"Hello, server!", DEFAULT_REPLY)
            client.finish()

    def reload(self, server, pattern):
        server.send_signal(signal.SIGHUP)
        return server.wait_log(pattern).group(0)

    def check_threads(self, server, **expected):
        """Every thread, because rights are dropped thread by thread. After an exchange: the writer and
        a worker are there then."""
        threads = os.listdir(f"/proc/{server.pid}/task")
        self.assertGreater(len(threads), 2)
        for thread in threads:
            status = processes.status_fields(server.pid, thread)
            self.assertEqual({name: status[name] for name in expected}, expected)

    def check_no_capabilities(self, server):
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        if os.geteuid() != 0:
            names = ("CapPrm", "CapEff")  # only root may shrink the rest
        self.check_threads(server, **dict.fromkeys(names, NO_CAPABILITY))

    def test_sandbox_serves_reloads_and_drains(self):
        need_kernel("landlock", "seccomp")
        with self.server("--workers", "2") as server:
            server.wait_log("info sandbox landlock=abi")
            with TlsPeer(server.port) as old:
                old.exchange(b"before", DEFAULT_REPLY)
                self.check_threads(server, NoNewPrivs="1", Seccomp="2")
                self.check_no_capabilities(server)
                self.place("rsa3072")
                self.reload(server, "info reloaded")
                self.exchange(server, "rsa3072")
                old.exchange(b"after", DEFAULT_REPLY)
                server.send_signal(signal.SIGTERM)
                self.assertEqual(old.receive_all(), b"")
            self.assertEqual(server.wait(), 0)
            self.assertNotIn(" error ", "\n".join(server.stderr.lines))

    def test_many_reloads(self):
        """Nothing that a reload needs is used up or out of reach the second time."""
        with self.server("--workers", "2") as server:
            for number in range(10):
                kind = "rsa3072" if number % 2 == 0 else ""
                self.place(kind)
                self.reload(server, "info reloaded")
                self.exchange(server, kind)

    def test_sandbox_can_be_left_off(self):
        with Server("--no-sandbox") as server:
            server.wait_log("info sandbox landlock=off seccomp=off")
            self.assertEqual(processes.status_fields(server.pid)["Seccomp"], "0")
            self.assertEqual(processes.status_fields(server.pid)["NoNewPrivs"], "1")

    def test_reload_from_another_folder_is_refused_with_a_hint(self):
        need_kernel("landlock")
        with tempfile.TemporaryDirectory() as other:
            for path in (self.cert, self.key):
                shutil.copy(path, other)
            link = self.folder / "moved"
            config = self.folder / "certpostd.conf"
            config.write_text(f"reply = {DEFAULT_REPLY.decode()}\n", encoding="ascii")
            with self.server("--config", str(config)) as server:
                os.symlink(os.path.join(other, "server.crt"), link)
                os.replace(link, self.cert)
                line = self.reload(server, "reload failed, nothing has changed")
                self.assertIn(f"{self.cert}: Permission denied", line)
                self.assertIn("in the folders that it was started with", line)
                self.exchange(server)

    def test_no_core_dumps(self):
        with self.server() as server:
            self.exchange(server)
            limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text(encoding="ascii")
            self.assertRegex(limits, r"(?m)^Max core file size +[01] +[01] ")

    def test_memory_is_closed_to_others_of_the_same_user(self):
        """Root without the right to trace everything, which the server has given up as well."""
        need_root()
        setpriv = processes.need_program("setpriv")
        with self.server() as server:
            status, _, errors = processes.run(
                [setpriv, "--bounding-set", "-sys_ptrace", "--", "readlink", "-v", f"/proc/{server.pid}/exe"]
            )
            self.assertNotEqual(status, 0)
            self.assertIn("Permission denied", errors)

    def test_user_is_taken_for_good(self):
        """A key that only root may read is open before the user changes."""
        need_root()
        user = pwd.getpwnam(USER)
        with self.server("--user", USER) as server:
            self.exchange(server)
            self.check_threads(
                server,
                Uid="\t".join([str(user.pw_uid)] * 4),
                Gid="\t".join([str(user.pw_gid)] * 4),
                NoNewPrivs="1",
            )
            groups = processes.status_fields(server.pid)["Groups"].split()
            self.assertNotIn("0", groups)
            self.check_no_capabilities(server)
            # The kernel gives the files of a process that is not dumpable to root.
            self.assertEqual(os.stat(f"/proc/{server.pid}/fd").st_uid, 0)
            self.assertNotIn("serving as root", "\n".join(server.stderr.lines))

    def test_user_that_cannot_read_the_key_any_more(self):
        """A reload then changes nothing; once the key can be read, it works."""
        need_root()
        with self.server("--user", USER) as server:
            self.place("rsa3072")
            line = self.reload(server, "error reload failed, nothing has changed")
            self.assertIn(f"{self.cert}: Permission denied", line)
            self.exchange(server)
            for path in (self.cert, self.key):
                shutil.chown(path, USER)
            self.reload(server, "info reloaded")
            self.exchange(server, "rsa3072")

    def test_user_without_sandbox(self):
        need_root()
        with Server("--no-sandbox", "--user", USER) as server:
            self.exchange(server)
            uid = str(pwd.getpwnam(USER).pw_uid)
            self.check_threads(server, Uid="\t".join([uid] * 4), Seccomp="0")
            self.check_no_capabilities(server)

    def test_serving_as_root_is_said(self):
        need_root()
        with self.server() as server:
            server.wait_log("warning serving as root")

    def test_wrong_users(self):
        """One line and status 2, and --test-config says so too."""
        need_root()
        pair = ("--cert", self.cert, "--key", self.key, "--listen", "127.0.0.1:0")
        for user, words in (("no-such-user", "there is no user no-such-user"), ("root", "root is root")):
            for extra in ((), ("--test-config",)):
                status, output, errors = run_certpostd(*pair, "--user", user, *extra)
                self.assertEqual((status, output), (2, ""))
                self.assertRegex(errors, rf"\Acertpostd: --user: {re.escape(words)}[^\n]*\n\Z")

    def test_wrong_user_who_is_not_root(self):
        """Started by somebody else, it cannot become a third."""
        need_root()
        setpriv = processes.need_program("setpriv")
        arguments = ["--cert", self.cert, "--key", self.key, "--user", "daemon", "--test-config"]
        for path in (self.cert, self.key):
            shutil.chown(path, USER)
        copy = str(self.folder / "certpostd")  # the build folder may be closed to others
        shutil.copy(PROGRAM, copy)
        status, _, errors = processes.run(
            [setpriv, "--reuid", USER, "--regid", str(pwd.getpwnam(USER).pw_gid), "--clear-groups"]
            + [copy, *arguments]
        )
        self.assertEqual(status, 2, errors)
        self.assertRegex(errors, r"\Acertpostd: --user: only a server that is started as root[^\n]*\n\Z")
