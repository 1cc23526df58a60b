"""The controllers of network packets, v1 only: net_cls and net_prio (cgroup-v1/net_cls.rst)."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.errors import FailedPrecondition
from runtime.formats.spec import entries, section


class Classes:
    """net_cls: marks packets with a class."""

    KEY = "network.classID"

    def needed(self, resources: Mapping[str, Any]) -> Sequence[str]:
        """Return ("net_cls",) if a class is asked for."""
        return ("net_cls",) if section(resources, "network").get("classID") else ()

    def first(self, resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
        """Return v1's write."""
        value = section(resources, "network").get("classID")
        return [Write("net_cls.classid", str(value))] if value else []

    def second(self, _resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
        """Raise: v2 has no such controller, so this is never asked."""
        raise FailedPrecondition("linux.resources.network: is of cgroup v1 alone")


class Priorities:
    """net_prio: priorities by interface."""

    KEY = "network.priorities"

    def needed(self, resources: Mapping[str, Any]) -> Sequence[str]:
        """Return ("net_prio",) if priorities are asked for."""
        return ("net_prio",) if entries(section(resources, "network"), "priorities") else ()

    def first(self, resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
        """Return v1's writes, one each."""
        return [
            Write("net_prio.ifpriomap", f"{each['name']} {each['priority']}")
            for each in entries(section(resources, "network"), "priorities")
        ]

    def second(self, _resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
        """Raise: v2 has no such controller, so this is never asked."""
        raise FailedPrecondition("linux.resources.network: is of cgroup v1 alone")
