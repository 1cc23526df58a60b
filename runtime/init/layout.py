"""From an OCI spec to the steps that build the container's tree: root, mounts, devices, pivot."""

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.errors import InvalidArgument
from runtime.formats.idmap import Extent
from runtime.formats.spec import CGROUP_TYPES, Spec, entries, section
from runtime.init import hardening, mounting, namespaces, options, paths
from runtime.init.job import Hierarchies
from runtime.init.step import Step
from runtime.linux import constants

_DEVICES: Final = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
_LINKS: Final = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
)
_LABELLED: Final = frozenset({"tmpfs", "devpts", "ramfs"})
"""Filesystems whose files have no labels of their own, but all that of the mount."""
_KINDS: Final = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_PROPAGATIONS: Final = {
    "private": constants.MS_PRIVATE,
    "rprivate": constants.MS_PRIVATE | constants.MS_REC,
    "slave": constants.MS_SLAVE,
    "rslave": constants.MS_SLAVE | constants.MS_REC,
    "shared": constants.MS_SHARED,
    "rshared": constants.MS_SHARED | constants.MS_REC,
    "unbindable": constants.MS_UNBINDABLE,
    "runbindable": constants.MS_UNBINDABLE | constants.MS_REC,
}


def plan(spec: Spec, *, rootfs: str, hierarchies: Hierarchies, pivot: Step) -> list[Step]:
    """Return the steps from a mount namespace like the host's to the container's root."""
    linux = section(spec, "linux")
    propagation = linux.get("rootfsPropagation") or ""
    if propagation and propagation not in _PROPAGATIONS:
        raise InvalidArgument(f"linux.rootfsPropagation: {propagation!r} is unknown")
    outer = (
        constants.MS_SLAVE if propagation.endswith(("slave", "shared")) else constants.MS_PRIVATE
    )
    steps: list[Step] = [mounting.Propagation(outer), mounting.RootMount(rootfs)]
    steps.extend(_mount(each, linux, hierarchies=hierarchies) for each in entries(spec, "mounts"))
    wanted = namespaces.of(spec)
    bound = "user" in wanted.new or "user" in wanted.joined
    steps.extend(_devices(spec, bound=bound))
    steps.append(pivot)
    if propagation and _PROPAGATIONS[propagation] & ~constants.MS_REC != constants.MS_PRIVATE:
        steps.append(hardening.RootPropagation(propagation, _PROPAGATIONS[propagation]))
    return steps


def common(usual: Sequence[Mapping[str, Any]]) -> list[Step]:
    """Return the steps that make mounts, and then what is in every container's /dev."""
    steps = [_mount(each, {}, hierarchies=()) for each in usual]
    return [*steps, *_devices({}, bound=False)]


def _mount(entry: Mapping[str, Any], linux: Spec, *, hierarchies: Hierarchies) -> Step:
    chosen = options.parse(entries(entry, "options"))
    destination, fstype = entry["destination"], entry.get("type") or "none"
    if chosen.bind or fstype in {"bind", "rbind"}:
        if fstype == "rbind":
            chosen = chosen._replace(rbind=True)
        if not entry.get("source"):
            raise InvalidArgument(f"mounts: {destination}: a bind mount needs a source")
        maps = _mount_maps(entry, linux, mapped=chosen.idmap)
        return mounting.BindMount(entry["source"], destination, chosen, maps=maps)
    if paths.clean(destination).split("/")[0] == "proc" and fstype != "proc":
        raise InvalidArgument(f"mounts: {destination}: only a proc filesystem may be mounted there")
    if fstype == "proc" and paths.clean(destination).startswith("proc/"):
        raise InvalidArgument(f"mounts: {destination}: nothing may be mounted below /proc")
    if fstype in CGROUP_TYPES:
        read_only = bool(chosen.flags & constants.MS_RDONLY)
        return mounting.CgroupMount(destination, hierarchies, read_only=read_only)
    if chosen.idmap or entry.get("uidMappings"):
        raise InvalidArgument(f"mounts: {destination}: only bind mounts have ids mapped")
    if chosen.copy_up and fstype != "tmpfs":
        raise InvalidArgument(f"mounts: {destination}: tmpcopyup is for tmpfs only")
    if linux.get("mountLabel") and fstype in _LABELLED:
        chosen = chosen._replace(label=linux["mountLabel"])
    source = entry.get("source") or fstype
    return mounting.FilesystemMount(fstype, source, destination, chosen)


def _mount_maps(entry: Mapping[str, Any], linux: Spec, *, mapped: bool) -> mounting.Maps | None:
    """Return a mount's own maps, or with the option idmap alone those of the container."""
    own = bool(entries(entry, "uidMappings")), bool(entries(entry, "gidMappings"))
    if not mapped and not any(own):
        return None
    holder = entry if any(own) else linux
    where = f"mounts: {entry['destination']}: uidMappings and gidMappings"
    uids, gids = (extents(holder, key) for key in ("uidMappings", "gidMappings"))
    if not uids or not gids:
        raise InvalidArgument(f"{where}: both are needed")
    return uids, gids


def extents(holder: Spec, key: str) -> tuple[Extent, ...]:
    """Return a map of ids."""
    return tuple(
        Extent(each["containerID"], each["hostID"], each["size"]) for each in entries(holder, key)
    )


def _devices(spec: Spec, *, bound: bool) -> list[Step]:
    """Return the nodes that every container has, those asked for, and the links.

    Where nodes cannot be made, in a user namespace, the host's are bound.
    """
    wanted: dict[str, Step] = {}
    for path, major, minor in _DEVICES:
        device = os.makedev(major, minor)
        wanted[path] = hardening.Device(path, stat.S_IFCHR | 0o666, device)
    for each in entries(section(spec, "linux"), "devices"):
        kind = each.get("type")
        if kind not in _KINDS:
            raise InvalidArgument(f"linux.devices: {each.get('path')}: unknown type {kind!r}")
        mode = _KINDS[kind] | (each["fileMode"] if each.get("fileMode") is not None else 0o666)
        device = 0 if kind == "p" else os.makedev(each["major"], each["minor"])
        wanted[each["path"]] = hardening.Device(
            each["path"], mode, device, uid=each.get("uid") or 0, gid=each.get("gid") or 0
        )
    if bound:
        plain = options.parse(())
        steps: list[Step] = [mounting.BindMount(path, path, plain) for path in wanted]
    else:
        steps = list(wanted.values())
    steps.extend(hardening.Link(target, path) for target, path in _LINKS)
    return steps
