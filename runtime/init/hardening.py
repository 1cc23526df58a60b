"""The pivot, and the steps after it that take away: read-only and masked paths, kernel parameters."""

import contextlib
import os
import posixpath
import stat

from runtime.errors import FailedPrecondition
from runtime.init import paths, procfs, unprivileged
from runtime.init.step import Child, Step
from runtime.linux import constants, mounts


class PivotRoot(Step):
    """Make the container's root the root, and drop the host's mounts."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "pivot into the root"

    def execute(self, child: Child, /) -> None:
        """Stack the old root over the new one at `.`, and take it away (pivot_root(2))."""
        _go_to_top(child)
        os.fchdir(child.rootfs)
        mounts.pivot_root(".", ".")
        mounts.unmount(".", constants.MNT_DETACH)
        os.chdir("/")
        os.close(child.rootfs)
        child.rootfs = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


class MoveRoot(PivotRoot):
    """Make the container's root the root where pivot_root cannot: on the kernel's first ramdisk.

    The host's mounts stay below, where nothing leads; its procfs and sysfs are taken away first.
    """

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "change into the root, without pivot_root"

    def execute(self, child: Child, /) -> None:
        """Leave what lies below the root mount; it was attached over `/` before."""
        _go_to_top(child)
        for fields in _mount_lines():
            if fields[-1] in {b"proc", b"sysfs"}:
                with contextlib.suppress(OSError):  # covered by another mount: out of reach too
                    mounts.unmount(os.fsdecode(fields[0]), constants.MNT_DETACH)
        os.fchdir(child.rootfs)
        os.chroot(".")
        os.chdir("/")


def _go_to_top(child: Child) -> None:
    """Leave a chroot that the caller was in."""
    os.fchdir(child.top)
    os.chroot(".")
    os.close(child.top)


def _mount_lines() -> list[tuple[bytes, bytes]]:
    """Return mountpoint and type of all mounts that are seen from here, the last first."""
    descriptor = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        lines = file.read().splitlines()
    return [
        (left.split()[4], right.split()[0])
        for left, _, right in (line.partition(b" - ") for line in reversed(lines))
    ]


class ReadonlyPaths(Step):
    """Make paths read-only by mounts of themselves over themselves."""

    __slots__ = ("_paths",)

    def __init__(self, protected: tuple[str, ...]) -> None:
        self._paths = protected

    def describe(self) -> str:
        """Name the paths."""
        return f"make read-only: {' '.join(self._paths)}"

    def execute(self, child: Child, /) -> None:
        """Do it for each that is there."""
        for path in self._paths:
            try:
                place = paths.find(child.rootfs, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            tree = mounts.open_tree(place, recursive=True)
            mounts.set_attributes(tree, attributes=constants.MOUNT_ATTR_RDONLY, recursive=True)
            mounts.move_mount(tree, place)
            os.close(tree)
            os.close(place)


class MaskedPaths(Step):
    """Hide files behind the null device and directories behind one empty tmpfs."""

    __slots__ = ("_paths",)

    def __init__(self, masked: tuple[str, ...]) -> None:
        self._paths = masked

    def describe(self) -> str:
        """Name the paths."""
        return f"mask: {' '.join(self._paths)}"

    def execute(self, child: Child, /) -> None:
        """Do it for each that is there; the null device is verified first."""
        null = empty = -1
        for path in self._paths:
            try:
                place = paths.find(child.rootfs, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISDIR(os.fstat(place).st_mode):
                if empty < 0:
                    empty = mounts.filesystem(
                        "tmpfs",
                        {"source": "tmpfs", "nr_blocks": "1", "nr_inodes": "1", "ro": ""},
                        attributes=constants.MOUNT_ATTR_RDONLY,
                    )
                    tree = os.dup(empty)
                else:
                    tree = mounts.open_tree(empty)
            else:
                if null < 0:
                    null = paths.null_device(child.rootfs)
                tree = mounts.open_tree(null)
            mounts.move_mount(tree, place)
            os.close(tree)
            os.close(place)
        for each in (null, empty):
            if each >= 0:
                os.close(each)


class ReadonlyRoot(Step):
    """Make the root mount read-only; what is mounted below it stays as it is."""

    __slots__ = ()

    def describe(self) -> str:
        """Say it."""
        return "make the root read-only"

    def execute(self, _child: Child, /) -> None:
        """Change the one mount."""
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.set_attributes(root, attributes=constants.MOUNT_ATTR_RDONLY)
        os.close(root)


class RootPropagation(Step):
    """Give the root the propagation that the spec names."""

    __slots__ = ("_flags", "_name")

    def __init__(self, name: str, flags: int) -> None:
        self._name = name
        self._flags = flags

    def describe(self) -> str:
        """Name it."""
        return f"make the root {self._name}"

    def execute(self, _child: Child, /) -> None:
        """Change it."""
        mounts.mount("", "/", flags=self._flags)


class Sysctl(Step):
    """Set one kernel parameter of the container's namespaces."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: str, value: str) -> None:
        self._key = key
        self._value = value

    def describe(self) -> str:
        """Name it."""
        return f"linux.sysctl.{self._key}: set it"

    def execute(self, child: Child, /) -> None:
        """Write the value; what separates the parts of a name, dot or slash, is what comes first."""
        first = next((each for each in self._key if each in "./"), ".")
        path = self._key if first == "/" else self._key.translate(str.maketrans("./", "/."))
        procfs.write(child.procfs, f"sys/{path}", self._value)


