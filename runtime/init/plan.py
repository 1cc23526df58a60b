"""From an OCI spec to the list of steps that make it true; nothing is done or looked at here."""

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from runtime.errors import InvalidArgument, Unimplemented
from runtime.formats.spec import Spec, entries, section
from runtime.init import hardening, hooks, identity, joining, mounting, namespaces, options
from runtime.init.ready import Park, Ready
from runtime.init.step import Step
from runtime.linux import caps, constants
from runtime.linux.syscalls import CapabilitySets

_UNLIMITED: Final = (1 << 64) - 1
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


class Filter(NamedTuple):
    """A compiled seccomp program and the flags to load it with."""

    program: bytes
    flags: int


Hierarchies = Sequence[tuple[str, str, tuple[str, ...]]]
"""What /sys/fs/cgroup is made of: (name, directory of the host, aliases) each."""


class Identity(NamedTuple):
    """What a container is called, and where its files are."""

    container_id: str
    bundle: str


class Manner(NamedTuple):
    """How a container is made, where its spec says nothing about it."""

    keyring: bool = True
    """Whether it gets a session keyring of its own."""
    pivot: bool = True
    """Whether pivot_root is used: it cannot be where the host's root is its first ramdisk."""
    preserve: int = 0
    """How many descriptors from 3 on the command gets beside its streams."""
    name: str | None = None
    """What the session keyring of one more process is named by; without one, the cgroup."""
    park: str | None = None
    """The directory by whose FIFOs it is started; without one, its parent starts it."""


_USUAL: Final = Manner()


def create(
    spec: Spec,
    *,
    rootfs: str,
    hierarchies: Hierarchies,
    seccomp: Filter | None,
    who: Identity,
    manner: Manner = _USUAL,
) -> list[Step]:
    """Return the steps of a container's init."""
    process = spec["process"]
    wanted = namespaces.of(spec)
    _refuse_unsupported(spec)
    steps: list[Step] = [joining.EnterCgroups()]
    if "user" in wanted.new:
        steps.append(joining.AwaitIdMap())
    steps.extend(
        joining.JoinNamespace(kind, path) for kind, path in wanted.joined.items() if kind != "pid"
    )
    if "cgroup" in wanted.new:
        steps.append(joining.PrivateCgroups())
    if manner.keyring:
        steps.append(joining.Keyring(keyring(who.container_id)))
    if "network" in wanted.new:
        steps.append(joining.Loopback())
    steps.extend(_names(spec, wanted))
    if "user" not in wanted.new:
        steps.extend(rlimits(process))
    steps.extend(_limits(process))
    told = hooks.state(
        spec, container_id=who.container_id, bundle=who.bundle, pid=0, status="created"
    )
    steps.extend(_filesystem(spec, rootfs=rootfs, hierarchies=hierarchies))
    if spec.get("hooks"):
        pivot = next(i for i, step in enumerate(steps) if isinstance(step, mounting.PivotRoot))
        steps[pivot:pivot] = _hooks(spec, told)
    terminal = bool(process.get("terminal"))
    steps.append(_terminal(process, console=True) if terminal else identity.Streams())
    steps.extend(
        hardening.Sysctl(key, str(value))
        for key, value in sorted(section(section(spec, "linux"), "sysctl").items())
    )
    steps.extend(_hardening(spec))
    read_only = bool(section(spec, "root").get("readonly"))
    ready = Ready(wait=True) if manner.park is None else Park(manner.park)
    read_only_root = [hardening.ReadonlyRoot()] if read_only else []
    steps.extend(
        become(
            process,
            seccomp=seccomp,
            ready=ready,
            preserve=manner.preserve,
            before=read_only_root,
        )
    )
    if late := hooks.of(spec, "startContainer"):
        steps.insert(steps.index(ready) + 1, hooks.ContainerHooks("startContainer", late, told))
    return steps


