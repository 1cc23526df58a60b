"""What systemd's unit for a container is called, and in which cgroup it will be.

systemd.slice(5): `a-b.slice` is below `a.slice`; `-.slice` is the root. The form of cgroupsPath is
the one that engines use with every OCI runtime: `slice:prefix:name`.
"""

import re
from typing import Final, NamedTuple

from runtime.errors import InvalidArgument

_SUFFIX: Final = ".slice"
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+\Z")
_LONGEST: Final = 255  # UNIT_NAME_MAX (systemd.unit(5))
PREFIX: Final = "cinspect-oci"
"""What a scope's name begins with where the spec does not say."""


class Unit(NamedTuple):
    """A container's unit, and the slice that it is in."""

    name: str
    slice: str

    @property
    def is_slice(self) -> bool:
        """Tell whether it is a slice itself, which has no processes of its own."""
        return self.name.endswith(_SUFFIX)

    @property
    def path(self) -> str:
        """Its cgroup's path below systemd's own root."""
        return f"{expand(self.slice)}/{self.name}".replace("//", "/")


def parse(cgroups_path: str | None, container_id: str, *, default_slice: str) -> Unit:
    """Return the unit of a spec's `linux.cgroupsPath`; raises `InvalidArgument` naming it."""
    if not cgroups_path:
        return _checked(Unit(_escape(f"{PREFIX}-{container_id}.scope"), default_slice))
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise InvalidArgument(
            f"linux.cgroupsPath: {cgroups_path!r} is not slice:prefix:name, which systemd needs"
        )
    parent, prefix, name = parts
    if not name:
        raise InvalidArgument(f"linux.cgroupsPath: {cgroups_path!r} names no unit")
    if not name.endswith(_SUFFIX):
        name = f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    return _checked(Unit(_escape(name), parent or default_slice))


def _escape(name: str) -> str:
    """Return a name with the one character in it that a container's may have and a unit's not."""
    return name.replace("+", r"\x2b")


def _checked(unit: Unit) -> Unit:
    if not _UNIT.match(unit.name) or len(unit.name) > _LONGEST:
        raise InvalidArgument(f"linux.cgroupsPath: {unit.name!r} is not the name of a unit")
    if unit.is_slice:
        raise InvalidArgument(
            f"linux.cgroupsPath: {unit.name} is a slice, in which there can be no processes"
        )
    expand(unit.slice)
    return unit


def expand(name: str) -> str:
    """Return a slice's path: `a-b-c.slice` is /a.slice/a-b.slice/a-b-c.slice, `-.slice` is /."""
    if name == "-" + _SUFFIX:
        return "/"
    stem = name.removesuffix(_SUFFIX)
    parts = stem.split("-")
    if stem == name or not all(parts) or not _UNIT.match(name) or len(name) > _LONGEST:
        raise InvalidArgument(f"linux.cgroupsPath: {name!r} is not the name of a slice")
    return "".join(f"/{'-'.join(parts[: index + 1])}{_SUFFIX}" for index in range(len(parts)))
