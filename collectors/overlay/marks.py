"""Reads the marks that overlayfs leaves on files: whiteouts, opaque, redirect, metacopy."""

import errno
import os
import stat

from msgspec import Struct

FUSE_FILES = frozenset({".wh..wh..opq", ".wh..opq"})
"""What fuse-overlayfs puts into an opaque directory besides its attribute: no files of anybody's."""
_FUSE_OPAQUE = "user.fuseoverlayfs.opaque"
"""Without root; with it fuse-overlayfs marks as the kernel does. Its whiteouts are devices as well."""
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_ATTRIBUTE_BLOCKS = 16
"""Of 512 bytes: what a file without data may take for its attributes; with more, none is asked."""


class DirectoryMarks(Struct, frozen=True):
    """What a directory's extended attributes say (overlayfs.rst, "Whiteouts and opaque directories")."""

    opaque: bool = False
    """It hides the directories of that name in the layers below."""
    holds_whiteouts: bool = False
    """Some of its files may be whiteouts by attribute."""
    redirect: str | None = None
    """Where the layers below have it: from their roots with a `/`, beside it without."""


_NONE = DirectoryMarks()


class Marks(Struct, frozen=True):
    """Reads marks under one prefix: overlayfs looks at one of the two only."""

    prefix: str
    """`trusted.overlay.`, or `user.overlay.` with the `userxattr` option."""

    def of_directory(self, dir_fd: int, name: str) -> DirectoryMarks:
        """Return the marks of a directory in an open one; no marks where they may not be read."""
        path = _path(dir_fd, name)
        try:
            names = os.listxattr(path, follow_symlinks=False)
        except OSError as error:
            if error.errno in _ABSENT:
                return _NONE
            raise
        if _FUSE_OPAQUE in names:
            return DirectoryMarks(opaque=True)
        if not any(one.startswith(self.prefix) for one in names):
            return _NONE
        opaque = self._get(path, "opaque")
        redirect = self._get(path, "redirect")
        return DirectoryMarks(
            opaque=opaque == b"y",
            # Linux 6.7 had an attribute of its own for it, later ones say opaque=x.
            holds_whiteouts=opaque == b"x" or self._get(path, "whiteouts") is not None,
            redirect=os.fsdecode(redirect) if redirect else None,
        )

    def is_whiteout(
        self, dir_fd: int, name: str, status: os.stat_result, *, by_attribute: bool
    ) -> bool:
        """Return whether an entry deletes the lower one: a 0:0 device, or an empty marked file."""
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == 0
        if name in FUSE_FILES and not status.st_size:
            return True
        return (
            by_attribute
            and stat.S_ISREG(status.st_mode)
            and status.st_size == 0
            and self._get(_path(dir_fd, name), "whiteout") is not None
        )

    def is_metacopy(self, dir_fd: int, name: str, status: os.stat_result) -> bool:
        """Return whether a regular file has only its metadata here."""
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_blocks <= _ATTRIBUTE_BLOCKS
            and status.st_size > 0
            and self._get(_path(dir_fd, name), "metacopy") is not None
        )

    def redirect_of(self, dir_fd: int, name: str) -> str | None:
        """Return where a metacopy file's contents are: as for a directory; None: under its own name."""
        redirect = self._get(_path(dir_fd, name), "redirect")
        return os.fsdecode(redirect) if redirect else None

    def _get(self, path: str, mark: str) -> bytes | None:
        try:
            return os.getxattr(path, self.prefix + mark, follow_symlinks=False)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise


def _path(dir_fd: int, name: str) -> str:
    # The calls for attributes take no directory descriptor; this path is the descriptor's.
    return f"/proc/self/fd/{dir_fd}/{name}"
