"""Move network devices of the host into a container (config-linux.md, "Network Devices").

They stay there: what becomes of them with the container's network namespace is the kernel's affair,
which gives real devices back to the host and removes those that are none.
"""

import contextlib
import os
import socket
from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

from runtime.errors import AlreadyExists, Internal, InvalidArgument
from runtime.formats.spec import Spec, section
from runtime.linux import constants, netlink, syscalls


class Device(NamedTuple):
    """One device: what it is called here and there, and its addresses."""

    name: str
    inside: str
    addresses: Sequence[netlink.Address]


class Moved:
    """The devices of a container that is being made; `close` at its end, `give_back` before that."""

    def __init__(self, spec: Spec) -> None:
        self._wanted = names(spec)
        self._namespace = self._own = -1
        self._moved: list[Device] = []

    def move(self, pid: int) -> None:
        """Move all into the network namespace of a process, with their addresses, and set them up.

        Raises an error that names the device; those that were moved before can be given back.
        """
        if not self._wanted:
            return
        flags = os.O_RDONLY | os.O_CLOEXEC
        self._own = os.open("/proc/self/ns/net", flags)
        self._namespace = os.open(f"/proc/{pid}/ns/net", flags)
        if os.path.samestat(os.fstat(self._own), os.fstat(self._namespace)):
            raise InvalidArgument("linux.netDevices: the container has the runtime's own network")
        with self._inside():
            for name, inside in self._wanted.items():
                if _index(inside):
                    raise AlreadyExists(
                        f"linux.netDevices.{name}: the container has a device {inside} already"
                    )
        for name, inside in self._wanted.items():
            with _naming(name):
                index = socket.if_nametoindex(name)
                device = Device(name, inside, netlink.addresses(index))
                netlink.move(index, namespace=self._namespace, name=inside)
                self._moved.append(device)
        with self._inside():
            for device in self._moved:
                with _naming(device.name):
                    _set_up(device.inside, device.addresses)

    def give_back(self) -> None:
        """Return what was moved: the container could not be made."""
        for device in reversed(self._moved):
            with self._inside():
                index = _index(device.inside)
                if index:
                    netlink.move(index, namespace=self._own, name=device.name)
            if index:
                _set_up(device.name, device.addresses)
        self._moved.clear()

    def close(self) -> None:
        """Close what holds the namespaces."""
        for descriptor in (self._namespace, self._own):
            if descriptor >= 0:
                os.close(descriptor)
        self._namespace = self._own = -1

    @contextlib.contextmanager
    def _inside(self) -> Generator[None]:
        syscalls.setns(self._namespace, constants.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.setns(self._own, constants.CLONE_NEWNET)


def names(spec: Spec) -> Mapping[str, str]:
    """Return from each device's name to the one it is to have; raises `InvalidArgument`."""
    found: dict[str, str] = {}
    wanted: Mapping[str, Spec | None] = section(section(spec, "linux"), "netDevices")
    for name, properties in wanted.items():
        found[name] = (properties or {}).get("name") or name
    if len(set(found.values())) < len(found):
        raise InvalidArgument("linux.netDevices: two of them get the same name")
    return found


def refuse(spec: Spec) -> None:
    """Raise `InvalidArgument` for a device that is not there, or without a network to put it in."""
    wanted = names(spec)
    kinds = {each["type"] for each in section(spec, "linux").get("namespaces") or ()}
    if wanted and "network" not in kinds:
        raise InvalidArgument("linux.netDevices: needs a network namespace of the container's own")
    for name in wanted:
        if not _index(name):
            raise InvalidArgument(f"linux.netDevices.{name}: this host has no such device")


def _set_up(name: str, addresses: Sequence[netlink.Address]) -> None:
    index = socket.if_nametoindex(name)
    for address in addresses:
        netlink.add_address(index, address)
    netlink.bring_up(index)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


@contextlib.contextmanager
def _naming(name: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Internal(f"linux.netDevices.{name}: {error.strerror}") from error
