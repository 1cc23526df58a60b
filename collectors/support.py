"""Reads what the kernel supports and what this process may do, without trying anything out."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from collectors.errors import CollectError, Denied, Missing
from collectors.kernel.namespaces import TYPES
from collectors.root import Root

_FILES: Final = {
    "filesystems": "proc/filesystems",
    "seccomp_actions": "proc/sys/kernel/seccomp/actions_avail",
    "lsm": "sys/kernel/security/lsm",
    "apparmor": "sys/module/apparmor/parameters/enabled",
    "selinux": "sys/fs/selinux/enforce",
    "userns_clone": "proc/sys/kernel/unprivileged_userns_clone",
    "userns_apparmor": "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "pressure": "proc/pressure/cpu",
    "release": "proc/sys/kernel/osrelease",
    "bpf_disabled": "proc/sys/kernel/unprivileged_bpf_disabled",
    "ptrace_scope": "proc/sys/kernel/yama/ptrace_scope",
    "overlay_metacopy": "sys/module/overlay/parameters/metacopy",
    "overlay_redirect": "sys/module/overlay/parameters/redirect_dir",
    "cgroup_features": "sys/kernel/cgroup/features",
    "comm_of_1": "proc/1/comm",
    "pid_max": "proc/sys/kernel/pid_max",
    "subuid": "etc/subuid",
    "subgid": "etc/subgid",
}


class Support(Struct, frozen=True, kw_only=True):
    """Texts of files by a short name; None where there is no such file."""

    texts: Mapping[str, str | None]
    denied: Mapping[str, str]
    """Files that are there and may not be read, with the reason."""
    namespace_types: tuple[str, ...]
    """Those that /proc/self/ns (or, in a recorded tree, /proc/1/ns) has."""
    namespace_limits: Mapping[str, int | None]
    """user.max_*_namespaces (namespaces(7)); 0 forbids them."""
    status: Mapping[str, str]
    """This process's own status lines; empty in a recorded tree."""


def read(root: Root) -> Support:
    """Read it all; nothing of it raises."""
    denied: dict[str, str] = {}
    texts = {name: _text(root, path, denied) for name, path in _FILES.items()}
    process = "self" if root.live else "1"
    status = _text(root, "proc/self/status", denied) if root.live else None
    return Support(
        texts=texts,
        denied=denied,
        namespace_types=_types(root, process),
        namespace_limits={kind: _limit(root, kind, denied) for kind in TYPES},
        status={
            key: value.strip()
            for key, _, value in (line.partition(":") for line in (status or "").splitlines())
        },
    )


def exists(root: Root, name: str) -> bool:
    """Return whether there is such a file; one that may not be looked at counts as there."""
    try:
        root.names(name)
    except Missing:
        return _text(root, name, {}) is not None
    except CollectError:
        return True
    return True


def _types(root: Root, process: str) -> tuple[str, ...]:
    try:
        names = set(root.names(f"proc/{process}/ns"))
    except CollectError:
        return ()
    return tuple(kind for kind in TYPES if kind in names)


def _limit(root: Root, name: str, denied: dict[str, str]) -> int | None:
    value = _text(root, f"proc/sys/user/max_{name}_namespaces", denied)
    return int(value) if value is not None and value.isdigit() else None


def _text(root: Root, name: str, denied: dict[str, str]) -> str | None:
    try:
        return root.read(name).decode("utf-8", "backslashreplace").strip()
    except Denied as error:
        denied[error.path] = error.message
    except CollectError:
        return None
    return None
