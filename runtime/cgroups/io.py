"""The controller of block devices: blkio in v1, io in v2 (cgroup-v2.rst, "IO")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.errors import FailedPrecondition
from runtime.formats.spec import entries, section

KEY = "blockIO"
_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("io",) if anything is asked for; the manager knows v1's name of it."""
    return ("io",) if any(section(resources, KEY).values()) else ()


def first(resources: Mapping[str, Any], current: Reader) -> Sequence[Write]:
    """Return v1's writes; weights go to whichever scheduler's file is there."""
    block = section(resources, KEY)
    prefix = "blkio." if current("blkio.weight") is not None else "blkio.bfq."
    writes: list[Write] = []
    if block.get("weight"):
        writes.append(Write(f"{prefix}weight", str(block["weight"])))
    if block.get("leafWeight"):
        writes.append(Write("blkio.leaf_weight", str(block["leafWeight"])))
    for each in entries(block, "weightDevice"):
        device = f"{each['major']}:{each['minor']}"
        if each.get("weight"):
            writes.append(Write(f"{prefix}weight_device", f"{device} {each['weight']}"))
        if each.get("leafWeight"):
            writes.append(Write("blkio.leaf_weight_device", f"{device} {each['leafWeight']}"))
    for key, file, _ in _THROTTLES:
        writes.extend(
            Write(file, f"{each['major']}:{each['minor']} {each['rate']}")
            for each in entries(block, key)
        )
    return writes


def second(resources: Mapping[str, Any], current: Reader) -> Sequence[Write]:
    """Return v2's writes; v1's weights are 10 to 1000, v2's 1 to 10000.

    Raises `FailedPrecondition` for a weight of leaves.
    """
    block = section(resources, KEY)
    if any(each.get("leafWeight") for each in (block, *entries(block, "weightDevice"))):
        raise FailedPrecondition(f"linux.resources.{KEY}.leafWeight: cgroup v2 has none")
    writes: list[Write] = []
    if weight := block.get("weight"):
        if current("io.bfq.weight") is not None:
            writes.append(Write("io.bfq.weight", str(weight)))
        else:
            writes.append(Write("io.weight", str(second_weight(weight))))
    for each in entries(block, "weightDevice"):
        if each.get("weight"):
            device, chosen = f"{each['major']}:{each['minor']}", each["weight"]
            if current("io.bfq.weight") is not None:
                writes.append(Write("io.bfq.weight", f"{device} {chosen}"))
            else:
                writes.append(Write("io.weight", f"{device} {second_weight(chosen)}"))
    for key, _, name in _THROTTLES:
        writes.extend(
            Write("io.max", f"{each['major']}:{each['minor']} {name}={each['rate']}")
            for each in entries(block, key)
        )
    return writes


def second_weight(first: int) -> int:
    """Return v1's weight (10 to 1000) as v2's (1 to 10000)."""
    return 1 + (first - 10) * 9999 // 990
