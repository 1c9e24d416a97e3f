"""The program certpost, as integration tests run it."""

import os
import pathlib
import subprocess

BINARY = pathlib.Path(os.environ.get("CERTPOST_BINARY_DIR", "build/dev")).absolute() / "bin" / "certpost"

# How long the program may take before it counts as hung; none of its own timeouts is that long.
PATIENCE_S = 60


class Result:
    """What a finished run came to: exit status and both outputs, as lines."""

    def __init__(self, status, output, errors):
        self.status = status
        self.output = output.splitlines()
        self.errors = errors.splitlines()

    def __repr__(self):
        return f"status {self.status}\noutput {self.output}\nerrors {self.errors}"


def environment(extra=None):
    """The environment without what would change certpost's behaviour behind a test's back."""
    kept = {name: value for name, value in os.environ.items() if name != "SSLKEYLOGFILE"}
    kept.update(extra or {})
    return kept


def start(*arguments, env=None, **options):
    """Starts certpost with pipes on all three descriptors; the caller ends it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    pipes.update(options)
    return subprocess.Popen([BINARY, *map(str, arguments)], env=environment(env), **pipes)


def run(*arguments, data=b"", env=None, **options):
    """Runs certpost to its end with `data` as standard input."""
    with start(*arguments, env=env, **options) as process:
        try:
            output, errors = process.communicate(data, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Result(process.returncode, (output or b"").decode(), (errors or b"").decode())


def send(*arguments, **options):
    """`certpost send --plain`."""
    return run("send", "--plain", *arguments, **options)
