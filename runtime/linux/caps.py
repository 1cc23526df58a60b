"""Capabilities by name: the kernel's list, Docker's default set, and sets as bit masks."""

from collections.abc import Iterable, Sequence
from typing import Final

from runtime.errors import InvalidArgument, PermissionDenied
from runtime.formats.capabilities import NAMES
from runtime.linux import constants, syscalls

DEFAULT: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""What a container has unless told otherwise; the same fourteen as Docker's."""

_NUMBERS: Final = {name: number for number, name in enumerate(NAMES)}


def canonical(name: str) -> str:
    """Return a name as the kernel has it: `net_admin` is `CAP_NET_ADMIN`."""
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in _NUMBERS:
        raise InvalidArgument(f"unknown capability: {name!r}")
    return full


def mask(names: Iterable[str]) -> int:
    """Return names as a bit mask; raises `InvalidArgument` for an unknown one."""
    result = 0
    for name in names:
        result |= 1 << _NUMBERS[canonical(name)]
    return result


def names(bits: int) -> tuple[str, ...]:
    """Return a bit mask as names; a bit newer than this list is its number."""
    return tuple(
        NAMES[number] if number < len(NAMES) else f"CAP_{number}"
        for number in range(bits.bit_length())
        if bits >> number & 1
    )


def bounding() -> int:
    """Return the calling thread's bounding set as a bit mask."""
    result = 0
    for number in range(64):
        try:
            held = syscalls.prctl(constants.PR_CAPBSET_READ, number)
        except OSError:  # past the last one that this kernel knows
            break
        result |= held << number
    return result


def choose(add: Sequence[str], drop: Sequence[str], *, available: int) -> tuple[str, ...]:
    """Return the default set, less `drop`, plus `add`, limited to what this process can give.

    ALL stands for every one that is available. One asked for by name that cannot be given raises
    `PermissionDenied`; a default that cannot be given is left out.
    """
    dropped = {each.upper() for each in drop}
    added = {each.upper() for each in add}
    explicit = mask(added - {"ALL"})
    removed = mask(dropped - {"ALL"})
    if missing := explicit & ~available:
        raise PermissionDenied(f"this host cannot give {', '.join(names(missing))}")
    chosen = available if "ALL" in added else mask(DEFAULT) & available
    if "ALL" in dropped:
        chosen = 0
    return names((chosen & ~removed) | explicit)
