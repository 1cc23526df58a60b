"""Copies out of a container as a tar stream, and such a stream into one: what `docker cp` does with `-`."""

import os
import stat
import tarfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Self

from msgspec import Struct

from collectors.errors import CollectError
from collectors.inside import Inside
from collectors.overlay.merged import Found
from collectors.root import translate
from inspector.errors import Failure
from inspector.layers.copying import Copied, held, members, new_name
from inspector.layers.sources import Source

_PIECE = 1 << 20
Owner = tuple[int, int]
"""The host's ids of the container's root, which a user namespace may have elsewhere than at 0."""


class Naming(Struct, frozen=True, kw_only=True):
    """What is written otherwise than the source has it."""

    name: str | None = None
    """Of the first entry; empty leaves it out, and what is in a directory is in the stream itself."""
    owner: Owner | None = None
    """Of every entry."""


def write(
    source: Source,
    path: str,
    out: BinaryIO,
    *,
    base: Owner = (0, 0),
    follow: bool = False,
    naming: Naming | None = None,
) -> Copied:
    """Write a file, a link or a directory as a tar stream (pax); return what was written.

    Names begin with the last part of `path`; ids are the container's own, whose root's are at `base`.
    Devices, FIFOs, sockets and other filesystems mounted below are skipped. A file that shrinks meanwhile
    is filled up with zeroes, as its length stands before it. Raises `Failure`.
    """
    chosen = naming or Naming()
    try:
        found = source.look(path, follow=follow or path.endswith("/."))
        with (
            held(found.fd),
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as stream,
        ):
            name = path.rstrip("/").removesuffix("/.").rpartition("/")[2] or "."
            name = name if name != ".." else "."
            writer = _Writer(source, stream, base, chosen.owner)
            writer.entry(found, name if chosen.name is None else chosen.name, path, 0)
            return writer.copied
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error


class _Writer:
    def __init__(
        self, source: Source, stream: tarfile.TarFile, base: Owner, owner: Owner | None
    ) -> None:
        self._source = source
        self._stream = stream
        self._base = base
        self._owner = owner
        self.copied = Copied()

    def entry(self, found: Found, name: str, path: str, depth: int) -> None:
        status = os.fstat(found.fd)
        about = self._about(name, status)
        try:
            if stat.S_ISREG(status.st_mode):
                self._file(found, about, path)
            elif stat.S_ISLNK(status.st_mode):
                about.type, about.linkname = tarfile.SYMTYPE, os.readlink("", dir_fd=found.fd)
                self._stream.addfile(about)
                self.copied.links += 1
            elif stat.S_ISDIR(status.st_mode):
                about.type = tarfile.DIRTYPE
                if name:
                    self._stream.addfile(about)
                self.copied.directories += 1
                self._contents(found, name, path, depth)
            else:
                self.copied.skipped.append(path)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise translate(error, path, "copy") from error

    def _about(self, name: str, status: os.stat_result) -> tarfile.TarInfo:
        about = tarfile.TarInfo(name)
        about.mode = stat.S_IMODE(status.st_mode)
        about.uid, about.gid = self._owner or (
            max(0, status.st_uid - self._base[0]),
            max(0, status.st_gid - self._base[1]),
        )
        about.mtime = status.st_mtime
        return about

    def _file(self, found: Found, about: tarfile.TarInfo, path: str) -> None:
        with held(self._source.open(found, path)) as fd:
            about.size = os.fstat(fd).st_size
            self._stream.addfile(about, _Filled(fd))
        self.copied.files += 1
        self.copied.size_bytes += about.size

    def _contents(self, found: Found, name: str, path: str, depth: int) -> None:
        for each, last, below in members(self._source, found, path, depth, self.copied.skipped):
            self.entry(each, f"{name}/{last}" if name else last, below, depth + 1)


class _Filled:
    """Reads a file as long as it was said to be."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int = _PIECE, /) -> bytes:
        """Return so many bytes, zeroes where the file has ended."""
        pieces: list[bytes] = []
        left = size
        while left and (piece := os.read(self._fd, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join((*pieces, bytes(left)))


def read(stream: BinaryIO, into: Inside, to: str, *, base: Owner) -> Copied:
    """Put what a tar stream has into a directory that is there; return what was copied.

    Links on the way are those of the container, and lead nowhere out of it. Names with `..` are refused;
    a `/` at the beginning is dropped. Ids are the container's, and its root's begin at `base`. Devices
    and FIFOs are skipped. Raises `Failure`: what came before it is there.
    """
    copied = Copied()
    try:
        os.close(into.directory(to))
        with _tar(stream) as source:
            reader = _Reader(into, to.rstrip("/"), base, copied)
            for member in source:
                reader.take(source, member)
        reader.finish()
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error
    return copied


def count(stream: BinaryIO) -> Copied:
    """Return what a tar stream has for somebody who takes all of it; raise `Failure` as `read` does."""
    copied = Copied()
    with _tar(stream) as source:
        for member in source:
            _parts(member)
            copied.files += member.isfile()
            copied.directories += member.isdir()
            copied.links += member.issym() or member.islnk()
            copied.size_bytes += member.size
    return copied


class _Member(tarfile.TarInfo):
    """An entry of which the beginning alone is an error: the standard library takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if 0 < len(buf) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("unexpected end of data")
        return super().frombuf(buf, encoding, errors)


