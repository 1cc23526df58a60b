"""The steps that build the container's tree of mounts, before it becomes the root."""

import os
import stat
from collections.abc import Sequence

from runtime.errors import InvalidArgument
from runtime.formats.idmap import Extent
from runtime.init import copyup, paths, unprivileged
from runtime.init.options import Options
from runtime.init.step import Child, Step
from runtime.linux import constants, idmap, mounts, syscalls

_KERNEL_PLACES = ("proc", "sys", "dev")


class Propagation(Step):
    """Cut the new mount namespace off from the host's, so that nothing mounted here shows there."""

    __slots__ = ("_flags",)

    def __init__(self, flags: int) -> None:
        self._flags = flags

    def describe(self) -> str:
        """Say which kind."""
        kind = "slave" if self._flags & constants.MS_SLAVE else "private"
        return f"make every mount {kind}"

    def execute(self, _child: Child, /) -> None:
        """Change all mounts at once."""
        mounts.mount("", "/", flags=self._flags | constants.MS_REC)


class RootMount(Step):
    """Put a copy of the root's mounts over the host's root, and hold it.

    The parent copies it: a child in a user namespace might not get there.
    """

    __slots__ = ("_path", "_tree")

    def __init__(self, path: str) -> None:
        self._path = path
        self._tree = -1

    def describe(self) -> str:
        """Name the directory."""
        return f"mount the root {self._path}"

    def prepare(self) -> None:
        """Copy the mounts, detached and private."""
        with unprivileged.left_to_child():
            self._copy()

    def _copy(self) -> None:
        try:
            self._tree = mounts.open_tree(constants.AT_FDCWD, self._path, recursive=True)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from None
        if not stat.S_ISDIR(os.fstat(self._tree).st_mode):
            raise InvalidArgument(f"{self._path}: is not a directory")
        mounts.set_attributes(self._tree, propagation=constants.MS_PRIVATE, recursive=True)

    def release(self) -> None:
        """Close the copy."""
        if self._tree >= 0:
            os.close(self._tree)
            self._tree = -1

    def execute(self, child: Child, /) -> None:
        """Attach it over the mount namespace's root, from where it can become that."""
        if self._tree < 0:
            self._copy()
        child.top = namespace_root()
        mounts.move_mount(self._tree, child.top)
        child.rootfs = os.dup(self._tree)


