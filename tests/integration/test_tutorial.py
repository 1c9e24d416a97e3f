"""docs/tutorial.md, typed: every command of it, in order, in one shell, and what it shows.

Blocks of the kind `console` are a session: "$ " begins a command (to be continued after a backslash
at the end of a line, or up to the END of a here-document), "> " is input to the program that runs,
and all else is output. In output, "…" within a line stands for anything, and on a line of its own
for any number of lines. A command ends with status 0, unless the one after it is `echo $?`.

Two things are put in place of what the page says: the programs of this build folder, and an address
of this test's own in 127.0.0.0/8 for 127.0.0.1, so that nobody else's port 8080 is in the way.

Servers in the background print into the same terminal. Their lines come when they come: they are
compared in their own order, apart from what the command of the moment prints.
"""

import os
import pathlib
import re
import signal
import tempfile
import unittest

import processes

SOURCE_DIR = pathlib.Path(os.environ["CERTPOST_SOURCE_DIR"])
BINARY_DIR = pathlib.Path(os.environ["CERTPOST_BINARY_DIR"])
TUTORIAL = SOURCE_DIR / "docs" / "tutorial.md"
DEADLINE_S = 60 * processes.SCALE

SERVER_LINE = re.compile(r"(Server listening on|Connected by|Received:) ")
CUT_LINE = re.compile(r"(?m)^(?!Connected by )(.+?)(Connected by \S+:\d+\n)")
# What a shell that is not interactive says of a job that was killed; another one says it otherwise.
JOB_NOTICE = re.compile(r"\S*bash: line \d+: +\d+ Killed .*")
MARK = "the command has ended with"


class Command:
    """What is typed, and what is shown: before the first input and after each."""

    def __init__(self, text):
        self.text = text
        self.inputs = []
        self.outputs = [[]]
        self.may_fail = False


def commands_of(markdown):
    """All commands of the page, in its order."""
    found = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", markdown):
        lines = iter(block.splitlines())
        for line in lines:
            if line.startswith("$ "):
                text = line[2:]
                while text.endswith("\\"):
                    text += "\n" + next(lines)
                if "<<'END'" in text:
                    while not text.endswith("\nEND"):
                        text += "\n" + next(lines)
                if found and text == "echo $?":
                    found[-1].may_fail = True
                found.append(Command(text))
            elif line.startswith("> "):
                found[-1].inputs.append(line[2:])
                found[-1].outputs.append([])
            else:
                found[-1].outputs[-1].append(line)
    return found


def pattern_of(lines):
    """An expression for all of the output."""
    whole = ""
    for line in lines:
        if line == "…":
            whole += r"(?:.*\n)*?"
        else:
            whole += ".*".join(re.escape(part) for part in line.split("…")) + r"\n"
    return re.compile(whole)


