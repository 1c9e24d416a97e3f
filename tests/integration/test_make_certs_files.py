"""scripts/make-certs and the folder that it writes to: modes, failures half way, what it keeps."""

import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

from make_certs_case import (
    CLIENT_BAD, DEADLINE_SECONDS, ERROR_ISSUER_UNKNOWN, MakeCertsCase, SCRIPT, SERVER_BAD,
    STANDARD, openssl, run)


class Files(MakeCertsCase):
    def test_modes_even_under_the_loosest_umask(self):
        self.make("--bad", "all", "--client", "a", preexec_fn=lambda: os.umask(0))
        self.make("--revoke", self.out / "client-a.crt", preexec_fn=lambda: os.umask(0))
        for path in self.out.iterdir():
            wanted = 0o600 if path.suffix == ".key" else 0o644
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), wanted, path.name)
        self.assertEqual(stat.S_IMODE(self.out.stat().st_mode), 0o755)

    def spy_on_openssl(self, body):
        """An openssl command that runs BODY (sh) first, then the real one."""
        folder = self.top / "spy"
        folder.mkdir()
        spy = folder / "openssl"
        spy.write_text(f'#!/bin/sh\n{body}\nexec {shutil.which("openssl")} "$@"\n')
        spy.chmod(0o755)
        return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}

    def test_whatever_makes_a_key_runs_under_umask_077_in_a_private_folder(self):
        log = self.top / "log"
        env = self.spy_on_openssl(f'echo "$1 $(umask) $(stat -c %a .) $PWD" >>{log}')
        self.make("--bad", "all", env=env, preexec_fn=lambda: os.umask(0))
        lines = [line.split() for line in log.read_text().splitlines()]
        makers = [line for line in lines if line[0] in ("req", "genpkey", "genrsa", "ecparam")]
        self.assertEqual(len(makers), 3 + len(SERVER_BAD) + len(CLIENT_BAD) + 1)
        for _, umask, mode, folder in makers:
            self.assertEqual((umask, mode), ("0077", "700"))
            self.assertEqual(pathlib.Path(folder).parent, self.out)

    def test_nothing_is_in_place_until_everything_is_made(self):
        log = self.top / "log"
        env = self.spy_on_openssl(f"ls -A {self.out} 2>/dev/null | grep -v '^.make-certs' >>{log}")
        self.make(env=env)
        self.assertEqual(log.read_text(), "")

    def test_failure_half_way_leaves_nothing(self):
        env = self.spy_on_openssl('case "$*" in *server.crt*) echo full of sand >&2; exit 1;; esac')
        self.refuse(1, r"cannot make server.crt: openssl ca says: full of sand", env=env)
        self.assertFalse(self.out.exists())

    def test_failure_half_way_with_force_leaves_what_was_there(self):
        self.make()
        before = self.contents()
        env = self.spy_on_openssl('case "$*" in *client.crt*) exit 1;; esac')
        self.refuse(1, "cannot make client.crt", "--force-ca", env=env)
        self.assertEqual(self.contents(), before)

    def test_signals_leave_nothing(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
            with self.subTest(signal=number):
                self.interrupt(number, status)

    def interrupt(self, number, status):
        """The signal goes to the script while openssl has half of the set made."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "certs"
            spy = pathlib.Path(folder) / "openssl"
            spy.write_text(
                f'#!/bin/sh\ncase "$*" in *server.crt*) kill -{int(number)} $PPID;; esac\n'
                f'exec {shutil.which("openssl")} "$@"\n'
            )
            spy.chmod(0o755)
            env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            result = run(SCRIPT, "--out", out, env=env)
            self.assert_failure(result, status, "interrupted, nothing was changed")
            self.assertFalse(out.exists())

    def test_remains_of_a_killed_run_are_cleared_away(self):
        gone = subprocess.Popen(["true"])
        gone.wait(DEADLINE_SECONDS)
        remains = self.out / ".make-certs.tmp.AbCdEf"
        remains.mkdir(parents=True)
        (remains / "ca.key").write_text("secret")
        (self.out / ".make-certs.lock").symlink_to(str(gone.pid))
        self.make()
        self.assertEqual(self.files(), STANDARD)

    def test_second_run_at_the_same_time_is_refused(self):
        self.out.mkdir()
        (self.out / ".make-certs.lock").symlink_to(str(os.getpid()))
        self.refuse(1, f"process {os.getpid()} is at work in")
        self.assertEqual(self.files(), {".make-certs.lock"})

    def test_folder_that_cannot_be_made(self):
        (self.top / "file").write_text("")
        for out in (self.top / "file", self.top / "file" / "certs"):
            result = run(SCRIPT, "--out", out)
            self.assert_failure(result, 1, "cannot make the folder .*file")

    def test_folder_that_cannot_be_written(self):
        # Not even root can make a file there.
        self.assert_failure(run(SCRIPT, "--out", "/proc"), 1, "cannot write into /proc: ")

    @unittest.skipIf(os.geteuid() == 0, "root writes everywhere")
    def test_folder_without_permission(self):
        self.out.mkdir(mode=0o500)
        self.refuse(1, "cannot write into .*: Permission denied")

    def test_missing_openssl(self):
        tools = self.top / "tools"
        tools.mkdir()
        for tool in ("bash", "readlink", "dirname", "mkdir", "rmdir", "rm", "ln", "mktemp", "date"):
            (tools / tool).symlink_to(shutil.which(tool))
        env = {**os.environ, "PATH": str(tools)}
        self.refuse(1, "the openssl command is missing", env=env)
        self.assertFalse(self.out.exists())

    def test_openssl_that_is_too_old(self):
        for version in ("OpenSSL 1.1.1w  11 Sep 2023", "LibreSSL 3.9.0"):
            with self.subTest(version=version), tempfile.TemporaryDirectory() as folder:
                old = pathlib.Path(folder) / "openssl"
                old.write_text(f"#!/bin/sh\necho '{version}'\n")
                old.chmod(0o755)
                env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
                self.refuse(1, "OpenSSL 3.0 or later is needed", env=env)

    def test_needs_only_openssl_and_coreutils(self):
        tools = self.top / "tools"
        tools.mkdir()
        listed = run("sh", "-c", "dpkg -L coreutils 2>/dev/null").stdout.split()
        paths = [path for path in listed if "/bin/" in path and os.access(path, os.X_OK)]
        if not paths:
            self.skipTest("no list of the coreutils on this system")
        for path in [*paths, shutil.which("bash"), shutil.which("openssl")]:
            (tools / pathlib.Path(path).name).symlink_to(path)
        env = {**os.environ, "PATH": str(tools)}
        self.make("--bad", "all", env=env)
        self.make("--revoke", self.out / "server.crt", env=env)
        self.make("--force-ca", env=env)


class Keeping(MakeCertsCase):
    def test_second_run_changes_nothing_and_says_so(self):
        self.make()
        before = self.contents()
        self.assertRegex(self.make(), r"\Amake-certs: everything is already there in [^\n]*\n\Z")
        self.assertEqual(self.contents(), before)

    def test_second_run_with_bad_ones_changes_nothing(self):
        self.make("--bad", "all", "--client", "a")
        before = self.contents()
        self.assertIn("already there", self.make("--bad", "all", "--client", "a"))
        self.assertEqual(self.contents(), before)

    def test_existing_ca_is_reused_and_what_is_missing_is_made(self):
        self.make()
        before = self.contents()
        (self.out / "client.crt").unlink()
        (self.out / "client.key").unlink()
        self.assertIn("kept server", self.make())
        after = self.contents()
        for name in ("ca.crt", "ca.key", "server.crt", "server.key"):
            self.assertEqual(after[name], before[name])
        self.assertNotEqual(after["client.crt"], before["client.crt"])
        self.assertEqual(self.verify("client.crt"), [])

    def test_force_makes_the_leaves_anew_under_the_same_ca(self):
        self.make()
        before = self.contents()
        self.make("--force")
        after = self.contents()
        for name in STANDARD:
            self.assertEqual(after[name] == before[name], name.startswith("ca."), name)
        self.assertEqual(self.verify("server.crt"), [])

    def test_force_with_client_leaves_the_others_alone(self):
        self.make("--client", "a")
        before = self.contents()
        self.make("--force", "--client", "a")
        changed = {name for name, content in self.contents().items() if before[name] != content}
        self.assertEqual(changed, {"client-a.crt", "client-a.key"})

    def test_force_ca_makes_all_anew_drops_the_crl_and_names_the_orphans(self):
        self.make("--client", "a")
        self.make("--revoke", self.out / "client-a.crt")
        before = self.contents()
        result = self.attempt("--force-ca")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("client-a.crt was issued by the old CA", result.stderr)
        after = self.contents()
        for name in STANDARD:
            self.assertNotEqual(after[name], before[name])
        self.assertNotIn("ca.crl", after)
        self.assertEqual(self.verify("server.crt"), [])
        self.assertEqual(self.verify("client-a.crt"), [ERROR_ISSUER_UNKNOWN])

    def test_other_names_than_those_in_the_kept_certificate(self):
        self.make("a.example", "10.0.0.1", "::1")
        before = self.contents()
        self.refuse(1, r"server.crt is there, but for DNS:a.example, IP.*--force", "b.example")
        self.assertEqual(self.contents(), before)
        self.assertIn("already there", self.make("0::1", "10.0.0.1", "A.example"))
        self.assertIn("already there", self.make())
        self.make("--force", "b.example")
        self.assertEqual(self.sans("server.crt"), ["DNS:b.example"])

    def test_other_uri_than_that_in_the_kept_certificate(self):
        self.make("--client", "a", "--uri", "x:1")
        self.refuse(1, "client-a.crt is there, but for", "--client", "a", "--uri", "x:2")
        self.assertIn("already there", self.make("--client", "a", "--uri", "x:1"))

    def test_other_key_type_than_that_of_the_kept_certificate(self):
        self.make()
        self.refuse(1, "server.crt is there, but its key is p256", "--key-type", "ed25519")

    def test_half_a_ca(self):
        for gone in ("ca.key", "ca.crt"):
            with self.subTest(gone=gone):
                self.make("--force-ca")
                (self.out / gone).unlink()
                before = self.contents()
                self.refuse(1, rf"half a CA: .*{gone} is missing")
                self.refuse(1, rf"half a CA: .*{gone} is missing", "--force")
                self.assertEqual(self.contents(), before)

    def test_ca_key_that_does_not_match(self):
        self.make()
        openssl("genpkey", "-algorithm", "ED25519", "-out", self.out / "ca.key")
        self.refuse(1, r"ca.key is not a readable key without passphrase that matches ca.crt")

    def test_ca_key_with_a_passphrase_is_an_error_and_no_question(self):
        self.make()
        key = self.out / "ca.key"
        locked = openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret")
        key.write_text(locked)
        self.refuse(1, r"ca.key is not a readable key without passphrase", "--client", "a")

    def test_leaf_in_place_of_the_ca(self):
        self.make()
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"server{suffix}", self.out / f"ca{suffix}")
        self.refuse(1, "ca.crt is not a CA certificate", "--client", "a")

    def test_ca_that_strict_peers_refuse(self):
        self.make_foreign_ca(extra=("basicConstraints=CA:TRUE",))
        self.refuse(1, "cannot make server.crt: .*ca.crt is not fit for it: .*[Cc]ritical")
        self.assertEqual(self.files(), {"ca.crt", "ca.key"})

    def test_expired_ca(self):
        self.make("--bad", "expired")
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"bad-expired{suffix}", self.out / f"ca{suffix}")
        self.refuse(1, "ca.crt has expired .--force-ca", "--client", "a")

    def test_half_a_pair(self):
        for gone in ("server.key", "client.crt"):
            with self.subTest(gone=gone):
                self.make("--force")
                (self.out / gone).unlink()
                before = self.contents()
                self.refuse(1, rf"{gone} is missing, the other half is there .--force")
                self.assertEqual(self.contents(), before)

    def test_kept_certificate_that_expired(self):
        self.make("--bad", "expired")
        for suffix in (".crt", ".key"):
            shutil.copy(self.out / f"bad-expired{suffix}", self.out / f"server{suffix}")
        self.refuse(1, "server.crt has expired .--force")

    def test_kept_key_of_another_certificate(self):
        self.make()
        shutil.copy(self.out / "client.key", self.out / "server.key")
        self.refuse(1, "server.crt does not match its key")

    def test_kept_certificate_of_another_ca(self):
        self.make()
        (self.out / "ca.crt").unlink()
        (self.out / "ca.key").unlink()
        before = self.contents()
        self.refuse(1, "server.crt was not issued by the CA in use .--force")
        self.assertEqual(self.contents(), before)

    def test_link_in_place_of_a_file_is_not_followed(self):
        self.out.mkdir()
        target = self.top / "target"
        (self.out / "server.key").symlink_to(target)
        self.refuse(1, "server.crt is missing")
        self.make("--force")
        self.assertFalse(target.exists())
        self.assertFalse((self.out / "server.key").is_symlink())


if __name__ == "__main__":
    unittest.main()