def namespace_root() -> int:
    """Return the root of the mount namespace, which is not the own one if the caller is in a chroot.

    From a root below it a container could climb to the host's files; and whoever joins the namespace
    is there (setns(2), mount_namespaces(7)). Until the pivot paths are still the caller's.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    own, process = os.open("/", flags), os.pidfd_open(os.getpid())
    syscalls.setns(process, constants.CLONE_NEWNS)
    top = os.open("/", flags)
    os.fchdir(own)
    os.chroot(".")
    os.close(own)
    os.close(process)
    return top


def is_kernel_place(destination: str) -> bool:
    """Tell whether a destination must not be reached over a link: /proc, /sys, /dev and below."""
    return paths.clean(destination).split("/")[0] in _KERNEL_PLACES


class FilesystemMount(Step):
    """Mount a new filesystem: proc, sysfs, tmpfs, devpts, mqueue and so on."""

    __slots__ = ("_destination", "_fstype", "_options", "_source")

    def __init__(self, fstype: str, source: str, destination: str, options: Options) -> None:
        self._fstype = fstype
        self._source = source
        self._destination = destination
        self._options = options

    @property
    def fstype(self) -> str:
        """The filesystem's type."""
        return self._fstype

    @property
    def destination(self) -> str:
        """Where it is mounted, relative to the root, without links."""
        return paths.clean(self._destination)

    def elsewhere(self, destination: str) -> "FilesystemMount":
        """Return the same at another place."""
        return FilesystemMount(self._fstype, self._source, destination, self._options)

    def describe(self) -> str:
        """Name type and destination."""
        label = self._options.label
        given = f" with linux.mountLabel {label}" if label else ""
        return f"mount {self._fstype} on {self._destination}{given}"

    def execute(self, child: Child, /) -> None:
        """Mount on the place's descriptor."""
        strict = is_kernel_place(self._destination)
        data = self._options.data
        if self._fstype in {"proc", "sysfs", "mqueue"}:
            data = ""
        elif self._fstype == "tmpfs":
            data = self._tmpfs_data(child.rootfs, strict=strict)
        place = paths.make(child.rootfs, self._destination, directory=True, strict=strict)
        try:
            if self._options.copy_up:
                self._mount_copy(place, data)
            else:
                self._mount(place, data, inside=child.inside)
        finally:
            os.close(place)
        if self._options.propagation:
            placed = paths.find(child.rootfs, self._destination, strict=strict)
            mounts.set_attributes(placed, propagation=self._options.propagation & ~constants.MS_REC)
            os.close(placed)

    def _mount(self, place: int, data: str, *, inside: bool) -> None:
        target, flags = paths.descriptor_path(place), self._options.flags
        if inside:  # there is no /proc yet
            os.fchdir(place)
            target = "."
        if self._options.label:  # quoted: a comma may be in it
            context = f'context="{self._options.label}"'
            data = f"{data},{context}" if data else context
        try:
            mounts.mount(self._source, target, fstype=self._fstype, flags=flags, data=data)
        except PermissionError:
            if self._fstype != "sysfs":
                raise
            unprivileged.bind_sysfs(place, self._options.attributes.set)

    def _tmpfs_data(self, root: int, *, strict: bool) -> str:
        """Return the options, where the mode is by default that of the directory to be covered."""
        data = self._options.data
        if any(each.startswith("mode=") for each in data.split(",")):
            return data
        try:
            found = paths.find(root, self._destination, strict=strict)
        except FileNotFoundError:
            return data
        mode = f"mode={stat.S_IMODE(os.fstat(found).st_mode):o}"
        os.close(found)
        return f"{mode},{data}" if data else mode

    def _mount_copy(self, place: int, data: str) -> None:
        """Fill the new filesystem before it covers what is copied."""
        words = {"source": self._source}
        for each in filter(None, data.split(",")):
            key, _, value = each.partition("=")
            words[key] = value
        if self._options.label:
            words["context"] = self._options.label
        tree = mounts.filesystem("tmpfs", words)
        readable = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        inner, filled = (os.open(".", readable, dir_fd=each) for each in (place, tree))
        try:
            copyup.copy(inner, filled)
            change = self._options.attributes
            if change.set or change.clear:
                mounts.set_attributes(tree, attributes=change.set, clear=change.clear)
            mounts.move_mount(tree, place)
        finally:
            for descriptor in (inner, filled, tree):
                os.close(descriptor)


Maps = tuple[Sequence[Extent], Sequence[Extent]]
"""User and group ids as another user namespace has them."""


class BindMount(Step):
    """Show a file or directory of the host in the container.

    The parent opens it: a child in a user namespace might not get there.
    """

    __slots__ = ("_destination", "_maps", "_options", "_source", "_tree")

    def __init__(
        self, source: str, destination: str, options: Options, *, maps: Maps | None = None
    ) -> None:
        self._source = source
        self._destination = destination
        self._options = options
        self._maps = maps
        self._tree = -1

    def describe(self) -> str:
        """Name source and destination, and whether it is read-only."""
        read_only = self._options.attributes.set & constants.MOUNT_ATTR_RDONLY
        mapped = " with mapped ids" if self._maps else ""
        return (
            f"bind {self._source} on {self._destination}{' read-only' if read_only else ''}{mapped}"
        )

    def prepare(self) -> None:
        """Copy the mount, detached, with the attributes it will have."""
        with unprivileged.left_to_child():
            self._copy()

    def _copy(self) -> None:
        options = self._options
        try:
            self._tree = mounts.open_tree(constants.AT_FDCWD, self._source, recursive=options.rbind)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._source) from None
        if self._maps is not None:
            self._map_ids(*self._maps)
        # Nothing shall come in from the host later, unless that is asked for.
        mounts.set_attributes(
            self._tree,
            propagation=(options.propagation & ~constants.MS_REC) or constants.MS_PRIVATE,
            recursive=bool(options.propagation & constants.MS_REC) or not options.propagation,
        )
        for change, recursive in ((options.attributes, False), (options.recursive, True)):
            if change.set or change.clear:
                mounts.set_attributes(
                    self._tree, attributes=change.set, clear=change.clear, recursive=recursive
                )

    def _map_ids(self, uids: Sequence[Extent], gids: Sequence[Extent]) -> None:
        userns = idmap.user_namespace(uids, gids)
        try:
            mounts.set_attributes(
                self._tree,
                attributes=constants.MOUNT_ATTR_IDMAP,
                userns=userns,
                recursive=self._options.idmap_recursive,
            )
        except OSError as error:
            # EINVAL also for a filesystem that cannot, or a mount that is mapped already.
            raise OSError(error.errno, error.strerror, self._source) from None
        finally:
            os.close(userns)

    def release(self) -> None:
        """Close the copy."""
        if self._tree >= 0:
            os.close(self._tree)
            self._tree = -1

    def execute(self, child: Child, /) -> None:
        """Attach the copy."""
        if self._tree < 0:
            self._copy()
        directory = stat.S_ISDIR(os.fstat(self._tree).st_mode)
        strict = is_kernel_place(self._destination)
        clean = paths.clean(self._destination)
        if not clean:
            raise InvalidArgument("a mount cannot cover the container's root")
        if clean == "proc" or clean.startswith("proc/"):
            _refuse_proc(self._tree, clean)
        place = paths.make(child.rootfs, clean, directory=directory, strict=strict)
        try:
            mounts.move_mount(self._tree, place)
        finally:
            os.close(place)