class Device(Step):
    """Make a device node with its owner and mode."""

    __slots__ = ("_device", "_gid", "_mode", "_path", "_uid")

    def __init__(self, path: str, mode: int, device: int, *, uid: int = 0, gid: int = 0) -> None:
        self._path = path
        self._mode = mode
        self._device = device
        self._uid = uid
        self._gid = gid

    def describe(self) -> str:
        """Name it, with its numbers."""
        kind = "b" if stat.S_ISBLK(self._mode) else "p" if stat.S_ISFIFO(self._mode) else "c"
        numbers = f"{os.major(self._device)}:{os.minor(self._device)}"
        return f"make the device {self._path} {kind} {numbers}"

    def execute(self, child: Child, /) -> None:
        """Make it in a directory that no link leads to; one that is there must be the same.

        The child's umask is 0 until the command's is set.
        """
        parent_path, name = posixpath.split(paths.clean(self._path))
        parent = paths.make(child.rootfs, parent_path, directory=True, strict=True)
        try:
            try:
                os.mknod(name, self._mode, self._device, dir_fd=parent)
            except FileExistsError:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if (stat.S_IFMT(status.st_mode), status.st_rdev) != (
                    stat.S_IFMT(self._mode),
                    self._device,
                ):
                    raise FailedPrecondition(f"{self._path}: another file is there") from None
            except PermissionError:
                if stat.S_ISFIFO(self._mode):
                    raise
                # Root of a user namespace alone: it shows the host's.
                unprivileged.bind_device(child.rootfs, self._path, self._mode, self._device)
                return
            os.chown(name, self._uid, self._gid, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)


class Link(Step):
    """Make a symbolic link in /dev, if nothing is there yet."""

    __slots__ = ("_path", "_target")

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        self._path = path

    def describe(self) -> str:
        """Name both ends."""
        return f"link {self._path} to {self._target}"

    def execute(self, child: Child, /) -> None:
        """Make it in a directory that no link leads to."""
        parent_path, name = posixpath.split(paths.clean(self._path))
        parent = paths.make(child.rootfs, parent_path, directory=True, strict=True)
        try:
            os.symlink(self._target, name, dir_fd=parent)
        except FileExistsError:
            return
        finally:
            os.close(parent)
