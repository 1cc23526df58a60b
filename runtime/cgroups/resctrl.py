"""Intel's Resource Director Technology: a container's class of service, a group of resctrl.

config-linux.md, "IntelRdt"; the kernel's Documentation/arch/x86/resctrl.rst.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from runtime.cgroups import tree
from runtime.cgroups.hierarchy import read, write
from runtime.errors import FailedPrecondition, Internal, InvalidArgument, PermissionDenied
from runtime.formats import mountinfo

_KEY: Final = "linux.intelRdt"
_TAKEN: Final = {"", ".", "..", "info", "mon_groups", "mon_data"}
"""Names in the filesystem's root that are no group's."""
_EVENTS: Final = {
    "enableCMT": ("llc_occupancy",),
    "enableMBM": ("mbm_total_bytes", "mbm_local_bytes"),
    "enableMonitoring": (),
}
"""What each kind of monitoring counts, by the kernel's names."""


class Group(NamedTuple):
    """A container's class of service."""

    directory: str
    monitor: str = ""
    """The group below it that counts for this container alone; empty without one."""
    made: bool = False
    """Whether it is made for the container, and is removed with it if nobody else is in it."""

    def entries(self) -> tuple[str, ...]:
        """Return the files by which a process enters, in their order."""
        return tuple(f"{each}/tasks" for each in (self.directory, self.monitor) if each)

    def create(self, wanted: Mapping[str, Any]) -> None:
        """Make what is not there yet; whatever fails leaves nothing of it."""
        if self.made:
            _make(self.directory)
        try:
            if self.made:
                self.change(wanted)
            if self.monitor:
                _make(self.monitor)
        except BaseException:
            self.remove()
            raise

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Write the schemas; raises `InvalidArgument` with the kernel's words."""
        # What the property `schemata` says may be about the same caches: it is written last.
        for lines in (schemata({**wanted, "schemata": None}), wanted.get("schemata") or ()):
            try:
                if lines:
                    write(f"{self.directory}/schemata", "".join(f"{line}\n" for line in lines))
            except OSError as error:
                told = " ".join(_lines(f"{mountpoint()}/info/last_cmd_status"))
                words = f"{' '.join(lines)}: {told or error.strerror}"
                raise InvalidArgument(f"{_KEY}: {words}") from error

    def remove(self) -> None:
        """Remove what was made, but for a class that others are in."""
        if self.monitor:
            tree.remove_one(self.monitor)
        try:
            free = self.made and not _lines(f"{self.directory}/tasks")
        except FileNotFoundError:
            return
        if free:
            tree.remove_one(self.directory)
            if os.path.isdir(self.directory):
                raise Internal(f"{self.directory}: cannot be removed")

    def describe(self) -> dict[str, Any]:
        """Return what a group allows and uses, by runc's names (`intel_rdt` of its events)."""
        root = mountpoint()
        found: dict[str, Any] = {}
        if root is None:
            return found
        for resource, part in (("L3", "l3_cache"), ("MB", "mem_bw")):
            if info := _info(f"{root}/info/{resource}"):
                found[f"{part}_info"] = info
            for where, key in ((root, f"{part}_schema_root"), (self.directory, f"{part}_schema")):
                if line := next(_starting(f"{where}/schemata", f"{resource}:"), ""):
                    found[key] = line
        counted = list(_counted(f"{self.monitor or self.directory}/mon_data"))
        for key, names in (
            ("mbm_stats", _EVENTS["enableMBM"]),
            ("cmt_stats", _EVENTS["enableCMT"]),
        ):
            rows = [{name: each[name] for name in names if name in each} for each in counted]
            if any(rows):
                found[key] = rows
        return found


def mountpoint() -> str | None:
    """Return where the filesystem is mounted; None if nowhere."""
    found = mountinfo.parse(read("/proc/self/mountinfo"))
    return next((each.mountpoint for each in found if each.fstype == "resctrl"), None)


