"""From an OCI spec to the list of steps that make it true; nothing is done or looked at here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.errors import InvalidArgument
from runtime.formats.spec import Spec, entries, section
from runtime.init import (
    attributes,
    hardening,
    hooks,
    identity,
    joining,
    layout,
    namespaces,
    procfs,
)
from runtime.init.job import SIBLING, Filter, Hierarchies, Identity, Job, Manner
from runtime.init.ready import Park, Ready
from runtime.init.step import Step
from runtime.linux import caps
from runtime.linux.syscalls import CapabilitySets

__all__ = ["SIBLING", "Filter", "Identity", "Job", "Manner", "become", "create", "enter", "of"]

_UNLIMITED: Final = (1 << 64) - 1


_USUAL: Final = Manner()


def of(job: Job, spec: Spec) -> list[Step]:
    """Return the steps of a container's init."""
    return create(
        spec,
        rootfs=job.rootfs,
        hierarchies=job.hierarchies,
        seccomp=job.seccomp,
        who=job.who,
        manner=job.manner,
    )


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
    steps: list[Step] = [joining.EnterCgroups()]
    if "user" in wanted.new:
        steps.append(joining.AwaitIdMap())
    steps.extend(
        joining.JoinNamespace(kind, path)
        for kind, path in wanted.joined.items()
        if kind not in {"pid", "user"}
    )
    early, late = _split_limits(process, "user" in wanted.joined)
    steps.extend(early)
    steps.extend(_oom_score(process))
    steps.extend(attributes.of(spec, process))
    steps.extend(_last_namespaces(wanted))
    if manner.keyring:
        steps.append(joining.Keyring(keyring(who.container_id)))
    steps.extend(_names(spec, wanted))
    told = hooks.state(
        spec, container_id=who.container_id, bundle=who.bundle, pid=0, status="created"
    )
    labels = _labels(process)
    sysctls = _sysctls(spec)
    if labels or sysctls:
        steps.append(procfs.OpenProcfs())
    pivot = hardening.PivotRoot() if manner.pivot else hardening.MoveRoot()
    steps.extend(layout.plan(spec, rootfs=rootfs, hierarchies=hierarchies, pivot=pivot))
    place = steps.index(pivot)
    steps[place:place] = _hooks(spec, told)
    terminal = bool(process.get("terminal"))
    steps.append(_terminal(process, console=True) if terminal else identity.Streams())
    steps.extend(sysctls)
    steps.extend(_hardening(spec))
    ready = Ready(wait=True) if manner.park is None else Park(manner.park)
    before: list[Step] = [*labels, *([] if "user" in wanted.new else late)]
    if section(spec, "root").get("readonly"):
        before.insert(0, hardening.ReadonlyRoot())
    steps.extend(
        become(
            process,
            seccomp=seccomp,
            ready=ready,
            preserve=manner.preserve,
            before=before,
        )
    )
    if found := hooks.of(spec, "startContainer"):
        steps.insert(steps.index(ready) + 1, hooks.ContainerHooks("startContainer", found, told))
    return steps


def _last_namespaces(wanted: namespaces.Namespaces) -> list[Step]:
    """Return the steps into those that the process can enter only after all else."""
    steps: list[Step] = []
    if "user" in wanted.joined:
        path, pid_path = wanted.joined["user"], wanted.joined.get("pid")
        steps.append(joining.JoinUser(path, flags=wanted.clone_flags, pid_path=pid_path))
    if "cgroup" in wanted.new:
        steps.append(joining.PrivateCgroups())
    return steps


def keyring(container_id: str) -> str:
    """Return the name of a container's session keyring."""
    return f"_ses.{container_id}"


def _hooks(spec: Spec, told: hooks.State) -> list[Step]:
    """Return the steps before the pivot: what the parent does there, then the container's hooks."""
    if not spec.get("hooks") and not section(spec, "linux").get("netDevices"):
        return []
    steps: list[Step] = [hooks.RuntimeHooks()]
    if early := hooks.of(spec, "createContainer"):
        creating = {**told, "status": "creating"}
        steps.append(hooks.ContainerHooks("createContainer", early, creating))
    return steps


