"""A file system of a few MiB for one test, in a mount namespace of this process and its children."""

import ctypes
import os
import sys
import tempfile

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000


class SmallDisk:
    """Mounted in `folder`; `why_not` says why it could not be."""

    def __init__(self, size):
        self.folder = tempfile.mkdtemp()
        self.why_not = None
        libc = ctypes.CDLL(None, use_errno=True)
        self._umount = libc.umount2
        steps = (
            lambda: libc.unshare(CLONE_NEWNS),
            lambda: libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC_PRIVATE), None),
            lambda: libc.mount(b"small", self.folder.encode(), b"tmpfs", ctypes.c_ulong(0),
                               f"size={size}".encode()),
        )
        for step in steps:
            if step() != 0:
                self.why_not = os.strerror(ctypes.get_errno())
                os.rmdir(self.folder)
                return

    def fill(self, leave_bytes):
        """Takes all space but so much, with one file; returns its path."""
        path = os.path.join(self.folder, "ballast")
        state = os.statvfs(self.folder)
        free = state.f_bavail * state.f_frsize
        with open(path, "wb") as ballast:
            ballast.write(bytes(max(0, free - leave_bytes)))
        return path

    def close(self):
        if self.why_not is not None:
            return
        if self._umount(self.folder.encode(), 2) == 0:
            os.rmdir(self.folder)
        else:
            print("a test disk stays mounted", file=sys.stderr)
