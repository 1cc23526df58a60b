"""Find the executable as the container's user would, and say in time why it cannot run."""

import os
import stat
from collections.abc import Sequence

from runtime.errors import CommandNotExecutable, CommandNotFound, InvalidArgument
from runtime.linux import constants, syscalls

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INTERPRETERS = 5


def find(arguments: Sequence[str], path: str | None) -> str:
    """Return the path to execute for `arguments[0]`; `path` is the container's PATH.

    Raises `CommandNotFound` or `CommandNotExecutable`.
    """
    if not arguments or not arguments[0]:
        raise InvalidArgument("process.args: there is no command")
    name = arguments[0]
    if "/" in name:
        _check(name, name=name)
        return name
    refused: CommandNotExecutable | None = None
    for directory in (path if path is not None else DEFAULT_PATH).split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            _check(candidate, name=name)
        except CommandNotFound:
            continue
        except CommandNotExecutable as error:
            refused = refused or error
            continue
        return candidate
    raise refused or CommandNotFound(f"{name}: executable file not found in the container's PATH")


def _check(candidate: str, *, name: str) -> None:
    try:
        status = os.stat(candidate)
    except (FileNotFoundError, NotADirectoryError):
        raise CommandNotFound(f"{name}: no such file or directory in the container") from None
    except PermissionError:
        raise CommandNotExecutable(f"{name}: permission denied") from None
    except OSError as error:
        raise CommandNotExecutable(f"{name}: {error.strerror}") from None
    if stat.S_ISDIR(status.st_mode):
        raise CommandNotExecutable(f"{name}: is a directory")
    if not stat.S_ISREG(status.st_mode) or not os.access(candidate, os.X_OK):
        raise CommandNotExecutable(f"{name}: permission denied")
    _refuse_procfs(candidate, name=name)


def _refuse_procfs(candidate: str, *, name: str) -> None:
    """Refuse what would run a file of the host.

    /proc/self/exe names this very interpreter until the exec is done, so neither the command nor
    the interpreter of a script may be in procfs.
    """
    for _ in range(_INTERPRETERS):
        try:
            if _through_proc(candidate):
                raise CommandNotExecutable(f"{name}: {candidate} is in the proc filesystem")
        except OSError:
            return  # not reachable: the exec will say so
        interpreter = _interpreter(candidate)
        if not interpreter:
            return
        candidate = interpreter


def _through_proc(candidate: str) -> bool:
    """Tell whether a path goes through procfs, whatever it ends at: its links lead anywhere."""
    if _within_one_mount(candidate):
        return False
    directory = "/" if candidate.startswith("/") else "."
    pending = [part for part in candidate.split("/") if part]
    links = 0
    while pending:
        part = pending.pop(0)
        current = f"{directory}/{part}"
        descriptor = os.open(current, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if syscalls.filesystem_magic(descriptor) == constants.PROC_SUPER_MAGIC:
                return True
            is_link = stat.S_ISLNK(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
        if is_link and links < 40:
            links += 1
            target = os.readlink(current)
            directory = "/" if target.startswith("/") else directory
            pending = [each for each in target.split("/") if each] + pending
        else:
            directory = current
    return False


def _within_one_mount(candidate: str) -> bool:
    """Tell whether a path leads through one mount alone, which is not procfs: mostly it does."""
    resolve = constants.RESOLVE_NO_XDEV | constants.RESOLVE_NO_MAGICLINKS
    try:
        found = syscalls.openat2(constants.AT_FDCWD, candidate, os.O_PATH, resolve=resolve)
    except OSError:
        return False
    try:
        return syscalls.filesystem_magic(found) != constants.PROC_SUPER_MAGIC
    finally:
        os.close(found)


def _interpreter(candidate: str) -> str | None:
    try:
        descriptor = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # may be executed but not read: then it is no script
    try:
        head = os.read(descriptor, 256)
    finally:
        os.close(descriptor)
    if not head.startswith(b"#!"):
        return None
    words = head[2:].split(b"\n", 1)[0].split(None, 1)
    return os.fsdecode(words[0]) if words else None