_STATISTICS = ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"]
_PROC_FILES = frozenset(
    f"proc/{name}" for name in (*_STATISTICS, "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled")
)
"""What a bind may cover below /proc: statistics, as lxcfs supplies them."""


def _refuse_proc(tree: int, destination: str) -> None:
    if destination in _PROC_FILES:
        return
    if destination == "proc" and syscalls.filesystem_magic(tree) == constants.PROC_SUPER_MAGIC:
        return
    raise InvalidArgument(f"nothing may be mounted on /{destination}")


class CgroupMount(Step):
    """Show the container its own cgroups: v2's directory, or one directory a v1 hierarchy."""

    __slots__ = ("_destination", "_hierarchies", "_read_only", "_trees")

    def __init__(
        self,
        destination: str,
        hierarchies: Sequence[tuple[str, str, tuple[str, ...]]],
        *,
        read_only: bool,
    ) -> None:
        self._destination = destination
        self._hierarchies = tuple(hierarchies)
        self._read_only = read_only
        self._trees: list[int] = []

    @property
    def destination(self) -> str:
        """Where it is mounted, relative to the root, without links."""
        return paths.clean(self._destination)

    def describe(self) -> str:
        """Name the hierarchies."""
        names = " ".join(name or "unified" for name, _, _ in self._hierarchies)
        return f"mount cgroups on {self._destination}: {names}"

    def prepare(self) -> None:
        """Copy the mounts of the container's directories."""
        with unprivileged.left_to_child():
            self._copy()

    def _copy(self) -> None:
        for _, directory, _ in self._hierarchies:
            self._trees.append(mounts.open_tree(constants.AT_FDCWD, directory))

    def give(self, trees: Sequence[int]) -> None:
        """Take copies that were made elsewhere."""
        self._trees.extend(trees)

    def release(self) -> None:
        """Close the copies."""
        while self._trees:
            os.close(self._trees.pop())

    def execute(self, child: Child, /) -> None:
        """Attach them: v2 alone directly, several in a tmpfs."""
        if not self._trees:
            self._copy()
        place = paths.make(child.rootfs, self._destination, directory=True, strict=True)
        attributes = (
            constants.MOUNT_ATTR_NOSUID | constants.MOUNT_ATTR_NODEV | constants.MOUNT_ATTR_NOEXEC
        )
        if self._hierarchies[0][0] == "":
            top = os.dup(self._trees[0])
        else:
            options = {"source": "tmpfs", "mode": "755", "size": "64k"}
            top = mounts.filesystem("tmpfs", options, attributes=attributes)
        # What is attached to a detached mount is a matter of newer kernels: so the top goes first.
        mounts.move_mount(top, place)
        os.close(place)
        if self._hierarchies[0][0]:
            self._attach(top)
        if self._read_only:
            attributes |= constants.MOUNT_ATTR_RDONLY
        mounts.set_attributes(
            top, attributes=attributes, propagation=constants.MS_PRIVATE, recursive=True
        )
        os.close(top)

    def _attach(self, top: int) -> None:
        """Attach each copy in a directory of its own."""
        for tree, (name, _, aliases) in zip(self._trees, self._hierarchies, strict=True):
            os.mkdir(name, 0o755, dir_fd=top)
            for alias in aliases:
                if alias != name:
                    os.symlink(name, alias, dir_fd=top)
            directory = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=top)
            mounts.move_mount(tree, directory)
            os.close(directory)
