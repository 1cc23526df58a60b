"""Tells a container from the name of a cgroup: each engine names them in its own way."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from collectors.formats.pid_cgroup import CgroupEntry

_HEX64: Final = "[0-9a-f]{64}"
_END: Final = r"(?=/|$)"


class Label(NamedTuple):
    """What a cgroup's path says: this id, of this engine; `prefix` is the container's own cgroup."""

    id: str
    engine: str | None
    prefix: str
    pod: str | None = None
    name: str | None = None


class _Pattern(NamedTuple):
    engine: str | None
    regex: re.Pattern[str]


def _pattern(engine: str | None, text: str) -> _Pattern:
    return _Pattern(engine, re.compile(text + _END))


_PATTERNS: Final = (
    _pattern("docker", rf"/docker-(?P<id>{_HEX64})\.scope"),
    _pattern("docker", rf"/docker/(?P<id>{_HEX64})"),
    _pattern("podman", rf"/libpod-(?:payload-)?(?P<id>{_HEX64})(?:\.scope)?"),
    _pattern("containerd", rf"/cri-containerd-(?P<id>{_HEX64})\.scope"),
    _pattern("containerd", rf"[/:]cri-containerd:(?P<id>{_HEX64})"),
    _pattern("cri-o", rf"/crio-(?P<id>{_HEX64})(?:\.scope)?"),
    _pattern("cinspect", r"/cinspect/(?P<id>[0-9a-f]{12,64})"),
    _pattern("cinspect", rf"/cinspect-(?P<id>{_HEX64})\.scope"),
    _pattern("buildkit", r"/buildkit/(?P<id>[0-9a-z]{16,64})"),
    _pattern("runc", r"/runc-(?P<id>[^/]+)\.scope"),
    _pattern("crun", r"/crun-(?P<id>[^/]+)\.scope"),
    _pattern("lxc", r"/lxc\.payload[./](?P<id>[^/]+)"),
    _pattern("lxc", r"/lxc/(?P<id>[^/]+)"),
    _pattern("systemd-nspawn", r"/machine-(?P<id>[^/]+)\.scope"),
    _pattern("systemd-nspawn", r"/systemd-nspawn@(?P<id>[^/]+)\.service"),
    # Of an application there may be several at once: the number, or the uuid, tells them apart.
    _pattern("flatpak", r"/app-flatpak-(?P<id>(?P<name>[^/]+)-[0-9]+)\.scope"),
    _pattern("snap", r"/snap\.(?P<id>(?P<name>[^/]+?)(?:-[0-9a-f-]{36})?)\.(?:scope|service)"),
    # All applications of a snap together: snap-confine makes it itself, in v1's freezer.
    _pattern("snap", r"^/snap\.(?P<id>(?P<name>[a-z0-9][a-z0-9_-]*))"),
    # With a parent of the user's choice (--cgroup-parent) or below kubepods, the id stands alone.
    _pattern(None, rf"/(?P<id>{_HEX64})"),
)
_SUPERVISORS: Final = re.compile(
    r"/(?:libpod-conmon-|crio-conmon-|lxc\.monitor[./]|lxc\.pivot|machine-qemu|conmon(?:/|$)"
    r"|supervisor(?:/|$))"
)
"""Cgroups that look like a container's and hold what runs it, or a virtual machine."""
_POD: Final = re.compile(
    r"/(?:kubepods[^/]*/)?(?:[^/]*-)?pod(?P<uid>[0-9a-f]{8}[-_][0-9a-f_-]{27}|[0-9a-f]{32})"
    r"(?:\.slice)?(?=/|:|$)"
)
_SYSTEMD_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")


def label(entries: Iterable[CgroupEntry]) -> Label | None:
    """Return what a process's cgroups say; of nested containers, the innermost."""
    best: Label | None = None
    for entry in entries:
        found = parse(entry.path)
        if found is not None and (best is None or len(found.prefix) > len(best.prefix)):
            best = found
    return best


@lru_cache(maxsize=8192)  # thousands of processes are in few cgroups
def parse(path: str) -> Label | None:
    """Return what one path says; None for a path that no container engine makes."""
    if len(path) < 4 or _SUPERVISORS.search(path):
        return None
    best: tuple[str | None, re.Match[str]] | None = None
    for engine, regex in _PATTERNS:
        for match in regex.finditer(path):
            if best is None or match.end() > best[1].end():
                best = engine, match
    if best is None:
        return None
    engine, match = best
    prefix = path[: match.end()]
    pod = _POD.search(prefix)
    named = match.groupdict().get("name")
    escaped = engine in {"systemd-nspawn", "flatpak", "snap"}
    return Label(
        id=unescape(match["id"]) if escaped else match["id"],
        engine=engine,
        prefix=prefix,
        pod=pod["uid"].replace("_", "-") if pod else None,
        name=unescape(named) if named else None,
    )


def own_path(path: str, found: Label | None) -> str:
    """Return the container's own part of a path: what is below its cgroup is made inside of it."""
    if found is None:
        return path
    same = parse(path)
    return same.prefix if same is not None and same.id == found.id else path


def service(path: str) -> str | None:
    """Return the systemd service (systemd.service(5)) whose cgroup this is or is in; None for none.

    A user's manager, `user@1000.service`, is the ground that others stand on.
    """
    if ".service" not in path:
        return None
    return next(
        (
            part
            for part in reversed(path.split("/"))
            if part.endswith(".service") and not part.startswith("user@")
        ),
        None,
    )


def unescape(name: str) -> str:
    r"""Return a unit's name part without systemd's escapes: `\x2d` is `-` (systemd.unit(5))."""
    return _SYSTEMD_ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