_UNSUPPORTED: Final = {
    "process": ("ioPriority", "scheduler", "execCPUAffinity"),
    "linux": ("intelRdt", "memoryPolicy", "mountLabel", "netDevices", "personality", "timeOffsets"),
}


def _refuse_unsupported(spec: Spec) -> None:
    """Refuse what would be ignored otherwise: a spec that cannot be obeyed is an error."""
    for part, keys in _UNSUPPORTED.items():
        for key in keys:
            if section(spec, part).get(key):
                raise Unimplemented(f"{part}.{key} is not supported")


def keyring(container_id: str) -> str:
    """Return the name of a container's session keyring."""
    return f"_ses.{container_id}"


def _hooks(spec: Spec, told: hooks.State) -> list[Step]:
    """Return the steps before the pivot: the runtime's hooks, then those of the container."""
    steps: list[Step] = [hooks.RuntimeHooks()]
    if early := hooks.of(spec, "createContainer"):
        creating = {**told, "status": "creating"}
        steps.append(hooks.ContainerHooks("createContainer", early, creating))
    return steps


def enter(
    process: Spec,
    *,
    joined: Step,
    seccomp: Filter | None,
    name: str,
    manner: Manner = _USUAL,
) -> list[Step]:
    """Return the steps of one more process; `joined` is the step that enters the namespaces."""
    steps: list[Step] = [joining.EnterCgroups(), *rlimits(process), *_limits(process), joined]
    if manner.keyring:
        steps.append(joining.Keyring(name))
    if process.get("terminal"):
        steps.append(_terminal(process, console=False))
    else:
        steps.append(identity.Streams())
    steps.extend(
        become(process, seccomp=seccomp, ready=Ready(wait=False), preserve=manner.preserve)
    )
    return steps


def _names(spec: Spec, wanted: namespaces.Namespaces) -> list[Step]:
    hostname, domainname = spec.get("hostname") or "", spec.get("domainname") or ""
    if not hostname and not domainname:
        return []
    if "uts" not in wanted.new and "uts" not in wanted.joined:
        raise InvalidArgument("hostname: needs a uts namespace of the container's own")
    return [joining.Names(hostname, domainname)]


def rlimits(process: Spec) -> list[joining.Rlimit]:
    """Return the limits of a process; in a new user namespace its parent must set them."""
    return [
        joining.Rlimit(each["type"], min(each["soft"], _UNLIMITED), min(each["hard"], _UNLIMITED))
        for each in entries(process, "rlimits")
    ]


def _limits(process: Spec) -> list[Step]:
    steps: list[Step] = []
    for key, labels in (("apparmorProfile", joining.APPARMOR), ("selinuxLabel", joining.SELINUX)):
        if process.get(key):
            steps.append(joining.Label(labels, process[key]))
    if process.get("oomScoreAdj") is not None:
        steps.append(joining.OomScore(process["oomScoreAdj"]))
    return steps


def _filesystem(spec: Spec, *, rootfs: str, hierarchies: Hierarchies) -> list[Step]:
    linux = section(spec, "linux")
    propagation = linux.get("rootfsPropagation") or ""
    if propagation and propagation not in _PROPAGATIONS:
        raise InvalidArgument(f"linux.rootfsPropagation: {propagation!r} is unknown")
    outer = (
        constants.MS_SLAVE if propagation.endswith(("slave", "shared")) else constants.MS_PRIVATE
    )
    steps: list[Step] = [mounting.Propagation(outer), mounting.RootMount(rootfs)]
    steps.extend(_mount(each, hierarchies=hierarchies) for each in entries(spec, "mounts"))
    bound = "user" in namespaces.of(spec).new
    steps.extend(_devices(spec, bound=bound))
    steps.append(mounting.PivotRoot())
    if propagation and _PROPAGATIONS[propagation] & ~constants.MS_REC != constants.MS_PRIVATE:
        steps.append(hardening.RootPropagation(propagation, _PROPAGATIONS[propagation]))
    return steps


