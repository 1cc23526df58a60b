"""The controller of huge pages (cgroup-v1/hugetlb.rst; cgroup-v2.rst, "HugeTLB")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import entries

KEY = "hugepageLimits"


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("hugetlb",) if a limit is asked for."""
    return ("hugetlb",) if resources.get(KEY) else ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return v1's writes, by page size as `2MB`."""
    return [
        Write(f"hugetlb.{each['pageSize']}.limit_in_bytes", str(each["limit"]))
        for each in entries(resources, KEY)
    ]


def second(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return v2's writes."""
    return [
        Write(f"hugetlb.{each['pageSize']}.max", str(each["limit"]))
        for each in entries(resources, KEY)
    ]
