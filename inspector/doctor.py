"""Says what a host supports and what this user may do, each with the reason where it is missing."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from collectors.kernel.cgroups import CgroupsReading
from collectors.kernel.namespaces import TYPES
from collectors.kernel.processes import CAPABILITIES
from collectors.support import Support
from inspector.domains.containers import capabilities
from inspector.domains.engines.model import Engine

_KERNEL: Final = (
    ((5, 2), "cgroup.freeze"),
    ((5, 3), "pidfd_open, clone3"),
    ((5, 7), "clone into a cgroup"),
    ((5, 11), "overlay in user namespaces"),
    ((5, 12), "idmapped mounts"),
    ((5, 14), "cgroup.kill"),
)


class Finding(Struct, frozen=True):
    """One thing that was looked at; `ok` null is "could not be told", and `reason` says why."""

    subject: str
    what: str
    ok: bool | None
    reason: str


def findings(
    support: Support,
    *,
    cgroups: CgroupsReading | None,
    engines: tuple[Engine, ...],
    user: int,
) -> tuple[Finding, ...]:
    """Return everything in the order in which it is shown."""
    return (
        *_kernel(support),
        *_user(support, user),
        *_namespaces(support),
        *_cgroups(support, cgroups),
        *_filesystems(support),
        *_security(support),
        *_engines(engines),
    )


def _kernel(support: Support) -> Iterator[Finding]:
    release = support.texts["release"]
    if release is None:
        yield Finding(
            "kernel", "release", ok=None, reason="/proc/sys/kernel/osrelease cannot be read"
        )
        return
    version = _version(release)
    newer = [what for least, what in _KERNEL if version >= least]
    missing = [f"{what} ({least[0]}.{least[1]})" for least, what in _KERNEL if version < least]
    reason = f"too old for {', '.join(missing)}" if missing else f"has {', '.join(newer)}"
    yield Finding("kernel", f"Linux {release}", not missing, reason)
    pressure = support.texts["pressure"] is not None
    yield Finding(
        "kernel",
        "pressure (PSI)",
        pressure,
        "/proc/pressure is there"
        if pressure
        else "no /proc/pressure: CONFIG_PSI is off, or boot with psi=1",
    )


def _user(support: Support, user: int) -> Iterator[Finding]:
    yield Finding(
        "user",
        "root",
        user == 0,
        "uid 0"
        if user == 0
        else f"uid {user}: other users' namespaces, mounts and counters are hidden; "
        "run, exec and freeze need root",
    )
    effective = support.status.get("CapEff")
    if effective is None:
        yield Finding(
            "user", "capabilities", ok=None, reason="this process's own status cannot be read"
        )
        return
    mask = int(effective, 16)
    names = capabilities.names(mask)
    lacking = [name for name in CAPABILITIES if name not in names]
    if not lacking:
        said = "all of them"
    elif not names:
        said = "none"
    elif len(lacking) <= 10:
        said = f"all but {', '.join(lacking)}"
    else:
        said = ", ".join(names)
    yield Finding("user", "capabilities", "CAP_SYS_ADMIN" in names, said)
    locked = support.status.get("NoNewPrivs") == "1"
    yield Finding(
        "user",
        "may gain privileges",
        not locked,
        "no_new_privs is set on this process: set-user-id programs gain nothing"
        if locked
        else "no_new_privs is off",
    )
    for file in ("subuid", "subgid"):
        if user != 0:
            there = support.texts[file] is not None
            yield Finding(
                "user",
                f"/etc/{file}",
                there,
                "ranges for rootless containers can be listed there"
                if there
                else "no such file: a rootless container gets one id only",
            )


def _namespaces(support: Support) -> Iterator[Finding]:
    for kind in TYPES:
        if kind not in support.namespace_types:
            yield Finding("namespaces", kind, ok=False, reason="this kernel has no such type")
            continue
        limit = support.namespace_limits.get(kind)
        if limit == 0:
            yield Finding(
                "namespaces",
                kind,
                ok=False,
                reason=f"user.max_{kind}_namespaces is 0: none can be made",
            )
            continue
        ok, reason = True, "at most " + (f"{limit:,}" if limit is not None else "an unknown number")
        if kind == "user":
            ok, reason = _user_namespaces(support, reason)
        yield Finding("namespaces", kind, ok, reason)


def _user_namespaces(support: Support, reason: str) -> tuple[bool, str]:
    if support.texts["userns_clone"] == "0":
        return False, "root only: kernel.unprivileged_userns_clone is 0"
    if support.texts["userns_apparmor"] == "1":
        return False, "without capabilities: kernel.apparmor_restrict_unprivileged_userns is 1"
    return True, reason


def _cgroups(support: Support, reading: CgroupsReading | None) -> Iterator[Finding]:
    if reading is None:
        yield Finding("cgroups", "mounted", ok=False, reason="no cgroup hierarchy is mounted")
        return
    places = ", ".join(dict.fromkeys(one.mountpoint for one in reading.hierarchies))
    yield Finding("cgroups", f"mode {reading.mode}", ok=True, reason=places)
    where: dict[str, str] = {}
    for one in reading.hierarchies:
        for controller in one.controllers:
            if not controller.startswith("name="):
                where[controller] = f"version {one.version} at {one.mountpoint}"
    for controller in ("cpu", "cpuacct", "cpuset", "memory", "pids", "io", "blkio", "freezer"):
        found = where.get(controller)
        reason = found or _no_controller(controller, reading.mode)
        if found is not None or reason:
            yield Finding("cgroups", controller, found is not None, reason)
    version2 = any(one.version == 2 for one in reading.hierarchies)
    release = _version(support.texts["release"] or "0")
    for file, least in (("cgroup.freeze", (5, 2)), ("cgroup.kill", (5, 14))):
        ok = version2 and release >= least
        yield Finding(
            "cgroups",
            file,
            ok,
            "on version 2"
            if ok
            else "needs a version 2 hierarchy"
            if not version2
            else f"needs Linux {least[0]}.{least[1]}",
        )


def _no_controller(controller: str, mode: str) -> str:
    """Return why a controller is missing; empty for one that the other version has in its place."""
    if controller in ({"cpuacct", "blkio", "freezer"} if mode == "unified" else {"io"}):
        return ""
    return "in no hierarchy: not built in, disabled at boot, or not delegated to here"


def _filesystems(support: Support) -> Iterator[Finding]:
    listed = support.texts["filesystems"]
    if listed is None:
        yield Finding("filesystems", "overlay", ok=None, reason="/proc/filesystems cannot be read")
        return
    known = {line.split()[-1] for line in listed.splitlines() if line.split()}
    overlay = "overlay" in known
    yield Finding(
        "filesystems",
        "overlay",
        overlay,
        _overlay_options(support)
        if overlay
        else "not in /proc/filesystems: the module is not loaded (modprobe overlay), or not there",
    )
    for name, use in (("tmpfs", "/dev and volumes"), ("fuse", "fuse-overlayfs, rootless engines")):
        yield Finding(
            "filesystems", name, name in known, use if name in known else f"no {use} then"
        )


def _overlay_options(support: Support) -> str:
    options = [
        f"{option}={'on' if value in {'Y', '1'} else 'off' if value in {'N', '0'} else value}"
        for option in ("metacopy", "redirect")
        if (value := support.texts[f"overlay_{option}"]) is not None
    ]
    return f"in /proc/filesystems; by default {', '.join(options)}" if options else "there"


def _security(support: Support) -> Iterator[Finding]:
    actions = support.texts["seccomp_actions"]
    yield Finding(
        "security",
        "seccomp filter",
        actions is not None,
        actions or "no /proc/sys/kernel/seccomp: CONFIG_SECCOMP_FILTER is off",
    )
    notify = actions is not None and "user_notif" in actions
    yield Finding(
        "security", "seccomp user notification", notify, "yes" if notify else "needs Linux 5.0"
    )
    lsm = support.texts["lsm"]
    if lsm is not None:
        labelling = [name for name in lsm.split(",") if name in {"apparmor", "selinux", "smack"}]
        reason = f"active: {lsm}"
        yield Finding("security", "LSM that labels processes", bool(labelling), reason)
    else:
        refused = support.denied.get("/sys/kernel/security/lsm")
        yield Finding(
            "security",
            "LSM that labels processes",
            None,
            f"/sys/kernel/security/lsm: {refused or 'not there (securityfs is not mounted)'}",
        )
    traced = support.texts["ptrace_scope"]
    if traced is not None:
        yield Finding(
            "security",
            "reading other processes",
            traced in {"0", "1"},
            f"yama ptrace_scope {traced}",
        )


def _engines(engines: tuple[Engine, ...]) -> Iterator[Finding]:
    for engine in engines:
        at = f" at {engine.address}" if engine.address else ""
        if engine.reachable:
            number = f"{engine.containers} container{'' if engine.containers == 1 else 's'}"
            yield Finding(
                "engines",
                engine.name,
                ok=True,
                reason=f"{engine.version or 'version unknown'}{at}, {number}",
            )
        elif engine.error is not None:
            yield Finding("engines", engine.name, ok=False, reason=f"found{at}: {engine.error}")
        else:
            yield Finding("engines", engine.name, ok=False, reason=f"not there: nothing{at}")


def _version(release: str) -> tuple[int, int]:
    numbers = [part for part in release.replace("-", ".").split(".") if part.isdigit()]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (0, 0)
