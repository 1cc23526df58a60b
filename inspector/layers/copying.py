"""Copies files and directories from one root to another, by descriptors: no link leads astray.

Docker's rules say where a copy goes: into a directory that is there, under the source's name; what
ends in `/.` is a directory's contents; otherwise the copy has the destination's name.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Literal

from msgspec import Struct

from collectors.errors import CollectError
from collectors.inside import Inside
from collectors.overlay.merged import Found
from collectors.root import translate
from inspector.errors import Failure
from inspector.layers.sources import Mounted, Source, below, is_directory

Kind = Literal["directory", "other"]

_DEEPEST = 200
"""Directories within each other: each is a descriptor while what is in it is copied."""
_PIECE = 1 << 20
_UNSIZED = 64 << 20
"""Most bytes of a file that has no length, as those of /proc."""


class Copied(Struct):
    """What was copied."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size_bytes: int = 0
    skipped: list[str] = []
    """Paths of what cannot be copied: devices, FIFOs, sockets, other filesystems' mounts."""


class Rules(Struct, frozen=True, kw_only=True):
    """How copies are made."""

    owner: tuple[int, int] | None = None
    """Uid and gid, as the host counts them; None keeps what the copying process makes."""
    set_id: bool = False
    """Keep set-user-id and set-group-id: never out of a container, whose files would be root's here."""
    replace: bool = True
    """Whether a file that is there under the name gives way; else `FileExistsError`, and it stays."""
    stop: Callable[[], bool] | None = None
    """Asked between pieces: whether somebody wants it to end."""


def copy(
    source: Source, path: str, into: Inside, to: str, *, rules: Rules, follow: bool = False
) -> Copied:
    """Copy a file, a link or a directory; return what was copied.

    Raises `Failure` naming the path; a file is there whole or not at all, a directory as far as it got.
    """
    try:
        found = source.look(path, follow=follow or path.endswith("/."))
        with held(found.fd):
            return _copy(source, found, path, (into, to), rules)
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error


def save(fd: int, path: str, into: Inside, to: str, *, rules: Rules) -> Copied:
    """Copy one open regular file, whose name is the last of `path`; raise as `copy` does.

    Raises `FileExistsError` where the rules keep what is there.
    """
    try:
        return _copy(Mounted(into), Found(fd), path, (into, to), rules)
    except CollectError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise error.__cause__ from error
        raise Failure(f"{to}: {error.message}") from error


def _copy(
    source: Source, found: Found, path: str, goal: tuple[Inside, str], rules: Rules
) -> Copied:
    into, to = goal
    above, name = destination(path, to, there=_kind(into, to), directory=is_directory(found))
    copier = _Copier(source, rules)
    with held(into.directory(above)) as target:
        if name is None:
            copier.contents(found, target, path, 0)
        else:
            copier.entry(found, target, name, path, 0)
    return copier.copied


def destination(
    path: str, to: str, *, there: Kind | None, directory: bool
) -> tuple[str, str | None]:
    """Return the directory that gets a copy of `path`, and the copy's name; None: its contents alone.

    `there` is what is at `to`, links followed; `directory`: whether the source is one. Raises `Failure`.
    """
    name = path.rstrip("/").rpartition("/")[2]
    whole = name in {"", "."}
    if there == "directory":
        if name == "..":
            raise Failure(f"{path}: say a name: that of .. is not known")
        return to, None if whole and directory else name
    if there is not None and directory:
        raise Failure(f"{to}: it is no directory, and {path} is one")
    if there is None and to.endswith("/") and not directory:
        raise Failure(f"{to}: there is no such directory")
    above, _, last = to.rstrip("/").rpartition("/")
    if last in {"", ".", ".."}:
        raise Failure(f"{to}: there is no such directory")
    return above or ("/" if to.startswith("/") else "."), last


def _kind(into: Inside, to: str) -> Kind | None:
    try:
        with held(into.look(to, follow=True)) as fd:
            return "directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "other"
    except CollectError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


