"""Completions of bash, zsh and fish: each shell reads its file and completes what a person types.

The files are made at build time from the tables of the options, so that what is asked here is
whether the shells understand them, and whether nothing of --help is missing.
"""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

import processes

BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
FOLDER = BINARY_DIR / "completions"
COMMANDS = (("certpost", "send"), ("certpost", "check"), ("certpost", "read"), ("certpost", "verify"),
            ("certpost", "receipt"), ("certpostd",))


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=processes.DEADLINE_S,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def options_of_help(command):
    text = run(str(BINARY_DIR / "bin" / command[0]), *command[1:], "--help")
    found = set()
    for short, long in re.findall(r"(?m)^ +(?:(-\w), )?(--[\w-]+)", text):
        found |= {short, long} - {""}
    return found


def commands_of_help():
    text = run(str(BINARY_DIR / "bin" / "certpost"), "--help")
    return set(re.findall(r"(?m)^  ([a-z]+) ", text.split("Commands:")[1].split("Options:")[0]))


class CompletionsCase(unittest.TestCase):
    """A folder with a file and a folder in it; `complete` gives what the shell offers there."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="certpost-completions-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        (pathlib.Path(self.folder) / "a-file").touch()
        (pathlib.Path(self.folder) / "a-folder").mkdir()

    def check_all(self):
        """What bash and fish are asked alike."""
        self.assertEqual(self.complete("certpost", ""), commands_of_help())
        self.assertEqual(self.complete("certpost", "ver"), {"verify"})
        for command in COMMANDS:
            offered = {word for word in self.complete(*command, "--") if word.startswith("--")}
            self.assertEqual(offered, {option for option in options_of_help(command) if option.startswith("--")})
        for words, expected in (
                (("certpost", "send", "--tls-min", ""), {"1.2", "1.3"}),
                (("certpost", "check", "--require", "st"), {"stored"}),
                (("certpost", "send", "--framing", ""), {"chunk", "line"}),
                (("certpost", "read", "--format", ""), {"text", "json", "raw"}),
                (("certpost", "send", "-m", ""), set()),
                (("certpost", "send", "--cacert", "a"), {"a-file", "a-folder"}),
                (("certpost", "send", "-f", "a-fi"), {"a-file"}),
                (("certpost", "send", "--capath", "a"), {"a-folder"}),
                (("certpost", "verify", "a-fi"), {"a-file"}),
                (("certpost", "send", "a-fi"), set()),
                (("certpost", "receipt", "sh"), {"show"}),
                (("certpostd", "--client-verify", ""), {"none", "optional", "require"}),
                (("certpostd", "--log-level", "w"), {"warning"}),
                (("certpostd", "--store", ""), {"none", "a-file", "a-folder"}),
                (("certpostd", "--listen", ""), {"127.0.0.1:8080", "systemd:"}),
                (("certpostd", "--listen", "sys"), {"systemd:"}),
                (("certpostd", "--admin", "un"), {"unix:"}),
                (("certpostd", "--admin", "1"), {"127.0.0.1:9180"}),
                (("certpostd", "--user", "roo"), {"root"})):
            with self.subTest(words=words):
                self.assertEqual({word.rstrip("/") for word in self.complete(*words)}, expected)


class TestBash(CompletionsCase):
    SCRIPT = """
source "$1/certpost" && source "$1/certpostd" || exit 9
[ -z "$2" ] || COMP_WORDBREAKS=$2
shift 2
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"_$1"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""
    break_at = ""  # bash's own: it has the colon

    def complete(self, *words):
        output = run("bash", "--norc", "-c", self.SCRIPT, "bash", str(FOLDER / "bash"), self.break_at, *words,
                     cwd=self.folder)
        return set(output.splitlines())

    def test_bash_completes(self):
        self.check_all()
        for command in COMMANDS:
            self.assertLessEqual(options_of_help(command), self.complete(*command, "-"))

    def test_bash_completes_after_an_equals_sign(self):
        self.assertEqual(self.complete("certpost", "send", "--tls-min", "="), {"1.2", "1.3"})
        self.assertEqual(self.complete("certpost", "send", "--tls-min", "=", "1.3"), {"1.3"})
        self.assertEqual(self.complete("certpost", "send", "--cacert", "=", "a-fi"), {"a-file"})

    def test_bash_completes_after_a_colon(self):
        """Readline cuts a word at colons, and puts in only what comes after the last one."""
        for words, expected in (
                (("--admin", ""), {"unix:", "127.0.0.1:9180"}),
                (("--admin", "=", "un"), {"unix:"}),
                (("--admin", "unix", ":"), {"a-file", "a-folder"}),
                (("--admin", "unix", ":", "a-fi"), {"a-file"}),
                (("--admin", "=", "unix", ":", "a-fi"), {"a-file"}),
                (("--admin", "=", "unix", ":"), {"a-file", "a-folder"}),
                (("--admin", "127.0.0.1", ":"), {"9180"}),
                (("--admin", "x", ":", "a-fi"), set()),
                (("--listen", "127.0.0.1", ":", "8"), {"8080"}),
                (("--listen", "systemd", ":"), {""}),
                (("--listen", ":", "8080", "--admin", "un"), {"unix:"}),
                (("--cert", "a-fi"), {"a-file"})):
            with self.subTest(words=words):
                self.assertEqual(self.complete("certpostd", *words), expected)
        self.break_at = " \t\n\"'><=;|&("
        self.assertEqual(self.complete("certpostd", "--admin", "unix:a-fi"), {"unix:a-file"})

    def test_bash_registers_both_programs(self):
        output = run("bash", "--norc", "-c", 'source "$1/certpost"; source "$1/certpostd"; complete -p', "bash",
                     str(FOLDER / "bash"))
        self.assertEqual(output.splitlines(), ["complete -F _certpostd certpostd", "complete -F _certpost certpost"])


