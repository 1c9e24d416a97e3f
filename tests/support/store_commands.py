"""certpost read and certpost verify, run to their end, also as a user who may only read."""

import os
import shutil

import processes
from certpost_client import BINARY

NOBODY = 65534


def run(*arguments):
    """Returns (status, standard output as bytes, standard error as text)."""
    with processes.Process([BINARY, *arguments]) as process:
        process.close_stdin()
        status = process.wait()
        return status, bytes(process.stdout.data), bytes(process.stderr.data).decode()


def run_as_nobody(folder, *arguments):
    """The same without root's rights; the program is copied to `folder`, which others may enter."""
    program = folder / "certpost"
    if not program.exists():
        shutil.copy(BINARY, program)
        program.chmod(0o755)
    wrapper = []
    if os.geteuid() == 0:
        wrapper = [processes.need_program("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}",
                   "--clear-groups", "--"]
    with processes.Process([*wrapper, program, *arguments]) as process:
        process.close_stdin()
        status = process.wait()
        return status, bytes(process.stdout.data), bytes(process.stderr.data).decode()