def _mount(entry: Mapping[str, Any], *, hierarchies: Hierarchies) -> Step:
    chosen = options.parse(entries(entry, "options"))
    destination, fstype = entry["destination"], entry.get("type") or "none"
    if chosen.bind or fstype in {"bind", "rbind"}:
        if fstype == "rbind":
            chosen = chosen._replace(rbind=True)
        if not entry.get("source"):
            raise InvalidArgument(f"mounts: {destination}: a bind mount needs a source")
        return mounting.BindMount(entry["source"], destination, chosen)
    if fstype in {"cgroup", "cgroup2"}:
        read_only = bool(chosen.flags & constants.MS_RDONLY)
        return mounting.CgroupMount(destination, hierarchies, read_only=read_only)
    if chosen.idmap or chosen.copy_up:
        raise Unimplemented(f"mounts: {destination}: options idmap and tmpcopyup are not supported")
    source = entry.get("source") or fstype
    return mounting.FilesystemMount(fstype, source, destination, chosen)


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


def _hardening(spec: Spec) -> list[Step]:
    linux = section(spec, "linux")
    steps: list[Step] = []
    if linux.get("readonlyPaths"):
        steps.append(hardening.ReadonlyPaths(tuple(linux["readonlyPaths"])))
    if linux.get("maskedPaths"):
        steps.append(hardening.MaskedPaths(tuple(linux["maskedPaths"])))
    return steps


def _terminal(process: Spec, *, console: bool) -> Step:
    size = section(process, "consoleSize")
    return identity.Terminal(size.get("height") or 0, size.get("width") or 0, console=console)


def become(
    process: Spec,
    *,
    seccomp: Filter | None,
    ready: Ready,
    preserve: int = 0,
    before: Sequence[Step] = (),
) -> list[Step]:
    """Return the steps from a process in its namespaces to the command.

    `before` are those between the last that writes to the root and the loss of privileges.
    """
    user = section(process, "user")
    arguments = tuple(entries(process, "args"))
    steps: list[Step] = [
        identity.Identify(
            user.get("username") or None,
            user.get("uid") or 0,
            user.get("gid") or 0,
            groups=tuple(entries(user, "additionalGids")),
            env=tuple(entries(process, "env")),
        ),
        identity.WorkingDirectory(process.get("cwd") or "/", make=ready.waits or ready.parks),
        identity.GiveStreams(terminal=bool(process.get("terminal"))),
    ]
    steps.extend(before)
    privileged = not process.get("noNewPrivileges")
    filters: list[Step] = [identity.Seccomp(*seccomp)] if seccomp else []
    if privileged:  # loading it needs a privilege then, which the next steps give up
        steps.extend(filters)
    steps.extend(_privileges(process.get("capabilities"), user))
    steps.append(identity.FindCommand(arguments))
    if not privileged:
        steps.append(identity.NoNewPrivileges())
    steps.append(identity.CloseDescriptors(ready, preserve=preserve))
    steps.append(ready)
    if not privileged:
        steps.extend(filters)
    steps.append(identity.Execute(arguments))
    return steps


def _privileges(wanted: Mapping[str, Any] | None, user: Mapping[str, Any]) -> list[Step]:
    umask = user["umask"] if user.get("umask") is not None else 0o022
    if wanted is None:
        return [identity.SwitchUser(umask)]
    sets = CapabilitySets(
        *(caps.mask(entries(wanted, key)) for key in ("effective", "permitted", "inheritable"))
    )
    # The kernel lets only what is permitted and inheritable be ambient; specs ask for more.
    ambient = caps.mask(entries(wanted, "ambient")) & sets.permitted & sets.inheritable
    return [
        identity.BoundingSet(caps.mask(entries(wanted, "bounding"))),
        identity.SwitchUser(umask),
        identity.Capabilities(sets, ambient),
    ]