class Terminal:
    """A shell, and the one pipe into which it and its programs write."""

    def __init__(self, folder, substitutions):
        self.substitutions = substitutions
        environment = {
            "TMPDIR": folder,
            "HOME": folder,
            "SSLKEYLOGFILE": "",
            "PATH": os.environ["PATH"],
        }
        # A session of its own, so that everything that was started in it can be found.
        self.shell = processes.Process(
            ["setsid", "bash", "--noprofile", "--norc", "-c", "exec bash --noprofile --norc -s 2>&1"],
            name="the tutorial", environment=environment, cwd=SOURCE_DIR)
        self.taken = 0  # bytes of output that were compared
        self.more_may_come = False  # of what ended with … on the page: it stands for any number of lines

    def close(self):
        for pid in processes.of_session(self.shell.pid):
            os.kill(pid, signal.SIGKILL)
        self.shell.kill()

    def type(self, text):
        self.shell.write(text.encode() + b"\n")

    def text(self):
        """What has come since the last comparison, as the page would say it."""
        text = bytes(self.shell.stdout.data[self.taken:]).decode()
        for said, used in self.substitutions:
            text = text.replace(used, said)
        return text

    def shown(self):
        """(what the command has shown, what servers have shown, its status or None)"""
        status = None
        text = self.text()
        end = re.search(rf"{MARK} (\d+)\n", text)
        if end:
            status = int(end.group(1))
            before = text[: end.start()]
            # Output without an end of line: what follows the mark is no part of its last line.
            text = before + ("" if before == "" or before.endswith("\n") else "\n") + text[end.end() :]
        # s_client writes lines in pieces, and a server's whole line may come in between.
        text = CUT_LINE.sub(r"\2\1", text)
        lines = [line for line in text.splitlines() if not JOB_NOTICE.fullmatch(line)]
        of_command = [line for line in lines if not SERVER_LINE.match(line)]
        of_servers = [line for line in lines if SERVER_LINE.match(line)]
        return "".join(f"{line}\n" for line in of_command), "".join(f"{line}\n" for line in of_servers), status

    def expect(self, command, lines, at_end):
        """Waits until the output is as the page has it, and with `at_end` the command's end."""
        lines = ["…", *lines] if self.more_may_come else lines
        servers = pattern_of([line for line in lines if SERVER_LINE.match(line)])
        others = pattern_of([line for line in lines if not SERVER_LINE.match(line)])

        def is_there():
            shown, of_servers, status = self.shown()
            if at_end and status is None:
                return False
            is_equal = others.fullmatch(shown) is not None
            # A command that has ended says nothing more; only servers may.
            return (at_end and not is_equal) or (is_equal and servers.fullmatch(of_servers) is not None)

        try:
            self.shell.stdout.wait(is_there, "the output", DEADLINE_S)
        except AssertionError as failure:
            raise AssertionError(self.report(command, lines)) from failure
        shown, of_servers, status = self.shown()
        if others.fullmatch(shown) is None or servers.fullmatch(of_servers) is None:
            raise AssertionError(self.report(command, lines))
        if at_end and status != 0 and not command.may_fail:
            raise AssertionError(f"status {status}\n{self.report(command, lines)}")
        self.taken = len(self.shell.stdout.data)
        self.more_may_come = not at_end and lines[-1:] == ["…"]

    def report(self, command, lines):
        page = "\n".join(lines)
        return f"$ {command.text}\n---- the page:\n{page}\n---- the terminal:\n{self.text()}"

    def run(self, command):
        text = command.text
        for said, used in self.substitutions:
            text = text.replace(said, used)
        if not command.inputs:
            text += f"\nstatus=$?; printf '{MARK} %s\\n' $status; (exit $status)"
        self.type(text)
        for lines, typed in zip(command.outputs, command.inputs):
            self.expect(command, lines, at_end=False)
            self.type(typed)
        if command.inputs:
            # Not before the program has said its last: it would read this itself.
            self.expect(command, command.outputs[-1], at_end=False)
            self.type(f"status=$?; printf '{MARK} %s\\n' $status; (exit $status)")
            self.expect(command, [], at_end=True)
        else:
            self.expect(command, command.outputs[-1], at_end=True)


def own_address():
    """No two processes of this machine have one: 127.64.0.0/10 and the process id, 22 bits at most."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16)}.{pid >> 8 & 255}.{pid & 255}"


class Tutorial(unittest.TestCase):
    def test_every_command(self):
        for program in ("openssl", "cmake", "setsid"):
            processes.need_program(program)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        commands = commands_of(TUTORIAL.read_text(encoding="utf-8"))
        self.assertGreater(len(commands), 40)
        terminal = Terminal(
            folder.name,
            [
                ("127.0.0.1", own_address()),
                ("$PWD/build/release", str(BINARY_DIR)),
                ("$CERTPOST/build/release", str(BINARY_DIR)),
            ])
        self.addCleanup(terminal.close)
        for command in commands:
            terminal.run(command)


if __name__ == "__main__":
    unittest.main()
