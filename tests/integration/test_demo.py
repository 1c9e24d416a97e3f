"""scripts/demo from beginning to end, and what it does when something goes wrong half-way.

It runs with the programs of this build folder and certificates of its own. Each run is a session of
its own, so that "nothing is left" can be checked for everything that it started.
"""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import processes

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
DEMO = SOURCE_DIR / "scripts" / "demo"
WAIT_S = 120


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.build_dir = BINARY_DIR

    def start(self):
        arguments = [DEMO, "--build-dir", self.build_dir, "--certs", self.folder / "certs"]
        environment = dict(os.environ, TMPDIR=str(self.temporary))
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment, cwd=self.folder, text=True, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        for pid in processes.of_session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()

    def assert_nothing_left(self, process):
        self.assertEqual(processes.of_session(process.pid), [])
        self.assertEqual(list(self.temporary.iterdir()), [])

    def put_in_place_of_certpost(self, script):
        """A build folder with the real server and, as the client, a shell script."""
        self.build_dir = self.folder / "build"
        programs = self.build_dir / "bin"
        programs.mkdir(parents=True)
        (programs / "certpostd").symlink_to(BINARY_DIR / "bin" / "certpostd")
        client = programs / "certpost"
        client.write_text("#!/bin/bash\n" + script)
        client.chmod(0o755)

    def test_both_exchanges(self):
        process = self.start()
        output, errors = process.communicate(timeout=WAIT_S)
        self.assertEqual((process.returncode, errors), (0, ""), output)
        self.assertRegex(output, r"(?m)^  server   \| Server listening on 127\.0\.0\.1:\d+$")
        self.assertRegex(output, r"(?m)^  certpost \| Received from server: Message received!$")
        self.assertRegex(output, r"(?m)^  certpost \| certpost: 1 of 1 messages acknowledged$")
        self.assertRegex(output, r"(?m)^  s_client \| Verification: OK$")
        self.assertRegex(output, r"(?m)^  s_client \| Message received!$")
        self.assertEqual(len(re.findall(r"(?m)^  server   \| Received: Hello, server!$", output)), 2)
        self.check_stored_once(output)
        self.assertIn("What to type next", output)
        self.assert_nothing_left(process)

    def check_stored_once(self, output):
        """The part with a store: stored, killed, started again, nothing added, and the rows."""
        steps = [
            "certpost: 3 of 3 messages acknowledged, 3 stored, 0 already there",
            "kill -KILL ",
            "It is started again:",
            "certpost: 3 of 3 messages acknowledged, 0 stored, 3 already there",
            "certpost | one\n  certpost | two\n  certpost | three\n",
            "certpost: 1 stream, 3 messages, ",
        ]
        places = [output.find(step) for step in steps]
        self.assertEqual(places, sorted(places), output)
        self.assertGreater(places[0], 0, output)

    def test_commands_to_type_next_name_files_that_exist(self):
        output, _ = self.start().communicate(timeout=WAIT_S)
        typed = output.split("What to type next:")[1]
        paths = re.findall(r"(?:/|certs/)[\w./-]+", typed)
        self.assertGreaterEqual(len(paths), 9, typed)
        for path in paths:
            self.assertTrue((self.folder / path).exists(), f"{path} in {typed}")

    def test_failing_client_is_told_and_nothing_is_left(self):
        self.put_in_place_of_certpost("echo 'certpost: no luck' >&2\nexit 35\n")
        process = self.start()
        output, errors = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("certpost | certpost: no luck", output)
        self.assertIn("scripts/demo: certpost ended with status 35", errors)
        self.assertNotIn("What to type next", output)
        self.assert_nothing_left(process)

    def test_client_without_a_reply_is_a_failure(self):
        self.put_in_place_of_certpost("exit 0\n")
        process = self.start()
        _, errors = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("did not show the reply", errors)
        self.assert_nothing_left(process)

    def check_interrupted(self, signal_number, to_group):
        """The signal comes while the server runs and the client waits for something that never comes."""
        ready, never = self.folder / "ready", self.folder / "never"
        os.mkfifo(ready)
        os.mkfifo(never)
        self.put_in_place_of_certpost(f"echo ready >'{ready}'\nread -r line <'{never}'\n")
        process = self.start()
        with open(ready, encoding="ascii") as pipe:
            self.assertEqual(pipe.read(), "ready\n")
        self.assertEqual(len(processes.of_session(process.pid)), 3)
        (os.killpg if to_group else os.kill)(process.pid, signal_number)
        process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, 128 + signal_number)
        self.assert_nothing_left(process)

    def test_interrupted_at_the_terminal(self):
        self.check_interrupted(signal.SIGINT, to_group=True)

    def test_terminated(self):
        self.check_interrupted(signal.SIGTERM, to_group=False)

    def test_certificates_for_other_names_are_found_out(self):
        subprocess.run(
            [SOURCE_DIR / "scripts" / "make-certs", "--quiet", "--out", self.folder / "certs",
             "elsewhere.example"], check=True, timeout=WAIT_S)
        process = self.start()
        _, errors = process.communicate(timeout=WAIT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn("--certs", errors)
        self.assert_nothing_left(process)

    def test_wrong_arguments(self):
        for arguments in (["--nonsense"], ["--certs"], ["--build-dir", ""]):
            done = subprocess.run([DEMO, *arguments], capture_output=True, text=True, timeout=WAIT_S)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertRegex(done.stderr, r"^scripts/demo: .*; see --help\n$")


if __name__ == "__main__":
    unittest.main()