@contextmanager
def _tar(stream: BinaryIO) -> Generator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_Member) as source:
            yield source
    except tarfile.TarError as error:
        raise Failure(f"standard input is no tar stream, or a torn one: {error}") from error
    except EOFError as error:
        raise Failure("standard input ended within the tar stream") from error


def _parts(member: tarfile.TarInfo) -> list[str]:
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise Failure(f"{member.name}: a name with .. in it is not taken")
    return parts


class _Reader:
    def __init__(self, into: Inside, to: str, base: Owner, copied: Copied) -> None:
        self._into = into
        self._to = to
        self._base = base
        self._copied = copied
        self._directories: list[tuple[str, tarfile.TarInfo]] = []

    def take(self, source: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member)
        if not parts:
            return  # the directory itself
        path = "/".join(parts)
        try:
            with held(self._above(parts[:-1])) as above:
                self._make(source, member, above, parts[-1], path)
        except OSError as error:
            raise translate(error, path, "copy") from error

    def finish(self) -> None:
        """Give directories their modes and times: files that came after them have changed these."""
        for path, member in reversed(self._directories):
            try:
                with held(self._into.directory(f"{self._to}/{path}")) as fd:
                    os.fchmod(fd, member.mode & 0o7777)
                    _touch(fd, member)
            except (CollectError, OSError) as error:
                raise Failure(f"{path}: {error}") from error

    def _above(self, parts: list[str]) -> int:
        """Open the directory that a name is in; those that no entry made are made."""
        whole = "/".join((self._to, *parts)) or "/"
        try:
            return self._into.directory(whole)
        except CollectError as error:
            if not parts or not isinstance(error.__cause__, FileNotFoundError):
                raise
        with held(self._above(parts[:-1])) as above, suppress(FileExistsError):
            os.mkdir(parts[-1], 0o755, dir_fd=above)
            os.chown(parts[-1], *self._base, dir_fd=above, follow_symlinks=False)
        return self._into.directory(whole)

    def _make(
        self, source: tarfile.TarFile, member: tarfile.TarInfo, above: int, name: str, path: str
    ) -> None:
        owner = (self._base[0] + member.uid, self._base[1] + member.gid)
        if member.isdir():
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
            os.chown(name, *owner, dir_fd=above, follow_symlinks=False)
            self._directories.append((path, member))
            self._copied.directories += 1
        elif member.isfile():
            with new_name(above, name) as temporary:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with held(os.open(temporary, flags, 0o600, dir_fd=above)) as fd:
                    self._copied.size_bytes += _pour(source, member, fd)
                    os.fchown(fd, *owner)
                    os.fchmod(fd, member.mode & 0o7777)
                    _touch(fd, member)
            self._copied.files += 1
        elif member.issym():
            with new_name(above, name) as temporary:
                os.symlink(member.linkname, temporary, dir_fd=above)
                os.chown(temporary, *owner, dir_fd=above, follow_symlinks=False)
            self._copied.links += 1
        elif member.islnk():
            self._link(member, above, name)
        else:
            self._copied.skipped.append(path)

    def _link(self, member: tarfile.TarInfo, above: int, name: str) -> None:
        """Give another name to a file that came before, or was there."""
        if ".." in member.linkname.split("/"):
            raise Failure(f"{member.linkname}: a name with .. in it is not taken")
        with (
            held(self._into.look(f"{self._to}/{member.linkname}", follow=False)) as seen,
            new_name(above, name) as temporary,
        ):
            os.link(f"/proc/self/fd/{seen}", temporary, dst_dir_fd=above, follow_symlinks=True)
        self._copied.links += 1


def _pour(source: tarfile.TarFile, member: tarfile.TarInfo, fd: int) -> int:
    contents = source.extractfile(member)
    if contents is None:
        raise Failure(f"{member.name}: it has no contents in the stream")
    written = 0
    while piece := contents.read(_PIECE):
        at = 0
        while at < len(piece):
            at += os.write(fd, piece[at:])
        written += len(piece)
    return written


def _touch(fd: int, member: tarfile.TarInfo) -> None:
    moment = int(member.mtime * 1e9)
    os.utime(fd, ns=(moment, moment))
