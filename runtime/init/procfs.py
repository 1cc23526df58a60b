"""A proc filesystem that nothing of the container covers: labels and kernel parameters go there.

A volume, or a link of the image, could send a write to another file (CVE-2019-19921,
CVE-2025-52881): so it is opened before anything of the container is mounted.
"""

import fcntl
import os

from runtime.errors import InvalidArgument
from runtime.init.step import Child, Step
from runtime.linux import constants, mounts, syscalls

_BENEATH = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_MAGICLINKS | constants.RESOLVE_NO_XDEV


class OpenProcfs(Step):
    """Mount a proc filesystem of its own, which is attached nowhere."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "open a private proc filesystem"

    def execute(self, child: Child, /) -> None:
        """Mount it; where that is not allowed, the host's own is as good at this moment."""
        try:
            found = mounts.filesystem("proc", {})
        except PermissionError:  # the pid namespace belongs to another user namespace
            if child.inside:
                raise
            found = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        child.procfs = fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(found)


def write(procfs: int, path: str, value: str) -> None:
    """Write into a file of a proc filesystem that nothing is mounted upon; raises OSError."""
    try:
        descriptor = syscalls.openat2(procfs, path, os.O_WRONLY, resolve=_BENEATH)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"/proc/{path}") from None
    try:
        if syscalls.filesystem_magic(descriptor) != constants.PROC_SUPER_MAGIC:
            raise InvalidArgument(f"/proc/{path}: is not in a proc filesystem")
        os.write(descriptor, os.fsencode(value))
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"/proc/{path}") from None
    finally:
        os.close(descriptor)