def plan(wanted: Mapping[str, Any], container_id: str) -> Group:
    """Return the group that an OCI `linux.intelRdt` asks for; nothing is changed yet.

    Raises `InvalidArgument` or `FailedPrecondition` naming the property that cannot be.
    """
    lines = schemata(wanted)
    name = wanted.get("closID") or container_id
    if name != "/" and ("/" in name or "\n" in name or name in _TAKEN):
        raise InvalidArgument(f"{_KEY}.closID: {name!r} is not the name of a group")
    root = mountpoint()
    if root is None:
        raise FailedPrecondition(f"{_KEY}: no resctrl filesystem is mounted on this host")
    directory = root if name == "/" else f"{root}/{name}"
    there = os.path.isdir(directory)
    if there and not wanted.get("closID"):
        raise FailedPrecondition(f"{_KEY}: {directory} is there already, and may be another's")
    if not there and wanted.get("closID") and not lines:
        raise FailedPrecondition(f"{_KEY}.closID: there is no {directory}, and no schema for it")
    if there and lines:
        _compare(directory, lines)
    asked = [key for key in _EVENTS if wanted.get(key)]
    for key in asked:
        _check_events(root, key)
    return Group(
        directory, f"{directory}/mon_groups/{container_id}" if asked else "", made=not there
    )


def schemata(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines for a group's `schemata`, those of the property `schemata` last.

    Raises `InvalidArgument` for what is none.
    """
    cache = (wanted.get("l3CacheSchema") or "").split("\n")
    lines = [("l3CacheSchema", each) for each in cache if each and not each.startswith("MB:")]
    if bandwidth := wanted.get("memBwSchema"):
        if not bandwidth.startswith("MB:") or "\n" in bandwidth:
            raise InvalidArgument(f"{_KEY}.memBwSchema: {bandwidth!r} is not one line of MB:")
        lines.append(("memBwSchema", bandwidth))
    lines.extend(("schemata", each) for each in wanted.get("schemata") or ())
    for key, line in lines:
        try:
            parsed(line)
        except ValueError:
            raise InvalidArgument(f"{_KEY}.{key}: {line!r} is not a line of a schema") from None
    return tuple(line for _, line in lines)


def parsed(line: str) -> tuple[str, dict[int, int]]:
    """Return a line's resource and its values by domain, as `L3:0=7ff;1=1f`; raises ValueError.

    Bandwidths are decimal, masks of caches hexadecimal.
    """
    resource, colon, rest = line.strip().partition(":")
    if not colon or not resource or not resource.isalnum() or "\n" in rest:
        raise ValueError(line)
    base = 10 if resource.startswith(("MB", "SMBA")) else 16
    pairs = (each.partition("=") for each in rest.strip().split(";"))
    return resource, {int(domain): int(value, base) for domain, _, value in pairs}


def _compare(directory: str, lines: Sequence[str]) -> None:
    held = dict(map(parsed, _lines(f"{directory}/schemata")))
    for line in lines:
        resource, values = parsed(line)
        if not values.items() <= held.get(resource, {}).items():
            raise FailedPrecondition(
                f"{_KEY}.closID: {directory} is there already, and its schemata are not {line}"
            )


def _check_events(root: str, key: str) -> None:
    try:
        counted = _lines(f"{root}/info/L3_MON/mon_features")
    except FileNotFoundError:
        counted = []
    if not counted or not set(_EVENTS[key]) <= set(counted):
        raise FailedPrecondition(f"{_KEY}.{key}: this host does not count that")


def _make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        raise FailedPrecondition(f"{_KEY}: {directory} is there already") from None
    except PermissionError as error:
        raise PermissionDenied(f"{_KEY}: {directory}: {error.strerror}") from error
    except OSError as error:  # ENOSPC: the hardware has no class or monitor left
        raise FailedPrecondition(f"{_KEY}: {directory}: {error.strerror}") from error


def _info(directory: str) -> dict[str, Any]:
    """Return the numbers of a resource; masks as the hexadecimal text that they are."""
    found: dict[str, Any] = {}
    names = ("cbm_mask", "min_cbm_bits", "num_closids")
    for name in (*names, "bandwidth_gran", "delay_linear", "min_bandwidth"):
        try:
            (text,) = _lines(f"{directory}/{name}")
        except (OSError, ValueError):
            continue
        found[name] = text if name == "cbm_mask" else int(text)
    return found


def _counted(directory: str) -> Iterator[dict[str, int]]:
    """Yield the counters of each L3 cache, of which a machine has one or more."""
    try:
        domains = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for domain in domains:
        found: dict[str, int] = {}
        for name in (*_EVENTS["enableCMT"], *_EVENTS["enableMBM"]):
            try:
                found[name] = int(read(f"{directory}/{domain}/{name}"))
            except (OSError, ValueError):  # not counted here, or "Unavailable" for the moment
                continue
        yield found


def _starting(path: str, start: str) -> Iterator[str]:
    return (line for line in _lines(path) if line.startswith(start))


def _lines(path: str) -> list[str]:
    return [each.strip() for each in read(path).decode().splitlines() if each.strip()]
