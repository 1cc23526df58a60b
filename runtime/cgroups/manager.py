"""One container's cgroups in every hierarchy of this host, v1, hybrid or v2, under one name."""

import os
import signal as signals
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.cgroups import devices, freezer, limits, tree
from runtime.cgroups.controller import Write
from runtime.cgroups.hierarchy import Hierarchy, discover, read, write
from runtime.cgroups.join import Join
from runtime.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
)

if TYPE_CHECKING:
    from runtime.cgroups.oom import OomWatch
    from runtime.cgroups.resctrl import Group

_V2 = frozenset({"cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"})
"""What a container's cgroup gets on v2 where it is to be had."""
_REMOVAL_SECONDS = 10.0
_FIRST_NAMES = {"io": "blkio"}


class Visible(NamedTuple):
    """A hierarchy as it is mounted inside the container."""

    name: str
    """The directory below /sys/fs/cgroup; empty for v2 alone."""
    directory: str
    aliases: tuple[str, ...]
    """The single controllers that share it, as links."""


class Manager:
    """One container's cgroups; `path` is below each hierarchy's root as it is seen here.

    Where the visible root cannot be written, `path` is below the caller's own cgroup instead; with
    v2 alone it is then changed to what it is from the root, wherever its user was given one.
    """

    unit = ""
    """systemd's unit of the same cgroup, if it is systemd's."""
    user = False
    """Whether that is a user's own systemd."""
    entries: Sequence[str] = ()
    """More files by which processes that join enter: those of a class of service (`resctrl`)."""

    service_class: "Group | None" = None
    """That class, where it goes with the cgroups."""

    name = ""
    """The container's own, where the path does not end with it."""

    def __init__(self, path: str, *, whole: bool = False) -> None:
        """With `whole` the path is from the mounts' roots, writable or not."""
        parts = path.split("/")
        if not path.startswith("/") or not path.strip("/") or {"..", "."} & set(parts):
            raise InvalidArgument(f"not the path of a cgroup: {path!r}")
        self.path = "/" + "/".join(part for part in parts if part)
        self.inside: Mapping[str, str] = {}
        """Where processes that join go below it, by the hierarchy's name."""
        self._hierarchies = discover()
        if not self._hierarchies:
            raise FailedPrecondition("no cgroup hierarchy is mounted here")
        self._bases = {
            each.name: each.mountpoint.rstrip("/") if whole else tree.base(each)
            for each in self._hierarchies
        }
        if not whole and self.unified() and self._bases["unified"] != self._mountpoint():
            from runtime.cgroups import delegated  # noqa: PLC0415 - for users without root alone

            self.path = delegated.path(self._hierarchies[0], self.path)
            self._bases = {"unified": self._mountpoint()}

    # What is where

    def _mountpoint(self) -> str:
        return self._hierarchies[0].mountpoint.rstrip("/")

    def directory(self, controller: str) -> str | None:
        """Return the directory of the hierarchy that has a controller; None if none has."""
        found = self._of(controller)
        return None if found is None else self._directory(found)

    def directories(self) -> dict[str, str]:
        """Return the cgroup's directory in each hierarchy, by the hierarchy's name."""
        return {each.name: self._directory(each) for each in self._hierarchies}

    def visible(self) -> tuple[Visible, ...]:
        """Return what the container's /sys/fs/cgroup is made of."""
        if len(self._hierarchies) == 1 and self._hierarchies[0].version == 2:
            return (Visible("", self._directory(self._hierarchies[0]), ()),)
        return tuple(
            Visible(
                os.path.basename(each.mountpoint),
                self._directory(each),
                each.controllers if each.version == 1 and len(each.controllers) > 1 else (),
            )
            for each in self._hierarchies
        )

    def unified(self) -> bool:
        """Tell whether this host has cgroup v2 alone, where statistics have v2's shape."""
        return all(each.version == 2 for each in self._hierarchies)

    def exists(self) -> bool:
        """Tell whether any of the directories is there."""
        return any(os.path.isdir(self._directory(each)) for each in self._hierarchies)

    def _directory(self, hierarchy: Hierarchy) -> str:
        return self._bases[hierarchy.name] + self.path

    def _of(self, controller: str) -> Hierarchy | None:
        first = _FIRST_NAMES.get(controller, controller)
        for each in self._hierarchies:
            if (first if each.version == 1 else controller) in each.controllers:
                return each
        return None

    @property
    def _unified(self) -> Hierarchy | None:
        return next((each for each in self._hierarchies if each.version == 2), None)

    # Making and limiting

    def create(self, resources: Mapping[str, Any]) -> None:
        """Make the directories and set the limits of an OCI `linux.resources`.

        Raises `FailedPrecondition` for a limit whose controller is not to be had, and leaves
        nothing behind if anything fails.
        """
        self._check(resources)
        made: list[str] = []
        try:
            for each in self._hierarchies:
                tree.make(self._bases[each.name], self.path, made=made)
                if each.version == 2:
                    tree.check_domain(self._directory(each))
                    tree.enable(self._bases[each.name], self.path, controllers=_V2)
                elif "cpuset" in each.controllers:
                    tree.inherit_cpuset(self._bases[each.name], self.path)
            self._check_enabled(resources)
            self._apply(resources)
            self._attach_devices(resources)
        except BaseException:
            for directory in reversed(made):
                tree.remove_one(directory)
            raise

    def settled(self) -> None:
        """Be told that the init is in, after `create`; nothing to do here."""

    def update(self, resources: Mapping[str, Any]) -> None:
        """Change the limits that `resources` names; the others stay."""
        self._check(resources)
        self._check_enabled(resources)
        self._apply(resources)
        self._attach_devices(resources, again=True)

    def limits(self, resources: Mapping[str, Any]) -> bool:
        """Tell whether resources ask for a limit that only a cgroup can keep, devices left out."""
        return any(limits.needed(resources)) or bool(resources.get("unified"))

    def _check(self, resources: Mapping[str, Any]) -> None:
        for controller, key in limits.needed(resources):
            if self._of(controller) is None:
                raise FailedPrecondition(
                    f"linux.resources.{key}: the {controller} controller is not available on "
                    f"this host"
                )

    def _check_enabled(self, resources: Mapping[str, Any]) -> None:
        unified = self._unified
        if unified is None:
            return
        held = read(f"{self._directory(unified)}/cgroup.controllers").decode().split()
        for controller, key in limits.needed(resources):
            if self._of(controller) is unified and controller not in held:
                why = tree.refusal(self._bases[unified.name], self.path, controller)
                raise FailedPrecondition(
                    f"linux.resources.{key}: the {controller} controller {why}"
                )

    def _apply(self, resources: Mapping[str, Any]) -> None:
        for name in limits.CONTROLLERS:
            hierarchy = self._of(name)
            if hierarchy is not None:
                directory = self._directory(hierarchy)
                limits.apply(name, resources, directory=directory, version=hierarchy.version)
        if unified := resources.get("unified"):
            self._apply_unified(unified)

    def _apply_unified(self, values: Mapping[str, str]) -> None:
        hierarchy = self._unified
        if hierarchy is None:
            raise FailedPrecondition("linux.resources.unified: cgroup v2 is not mounted here")
        for file in values:
            if "/" in file or "." not in file:
                raise InvalidArgument(f"linux.resources.unified: {file!r} is not a cgroup's file")
        writes = [Write(file, value) for file, value in values.items()]
        limits.perform(self._directory(hierarchy), writes, key="unified")

    def _attach_devices(self, resources: Mapping[str, Any], *, again: bool = False) -> None:
        unified = self._unified
        if unified is None or self._of("devices") is not None or not resources.get("devices"):
            return
        from runtime.linux import bpf, idmap  # noqa: PLC0415 - v1 needs neither

        program = bpf.assemble(bpf.DeviceList(devices.rules(resources)))
        directory = os.open(self._directory(unified), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (bpf.replace_devices if again else bpf.attach_devices)(directory, program)
        except PermissionError:
            # A user may load none; neither can a container of one make a node, or open root's.
            if os.geteuid() == 0 and not idmap.nested():
                raise
        finally:
            os.close(directory)

    # Processes

    def join_paths(self) -> Join:
        """Return the open files by which a child enters; the caller closes them."""
        tasks: list[int] = []
        into: int | None = None
        try:
            for each in self._hierarchies:
                directory = self._directory(each) + self.inside.get(each.name, "")
                if each.version == 2:
                    into = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                else:
                    tasks.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
            tasks.extend(os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in self.entries)
        except OSError:
            Join(into, tuple(tasks)).close()
            raise
        return Join(into, tuple(tasks))

    def second_directory_of(self, pid: int) -> str | None:
        """Return the v2 cgroup that a process is in now, if v2 is there."""
        unified = self._unified
        if unified is None:
            return None
        for line in read(f"/proc/{pid}/cgroup").splitlines():
            if line.startswith(b"0::"):
                return self._bases[unified.name] + os.fsdecode(line[3:])
        return None

    def pids(self) -> list[int]:
        """Return the host's pids of every process in it and below."""
        return sorted(tree.pids(self._main()))

    def _main(self) -> str:
        """Return the directory by which its processes are found: the freezer's, or v2's."""
        hierarchy = self._of("freezer") or self._unified or self._hierarchies[0]
        return self._directory(hierarchy)

    def freeze(self) -> None:
        """Stop every process; returns when they are stopped."""
        self._freezer().freeze()

    def thaw(self) -> None:
        """Let them go on."""
        self._freezer().thaw()

    def frozen(self) -> bool:
        """Tell whether it is frozen, by itself or by an ancestor."""
        return self._freezer().frozen()

    def _freezer(self) -> freezer.Freezer:
        first = self._of("freezer")
        if first is not None:
            return freezer.FirstFreezer(self._directory(first))
        if self._unified is None:
            raise FailedPrecondition("no freezer is available on this host")
        return freezer.SecondFreezer(self._directory(self._unified))

    def kill(self, signal: int = signals.SIGKILL) -> None:
        """Send a signal to all of its processes; SIGKILL reaches even what forks meanwhile."""
        if not os.path.isdir(self._main()):
            return
        if signal != signals.SIGKILL:
            self._signal_all(signal)
            return
        unified = self._unified
        if unified is not None and self._kill_file(self._directory(unified)):
            # On a hybrid host a process may have left v2's cgroup; the freezer's has it then.
            if self._of("freezer") is None:
                return
            if not self.frozen() and not self.pids():
                return
        freeze = self._freezer()
        try:
            for _ in range(100):
                freeze.freeze()
                found = self._signal_all(signal)
                freeze.thaw()
                if not found:
                    return
                time.sleep(0.002)
        except (FailedPrecondition, FileNotFoundError):
            if os.path.isdir(self._main()):
                raise
            # Somebody has removed it, as systemd does as soon as it is empty.

    @staticmethod
    def _kill_file(directory: str) -> bool:
        try:
            write(f"{directory}/cgroup.kill", "1")
        except OSError:  # before Linux 5.14
            return False
        return True

    def _signal_all(self, signal: int) -> int:
        found = self.pids()
        for pid in found:
            try:
                os.kill(pid, signal)
            except ProcessLookupError:
                continue
        return len(found)

    # Telling

    def stats(self) -> dict[str, Any]:
        """Return its numbers: `cpu`, `memory`, `pids`, `io`, `hugetlb`, as `statistics` has them.

        A part whose controller is not to be had is absent.
        """
        from runtime.cgroups import statistics  # noqa: PLC0415 - a start does without

        return statistics.collect(
            {
                name: (hierarchy.version, self._directory(hierarchy))
                for name in ("cpu", "cpuacct", "memory", "pids", "io", "hugetlb")
                if (hierarchy := self._of(name) or (self._unified if name == "cpu" else None))
            }
        )

    def oom_events(self) -> "OomWatch | None":
        """Return a watch on kills for lack of memory; None without a memory controller."""
        hierarchy = self._of("memory")
        if hierarchy is None:
            return None
        from runtime.cgroups.oom import OomWatch  # noqa: PLC0415 - a command does without

        try:
            return OomWatch(self._directory(hierarchy), version=hierarchy.version)
        except FileNotFoundError:  # v2, and the controller could not be enabled
            return None

    # Removing

    def delete(self) -> None:
        """Remove it and every cgroup below, after killing what is left; gone is success.

        Raises `Internal` if it is still in use after ten seconds.
        """
        deadline = time.monotonic() + _REMOVAL_SECONDS
        # Mostly it is empty, which a removal that succeeds tells quickest.
        if not tree.removed(self._main()) and any(
            tree.pids(self._directory(each)) for each in self._hierarchies
        ):
            self.kill()
        for each in self._hierarchies:
            if not tree.removed(self._directory(each)):
                self._remove(self._directory(each), deadline=deadline)
            parent = os.path.dirname(self._directory(each))
            if parent != self._bases[each.name]:
                tree.remove_one(parent)
        if self.service_class is not None:
            self.service_class.remove()

    def _remove(self, top: str, *, deadline: float) -> None:
        pause = 0.0005
        while True:
            for directory in reversed(tree.below(top)):
                tree.remove_one(directory)
            if not os.path.isdir(top):
                return
            if time.monotonic() > deadline:
                raise Internal(f"{top}: cannot be removed: processes {sorted(tree.pids(top))}")
            for pid in tree.pids(top):
                try:
                    os.kill(pid, signals.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
