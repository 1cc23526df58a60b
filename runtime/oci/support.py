"""Refuse what a spec asks for and this host cannot do, before anything is changed."""

import os
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import FailedPrecondition
from runtime.formats.spec import Spec, entries, section
from runtime.linux import caps, constants, syscalls

_SIZES: Final = {"KB": 1, "MB": 1 << 10, "GB": 1 << 20}


def refuse(spec: Spec) -> None:
    """Raise `FailedPrecondition`, or `InvalidArgument`, naming the first property that cannot be.

    The limits of cgroups are not looked at: `cgroups.manager` does that, before it makes any.
    """
    linux = section(spec, "linux")
    process(section(spec, "process"), "process.")
    if not any(each["type"] == "user" for each in entries(linux, "namespaces")):
        _capabilities(section(section(spec, "process"), "capabilities"))
    for index, each in enumerate(entries(linux, "namespaces")):
        if not os.path.exists(f"/proc/self/ns/{constants.NAMESPACE_FILES[each['type']]}"):
            raise FailedPrecondition(
                f"linux.namespaces[{index}].type: this kernel has no {each['type']} namespaces"
            )
    if linux.get("mountLabel"):
        from runtime.init import joining  # noqa: PLC0415 - few containers need it

        joining.SELINUX.need("linux.mountLabel", linux["mountLabel"])
    if linux.get("memoryPolicy") and not os.path.exists("/sys/devices/system/node"):
        raise FailedPrecondition("linux.memoryPolicy: this kernel has no memory nodes")
    _huge_pages(section(linux, "resources"))
    _network(linux)
    if linux.get("netDevices"):
        from runtime.init import devices  # noqa: PLC0415 - few containers need it

        devices.refuse(spec)


def process(value: Mapping[str, Any], prefix: str) -> None:
    """The same for a process alone; `prefix` is what stands before the names of its properties."""
    for key, name in (("apparmorProfile", "APPARMOR"), ("selinuxLabel", "SELINUX")):
        if value.get(key):
            from runtime.init import joining  # noqa: PLC0415 - as above

            getattr(joining, name).need(f"{prefix}{key}", value[key])


def _capabilities(wanted: Spec) -> None:
    """Refuse what the host does not have to give; a user namespace has all of its own."""
    held = syscalls.capget().permitted
    for kind in ("effective", "permitted"):
        if missing := caps.mask(entries(wanted, kind)) & ~held:
            raise FailedPrecondition(
                f"process.capabilities.{kind}: this host cannot give "
                f"{', '.join(caps.names(missing))}"
            )


def _network(linux: Spec) -> None:
    """Refuse parameters of a network that is called the container's own, and is this one."""
    for each in entries(linux, "namespaces"):
        path = each.get("path")
        named = [key for key in section(linux, "sysctl") if key.startswith("net")]
        if each["type"] != "network" or not path or not named or not os.path.exists(path):
            continue
        if os.path.samestat(os.stat(path), os.stat("/proc/self/ns/net")):
            raise FailedPrecondition(f"linux.sysctl.{named[0]}: the network is the runtime's own")


def _huge_pages(resources: Spec) -> None:
    for index, each in enumerate(entries(resources, "hugepageLimits")):
        size = each["pageSize"]
        kilobytes = int(size[:-2]) * _SIZES[size[-2:]]
        if not os.path.exists(f"/sys/kernel/mm/hugepages/hugepages-{kilobytes}kB"):
            raise FailedPrecondition(
                f"linux.resources.hugepageLimits[{index}].pageSize: this kernel has no pages of "
                f"{size}"
            )
