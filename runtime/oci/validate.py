"""Refuse, before anything is changed, what can never work; the message names the option."""

import os
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import FailedPrecondition, InvalidArgument
from runtime.formats.spec import entries, section
from runtime.linux import caps, constants
from runtime.oci.host import HostFacts, parse_cpus
from runtime.types import ContainerOptions, Resources, Volume

MEMORY_MINIMUM_BYTES: Final = 6 << 20
"""Below it a container cannot even start; Docker's figure."""
_PLACES_OF_THE_KERNEL: Final = ("/proc", "/sys", "/dev")
_MAX_HOSTNAME: Final = 64


def options(given: ContainerOptions, *, host: HostFacts) -> None:
    """Check what `run` and `create` take; raises `InvalidArgument`, `FailedPrecondition`."""
    _texts(given)
    _absolute("--workdir", given.workdir)
    if given.hostname is not None:
        _hostname(given.hostname)
    for name in (*given.cap_add, *given.cap_drop):
        if name.upper() != "ALL":
            caps.canonical(name)
    _volumes(given)
    if given.cgroup_manager == "systemd" and not host.systemd:
        raise FailedPrecondition(
            "--cgroup-manager systemd: systemd is not this host's first process"
        )
    if given.cgroup_manager == "systemd" and host.rootless:
        raise FailedPrecondition(
            "--cgroup-manager systemd: a user's systemd is not asked, only root's"
        )
    if given.userns == "auto" and host.rootless:
        raise FailedPrecondition(
            "--userns auto: without root a container has the user's own ids and subordinate ones"
        )
    limits(given.resources, host=host)


def _texts(given: ContainerOptions) -> None:
    if not given.command or not given.command[0]:
        raise InvalidArgument("there is no command")
    for name, values in (
        ("command", given.command),
        ("--env", given.env),
        ("--user", (given.user,)),
    ):
        if any("\0" in value for value in values):
            raise InvalidArgument(f"{name}: a zero byte cannot be in it")
    for entry in given.env:
        if not entry.partition("=")[0] or "=" not in entry:
            raise InvalidArgument(f"--env: {entry!r} is not KEY=VALUE")


def _volumes(given: ContainerOptions) -> None:
    targets: set[str] = set()
    for each in given.volumes:
        _volume(each)
        target = os.path.normpath(each.target)
        if target in targets:
            raise InvalidArgument(f"--volume: {target} is there twice")
        targets.add(target)


def _absolute(name: str, path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(f"{name}: {path!r} is not an absolute path")


def _hostname(name: str) -> None:
    allowed = all(part.isascii() and part.isprintable() and " " not in part for part in name)
    if not name or len(name) > _MAX_HOSTNAME or not allowed or "/" in name:
        raise InvalidArgument(f"--hostname: {name!r} is not a host name of 1 to 64 characters")


def _volume(volume: Volume) -> None:
    for path in (volume.source, volume.target):
        _absolute("--volume", path)
    target = os.path.normpath(volume.target)
    if target == "/":
        raise InvalidArgument("--volume: the target cannot be /")
    if target in {"/proc", "/sys"} or target.startswith("/proc/"):
        raise InvalidArgument(f"--volume: nothing may be mounted on {target}")
    if not os.path.exists(volume.source):
        raise InvalidArgument(f"--volume: {volume.source} does not exist")


def limits(given: Resources, *, host: HostFacts) -> None:
    """Check limits; raises `InvalidArgument`."""
    memory = given.memory_bytes
    if memory is not None and memory != -1 and memory < MEMORY_MINIMUM_BYTES:
        raise InvalidArgument(f"--memory: {memory} bytes is less than the minimum of 6 MiB")
    if given.cpus is not None and not 0 <= given.cpus <= len(host.cpus):
        raise InvalidArgument(f"--cpus: {given.cpus} is not from 0.01 to {len(host.cpus)}")
    if given.cpus is not None and 0 < given.cpus < 0.01:
        raise InvalidArgument(f"--cpus: {given.cpus} is less than 0.01")
    if given.cpu_shares is not None and not 2 <= given.cpu_shares <= 262144:
        raise InvalidArgument(f"--cpu-shares: {given.cpu_shares} is not from 2 to 262144")
    if given.pids_limit is not None and given.pids_limit < -1:
        raise InvalidArgument(f"--pids-limit: {given.pids_limit} is less than -1")
    if given.cpuset_cpus is not None:
        try:
            wanted = parse_cpus(given.cpuset_cpus)
        except ValueError as error:
            raise InvalidArgument(f"--cpuset-cpus: {error}") from None
        if missing := sorted(wanted - host.cpus):
            raise InvalidArgument(f"--cpuset-cpus: this host has no cpu {missing[0]}")


def spec(given: Mapping[str, Any]) -> None:
    """Check an OCI config.json from elsewhere; raises `InvalidArgument` naming the property."""
    version = given.get("ociVersion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise InvalidArgument(f"ociVersion: {version!r} is not supported; 1.x is")
    if not section(given, "root").get("path"):
        raise InvalidArgument("root.path: is missing")
    process = given.get("process")
    if process is not None:
        _process(process)
    for index, entry in enumerate(entries(given, "mounts")):
        if not isinstance(entry.get("destination"), str) or not entry["destination"]:
            raise InvalidArgument(f"mounts[{index}].destination: is missing")
    _namespaces(section(given, "linux"))


def _process(process: Mapping[str, Any]) -> None:
    if not isinstance(process.get("cwd"), str):
        raise InvalidArgument("process.cwd: is missing")
    _absolute("process.cwd", process["cwd"])
    arguments = entries(process, "args")
    if not arguments:
        raise InvalidArgument("process.args: is empty")
    if not all(isinstance(each, str) and "\0" not in each for each in arguments):
        raise InvalidArgument("process.args: must be texts without zero bytes")
    for kind in section(process, "capabilities"):
        for name in entries(process["capabilities"], kind):
            try:
                caps.canonical(name)
            except InvalidArgument as error:
                raise InvalidArgument(f"process.capabilities.{kind}: {error}") from None


def _namespaces(linux: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for entry in entries(linux, "namespaces"):
        kind = entry.get("type")
        if kind not in constants.NAMESPACES:
            raise InvalidArgument(f"linux.namespaces: the type {kind!r} is unknown")
        if kind in seen:
            raise InvalidArgument(f"linux.namespaces: {kind} is there twice")
        seen.add(kind)
    if (
        "user" in seen
        and not linux.get("uidMappings")
        and not any(
            each.get("path") for each in entries(linux, "namespaces") if each.get("type") == "user"
        )
    ):
        raise InvalidArgument("linux.uidMappings: a new user namespace needs a map")