class _Copier:
    """Copies entry by entry; each path in an error is the source's."""

    def __init__(self, source: Source, rules: Rules) -> None:
        self._source = source
        self._rules = rules
        self.copied = Copied()

    def entry(self, found: Found, into: int, name: str, path: str, depth: int) -> None:
        """Copy what was found to a name in a directory."""
        status = os.fstat(found.fd)
        try:
            if stat.S_ISREG(status.st_mode):
                self._file(found, status, into, name)
            elif stat.S_ISLNK(status.st_mode):
                self._link(found.fd, into, name)
            elif stat.S_ISDIR(status.st_mode):
                self._directory(found, into, name, path, depth)
            else:
                self.copied.skipped.append(path)
        except OSError as error:
            raise translate(error, path, "copy") from error

    def contents(self, found: Found, into: int, path: str, depth: int) -> None:
        """Copy what is in a directory into another one."""
        try:
            for each, name, there in members(self._source, found, path, depth, self.copied.skipped):
                self.entry(each, into, name, there, depth)
        except OSError as error:
            raise translate(error, path, "copy") from error

    def _file(self, found: Found, status: os.stat_result, into: int, name: str) -> None:
        with (
            held(self._source.open(found, name)) as source,
            new_name(into, name, replace=self._rules.replace) as temporary,
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with held(os.open(temporary, flags, 0o600, dir_fd=into)) as target:
                size = os.fstat(source).st_size
                self.copied.size_bytes += self._pour(source, target, size)
                self._finish(target, status)
        self.copied.files += 1

    def _link(self, seen: int, into: int, name: str) -> None:
        with new_name(into, name, replace=self._rules.replace) as temporary:
            os.symlink(os.readlink("", dir_fd=seen), temporary, dir_fd=into)
            if self._rules.owner is not None:
                os.chown(temporary, *self._rules.owner, dir_fd=into, follow_symlinks=False)
        self.copied.links += 1

    def _directory(self, found: Found, into: int, name: str, path: str, depth: int) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        made = True
        try:
            os.mkdir(name, 0o700, dir_fd=into)
        except FileExistsError:
            made = False
        with held(os.open(name, flags, dir_fd=into)) as target:
            self.contents(found, target, path, depth + 1)
            if made:
                self._finish(target, os.fstat(found.fd))
        self.copied.directories += 1

    def _finish(self, target: int, status: os.stat_result) -> None:
        if self._rules.owner is not None:
            os.fchown(target, *self._rules.owner)
        os.fchmod(target, stat.S_IMODE(status.st_mode) & (0o7777 if self._rules.set_id else 0o1777))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _pour(self, source: int, target: int, size: int) -> int:
        """Copy as many bytes as there were when it began: a log that grows has an end too."""
        most = size or _UNSIZED
        at = 0
        while at < most:
            if self._rules.stop is not None and self._rules.stop():
                raise Failure("stopped: the file that was being copied is not there")
            at, end = _next_data(source, at, most) if size else (at, most)
            if at >= most:
                break
            piece = os.pread(source, min(_PIECE, end - at), at)
            if not piece:
                return at
            written = 0
            while written < len(piece):
                written += os.pwrite(target, piece[written:], at + written)
            at += len(piece)
        if size:
            os.ftruncate(target, most)  # what a hole ends with
        return most if size else at


@contextmanager
def new_name(into: int, name: str, *, replace: bool = True) -> Generator[str]:
    """Give a name to make something under; it takes the wanted name when all went well.

    Raises `FileExistsError` where that is taken, and is not to be replaced.
    """
    temporary = f".cinspect-{secrets.token_hex(6)}"
    try:
        yield temporary
        if replace:
            os.rename(temporary, name, src_dir_fd=into, dst_dir_fd=into)
        else:
            # rename(2) replaces without a word; link(2) never does.
            os.link(temporary, name, src_dir_fd=into, dst_dir_fd=into, follow_symlinks=False)
            os.unlink(temporary, dir_fd=into)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=into)
        raise


def _next_data(fd: int, at: int, most: int) -> tuple[int, int]:
    """Return where the next bytes that are no hole begin and end (lseek(2)), `most` at the furthest."""
    try:
        begin = os.lseek(fd, at, os.SEEK_DATA)
        return begin, min(most, os.lseek(fd, begin, os.SEEK_HOLE))
    except OSError as error:
        # Behind the last data there is none; other errors: this filesystem does not tell.
        return (most if error.errno == errno.ENXIO else at), most


def members(
    source: Source, found: Found, path: str, depth: int, skipped: list[str]
) -> Generator[tuple[Found, str, str]]:
    """Yield each entry of a directory, its name and path; raise `Failure` too deep down."""
    if depth >= _DEEPEST:
        raise Failure(f"{path}: more than {_DEEPEST} directories within each other")
    for name, each in source.members(found, path, skipped):
        yield each, name, below(path, name)


@contextmanager
def held(fd: int) -> Generator[int]:
    """Close a descriptor at the end."""
    try:
        yield fd
    finally:
        os.close(fd)
