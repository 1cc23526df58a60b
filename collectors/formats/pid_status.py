"""/proc/PID/status (proc_pid_status(5)): ids, capabilities, seccomp."""

import re
from typing import NamedTuple

from runtime.errors import FormatError

_LINE = re.compile(
    rb"^(Uid|Gid|NSpid|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):[\t ]*(.*)$",
    re.MULTILINE,
)


class PidStatus(NamedTuple):
    """What the kernel lets a process do; capability sets are bit masks (capabilities(7))."""

    uid: int
    """Effective, as `ps` shows it."""
    gid: int
    namespace_pids: tuple[int, ...]
    """Outermost first; empty before Linux 4.1."""
    cap_inheritable: int
    cap_permitted: int
    cap_effective: int
    cap_bounding: int
    cap_ambient: int
    no_new_privs: bool | None
    seccomp: int | None


def parse(data: bytes) -> PidStatus:
    """Return the fields; a line the kernel is too old to print is None, 0 or empty."""
    fields = dict(_LINE.findall(data))
    try:
        return PidStatus(
            uid=int(fields[b"Uid"].split()[1]),
            gid=int(fields[b"Gid"].split()[1]),
            namespace_pids=tuple(map(int, fields.get(b"NSpid", b"").split())),
            cap_inheritable=_mask(fields[b"CapInh"]),
            cap_permitted=_mask(fields[b"CapPrm"]),
            cap_effective=_mask(fields[b"CapEff"]),
            cap_bounding=_mask(fields[b"CapBnd"]),
            cap_ambient=_mask(fields.get(b"CapAmb", b"0")),
            no_new_privs=_flag(fields.get(b"NoNewPrivs")),
            seccomp=_number(fields.get(b"Seccomp")),
        )
    except (KeyError, IndexError, ValueError):
        raise FormatError(f"not a process's status: {data[:80]!r}") from None


def _mask(field: bytes) -> int:
    if len(field) > 16:
        raise ValueError(field)
    return int(field, 16)


def _number(field: bytes | None) -> int | None:
    return None if field is None else int(field)


def _flag(field: bytes | None) -> bool | None:
    return None if field is None else int(field) != 0