def enter(
    process: Spec,
    spec: Spec,
    *,
    joined: Step,
    seccomp: Filter | None,
    name: str,
    manner: Manner = _USUAL,
) -> list[Step]:
    """Return the steps of one more process; `joined` is the step that enters the namespaces."""
    affinity = section(process, "execCPUAffinity")
    steps: list[Step] = [
        *_affinity(affinity, "initial"),
        joining.EnterCgroups(),
        *_affinity(affinity, "final"),
    ]
    owned = {"user"} & {each["type"] for each in entries(section(spec, "linux"), "namespaces")}
    early, late = _split_limits(process, bool(owned))
    steps.extend((*early, *_oom_score(process), *attributes.of(spec, process)))
    labels = _labels(process)
    if labels:
        steps.append(procfs.OpenProcfs())
    steps.append(joined)
    if manner.keyring:
        steps.append(joining.Keyring(name))
    if process.get("terminal"):
        steps.append(_terminal(process, console=False))
    else:
        steps.append(identity.Streams())
    steps.extend(
        become(
            process,
            seccomp=seccomp,
            ready=Ready(wait=False),
            preserve=manner.preserve,
            before=[*labels, *late],
        )
    )
    return steps


def _affinity(wanted: Spec, when: str) -> list[Step]:
    key = f"process.execCPUAffinity.{when}"
    return [attributes.CpuAffinity(wanted[when], key)] if wanted.get(when) else []


def _names(spec: Spec, wanted: namespaces.Namespaces) -> list[Step]:
    steps: list[Step] = [joining.Loopback()] if "network" in wanted.new else []
    hostname, domainname = spec.get("hostname") or "", spec.get("domainname") or ""
    if not hostname and not domainname:
        return steps
    if "uts" not in wanted.new and "uts" not in wanted.joined:
        raise InvalidArgument("hostname: needs a uts namespace of the container's own")
    return [*steps, joining.Names(hostname, domainname)]


def rlimits(process: Spec) -> list[joining.Rlimit]:
    """Return the limits of a process; in a new user namespace its parent must set them."""
    return [
        joining.Rlimit(each["type"], min(each["soft"], _UNLIMITED), min(each["hard"], _UNLIMITED))
        for each in entries(process, "rlimits")
    ]


def _split_limits(process: Spec, owned: bool) -> tuple[Sequence[Step], Sequence[Step]]:  # noqa: FBT001 - its subject
    """Return the limits to be set early and late.

    Late, so that they are no limits of the setting up; but early if a user namespace that is joined
    is in the way, in which nothing may raise one.
    """
    steps = rlimits(process)
    return (steps, []) if owned else ([], steps)


def _oom_score(process: Spec) -> list[Step]:
    value = process.get("oomScoreAdj")
    return [] if value is None else [joining.OomScore(value)]


def _labels(process: Spec) -> list[Step]:
    modules = (("apparmorProfile", joining.APPARMOR), ("selinuxLabel", joining.SELINUX))
    return [
        joining.Label(module, f"process.{key}", process[key])
        for key, module in modules
        if process.get(key)
    ]


def _sysctls(spec: Spec) -> list[Step]:
    parameters = section(section(spec, "linux"), "sysctl")
    return [hardening.Sysctl(key, str(value)) for key, value in sorted(parameters.items())]


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
    confined = bool(process.get("noNewPrivileges"))
    # Without no_new_privs, loading a filter needs a capability: it is kept until then.
    kept = caps.mask(("CAP_SYS_ADMIN",)) if seccomp and not confined else 0
    steps.extend(_privileges(process.get("capabilities"), user, kept=kept))
    steps.append(identity.FindCommand(arguments))
    if confined:
        steps.append(identity.NoNewPrivileges())
    late: list[Step] = [identity.Seccomp(*seccomp, kept)] if seccomp else []
    if seccomp and seccomp.listens:  # the parent must be there to take the listener
        steps.extend(late)
        late = []
    steps.extend((identity.CloseDescriptors(ready, preserve=preserve), ready, *late))
    steps.append(identity.Execute(arguments))
    return steps


def _privileges(
    wanted: Mapping[str, Any] | None, user: Mapping[str, Any], *, kept: int
) -> list[Step]:
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
        identity.Capabilities(sets, ambient, kept=kept),
    ]
