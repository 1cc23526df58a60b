"""Block devices' counters of a cgroup: v2's io.stat, v1's blkio.throttle.* files."""

from collections.abc import Mapping

from msgspec import Struct

from runtime.errors import FormatError
from runtime.formats import nested


class IoDevice(Struct, frozen=True, gc=False):
    """One device's counters since the cgroup was made."""

    device: str
    """`major:minor`."""
    read_bytes: int
    write_bytes: int
    read_ops: int
    write_ops: int
    discard_bytes: int = 0
    discard_ops: int = 0
    cost: Mapping[str, int] = {}
    """The cost model's (iocost in cgroup-v2.rst), in microseconds: usage, wait, indebt, indelay."""


_KEYS = ("rbytes", "wbytes", "rios", "wios", "dbytes", "dios")


def parse_stat(data: bytes) -> tuple[IoDevice, ...]:
    """Return `io.stat` (cgroup-v2.rst); a device without counters is left out."""
    devices: list[IoDevice] = []
    for device, counters in nested.parse(data).items():
        _check(device)
        if not counters:
            continue
        rbytes, wbytes, rios, wios, dbytes, dios = (_count(counters.get(key, "0")) for key in _KEYS)
        cost = {
            key.removeprefix("cost."): _count(value)
            for key, value in counters.items()
            if key.startswith("cost.")
        }
        devices.append(IoDevice(device, rbytes, wbytes, rios, wios, dbytes, dios, cost))
    return tuple(devices)


def parse_blkio(data: bytes) -> dict[str, tuple[int, int]]:
    """Return reads and writes by device of a blkio file (cgroup-v1/blkio-controller.rst).

    Its lines are `8:0 Read 4096`, with Write, Sync, Async, Discard and Total besides, and one
    `Total 4096` at the end.
    """
    result: dict[str, tuple[int, int]] = {}
    for line in data.splitlines():
        try:
            words = line.decode("ascii").split()
        except UnicodeDecodeError:
            raise FormatError(f"not a line of a blkio file: {line[:80]!r}") from None
        if len(words) == 2 and words[0] == "Total":
            continue
        if len(words) != 3:
            raise FormatError(f"not a line of a blkio file: {line[:80]!r}")
        device, operation, count = words
        _check(device)
        reads, writes = result.get(device, (0, 0))
        if operation == "Read":
            reads = _count(count)
        elif operation == "Write":
            writes = _count(count)
        result[device] = (reads, writes)
    return result


def join_blkio(
    sizes: Mapping[str, tuple[int, int]], operations: Mapping[str, tuple[int, int]]
) -> tuple[IoDevice, ...]:
    """Return the devices of `io_service_bytes` with their counts of `io_serviced`.

    A device that was never used is left out, as io.stat does.
    """
    devices = (
        IoDevice(device, *sizes.get(device, (0, 0)), *operations.get(device, (0, 0)))
        for device in dict.fromkeys((*sizes, *operations))
    )
    return tuple(
        device
        for device in devices
        if device.read_bytes or device.write_bytes or device.read_ops or device.write_ops
    )


def _check(device: str) -> None:
    major, colon, minor = device.partition(":")
    if not (colon and major.isdigit() and minor.isdigit()):
        raise FormatError(f"not a block device's number: {device[:80]!r}")


def _count(value: str) -> int:
    if not value.isdigit() or len(value) > 20:
        raise FormatError(f"not a count: {value[:80]!r}")
    return int(value)