class TestFish(CompletionsCase):
    def complete(self, *words):
        line = " ".join(f"'{word}'" if not word else word for word in words[:-1]) + " " + words[-1]
        output = run(self.fish, "--no-config", "-c",
                     f"source {FOLDER}/fish/certpost.fish; source {FOLDER}/fish/certpostd.fish; complete -C '{line}'",
                     cwd=self.folder, env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder,
                                           "XDG_CONFIG_HOME": self.folder, "LC_ALL": "C.UTF-8"})
        return {candidate.split("\t")[0] for candidate in output.splitlines()} - {".config/", ".local/", "fish/"}

    def setUp(self):
        self.fish = processes.need_program("fish")
        super().setUp()

    def test_fish_completes(self):
        self.check_all()
        self.assertLessEqual({"unix:", "unix:a-file", "unix:a-folder/", "127.0.0.1:9180"},
                             self.complete("certpostd", "--admin", ""))
        self.assertEqual(self.complete("certpostd", "--admin", "unix:a-fi"), {"unix:a-file"})
        self.assertEqual(self.complete("certpostd", "--admin=unix:a-fi"), {"--admin=unix:a-file"})


class Zsh:
    """An interactive zsh on a terminal, as the only way in which it completes."""

    def __init__(self, folder):
        environment = {"TERM": "dumb", "PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C"}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        self.data = b""
        self.type(f"PS1='ready> '; fpath=({FOLDER}/zsh $fpath); autoload -U compinit; compinit -u -D; "
                  "unsetopt auto_menu always_last_prompt prompt_sp; setopt list_packed; LISTMAX=999; "
                  "stty -echo; print be''gin\n")
        self.wait(rb"begin\r?\n")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait(self, pattern):
        deadline = time.monotonic() + processes.DEADLINE_S
        while not (found := re.search(pattern, self.data)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"no {pattern!r} in {self.data!r}")
            self.data += os.read(self.terminal, 65536)
        return found

    def completed(self, typed, pattern):
        """Types, presses the tabulator, and waits for what zsh makes of the line."""
        self.data = b""
        self.type(typed + "\t")
        self.wait(pattern)
        self.type("\x15")  # takes the line away

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


class TestZsh(CompletionsCase):
    def setUp(self):
        self.zsh = processes.need_program("zsh")
        super().setUp()

    def test_zsh_accepts_the_files(self):
        for name in ("_certpost", "_certpostd"):
            run(self.zsh, "-f", "-n", str(FOLDER / "zsh" / name))

    def test_zsh_has_every_option(self):
        text = {program: (FOLDER / "zsh" / f"_{program}").read_text(encoding="utf-8")
                for program in ("certpost", "certpostd")}
        for command in COMMANDS:
            section = text[command[0]]
            if len(command) > 1:
                section = section.split(f"_certpost_{command[1]}() {{")[1].split("\n}")[0]
            offered = set(re.findall(r"(?m)^ +'\*(-[\w-]+?)[+=]*-?\[", section))
            self.assertEqual(offered, options_of_help(command))

    def test_zsh_completes(self):
        shell = Zsh(self.folder)
        self.addCleanup(shell.close)
        for typed, pattern in (
                ("certpost ver", rb"certpost verify "),
                ("certpost send --tls-m", rb"certpost send --tls-min"),
                ("certpost send --tls-min=", rb"--tls-min=1\."),
                ("certpost check --require st", rb"--require stored"),
                ("certpost send --cacert a-fi", rb"--cacert a-file"),
                ("certpost send --capath a-", rb"--capath a-folder"),
                ("certpost verify a-fi", rb"verify a-file"),
                ("certpost receipt sh", rb"receipt show"),
                ("certpostd --admin un", rb"--admin unix:"),
                ("certpostd --admin unix:a-fi", rb"--admin unix:a-file"),
                ("certpostd --admin=unix:a-fi", rb"--admin=unix:a-file"),
                ("certpostd --admin 1", rb"--admin 127\.0\.0\.1:9180"),
                ("certpostd --listen sys", rb"--listen systemd:"),
                ("certpostd --user roo", rb"--user root"),
                ("certpostd --client-v", rb"certpostd --client-verify"),
                ("certpostd --client-verify opt", rb"--client-verify optional")):
            with self.subTest(typed=typed):
                shell.completed(typed, pattern)


if __name__ == "__main__":
    unittest.main()
