"""Put limits of an OCI spec into the files of one cgroup, and say what the kernel would not take."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from runtime.cgroups import cpu, cpuset, devices, hugetlb, io, memory, network, pids, rdma
from runtime.cgroups.controller import Controller, Reader, Write
from runtime.cgroups.hierarchy import read, write
from runtime.errors import FailedPrecondition, Internal, InvalidArgument

_MODULES: Final[Mapping[str, Controller]] = {
    "memory": memory,
    "cpu": cpu,
    "cpuset": cpuset,
    "pids": pids,
    "io": io,
    "hugetlb": hugetlb,
    "rdma": rdma,
    "net_cls": network.Classes(),
    "net_prio": network.Priorities(),
    "devices": devices,
}
CONTROLLERS: Final = tuple(_MODULES)
"""The controllers that have limits, in the order in which they are set."""


def needed(resources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each controller that the resources cannot do without, with the key that asks for it."""
    for module in _MODULES.values():
        for controller in module.needed(resources):
            yield controller, module.KEY


def apply(controller: str, resources: Mapping[str, Any], *, directory: str, version: int) -> None:
    """Set one controller's limits in a cgroup's directory.

    Raises `InvalidArgument` or `FailedPrecondition` with property, file and the kernel's words.
    """
    module = _MODULES[controller]
    translate = module.first if version == 1 else module.second
    perform(directory, translate(resources, reader(directory)), key=module.KEY)


def reader(directory: str) -> Reader:
    """Return what reads the files of a cgroup."""

    def current(file: str) -> str | None:
        try:
            return read(f"{directory}/{file}").decode()
        except OSError:
            return None

    return current


def perform(directory: str, writes: Sequence[Write], *, key: str) -> None:
    """Write values in turn; `key` is what asks for them, below `linux.resources`."""
    for each in writes:
        path = f"{directory}/{each.file}"
        try:
            write(path, each.value)
        except FileNotFoundError:
            if os.path.exists(path):  # the kernel's ENODEV
                raise InvalidArgument(
                    f"linux.resources.{key}: {path}: there is no device as in {each.value!r}"
                ) from None
            if not each.optional:
                raise FailedPrecondition(
                    f"linux.resources.{key}: {path}: this kernel has no such limit"
                ) from None
        except OSError as error:
            raise _refused(f"linux.resources.{key}: {path}", each, error) from error


def _refused(where: str, failed: Write, error: OSError) -> Exception:
    message = f"{where}: cannot be set to {failed.value!r}: {error.strerror}"
    if error.errno == 16 and failed.file in {
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    }:
        return FailedPrecondition(f"{message}: more memory than that is in use")
    if error.errno in {22, 34}:  # EINVAL, ERANGE
        return InvalidArgument(message)
    return Internal(message)
