"""Options of containers on the command line, named as Docker and Podman name them, and what they mean."""

import argparse
import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NoReturn

from inspector import exit_codes
from inspector.cli import options
from inspector.errors import WrongUsage
from runtime.types import HOST_IMAGE, CgroupManager, ContainerOptions, Resources, Volume

_CPU_RANGES: Final = re.compile(r"[0-9]{1,6}(-[0-9]{1,6})?(,[0-9]{1,6}(-[0-9]{1,6})?)*", re.ASCII)
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", re.ASCII)
_ENV_FILE_LIMIT: Final = 1 << 20
"""Bytes: execve(2) would refuse an environment much smaller than this one."""


def engine_errors(parser: argparse.ArgumentParser) -> None:
    """Let wrong usage end with 125: in `run` and `exec`, 2 may be the command's own status."""

    def error(message: str) -> NoReturn:
        parser.print_usage(sys.stderr)
        parser.exit(exit_codes.ENGINE_FAILED, f"{parser.prog}: error: {message}\n")

    vars(parser)["error"] = error


def add_streams(parser: argparse.ArgumentParser) -> None:
    """Add `-i`, `-t` and `-d`."""
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to it")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    parser.add_argument(
        "-d", "--detach", action="store_true", help="print the id and let it run in the background"
    )


def add_process(parser: argparse.ArgumentParser) -> None:
    """Add what `run` and `exec` have in common of a process: environment, directory, user."""
    parser.add_argument(
        "-e",
        "--env",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a variable; KEY alone takes its value from here",
    )
    parser.add_argument(
        "--env-file", metavar="FILE", action="append", default=[], help="a KEY=VALUE a line"
    )
    parser.add_argument("-w", "--workdir", metavar="DIR", help="its working directory")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="numbers, or names it knows")


def add_resources(parser: argparse.ArgumentParser) -> None:
    """Add the limits."""
    group = parser.add_argument_group("limits")
    add = group.add_argument
    add("-m", "--memory", metavar="SIZE", type=memory, help="as 512m; 0 or -1 is no limit")
    add("--cpus", metavar="N", type=cpus, help="as 0.5; 0 is no limit")
    add("--cpu-shares", metavar="N", type=shares, help="relative weight, 1024 is the usual one")
    add("--cpuset-cpus", metavar="LIST", type=cpuset, help="as 0-3,6")
    add("--pids-limit", metavar="N", type=pids, help="processes and threads; -1 is no limit")


def add_container(parser: argparse.ArgumentParser) -> None:
    """Add what `run` and `create` take, and the image with its command."""
    add = parser.add_argument
    add("--name", help="a name for it; without one it gets two words")
    add_process(parser)
    add("--hostname", type=hostname, metavar="NAME", help="its host name (else the id's beginning)")
    add(
        "-v",
        "--volume",
        metavar="SRC:DST[:ro]",
        type=volume,
        action="append",
        default=[],
        help="a directory or file of this host that it sees at DST",
    )
    add("--rm", action="store_true", help="remove it when it ends")
    add("--label", metavar="KEY=VALUE", action="append", default=[], help="a label of your own")
    add("--network", choices=("none", "host"), default="none", help="none: a loopback of its own")
    add(
        "--read-only",
        action="store_true",
        dest="read_only_rootfs",
        help="mount its root read-only (before the verb: refuse every action)",
    )
    add("--cgroupns", choices=("private", "host"), default="private", help="its cgroup namespace")
    add(
        "--cgroup-manager",
        choices=("cgroupfs", "systemd"),
        help="who makes its cgroups (else $CINSPECT_CGROUP_MANAGER, or as the host does)",
    )
    add("--cap-add", metavar="CAP", action="append", default=[], help="as NET_ADMIN, or ALL")
    add("--cap-drop", metavar="CAP", action="append", default=[], help="as MKNOD, or ALL")
    add("--userns", choices=("host", "auto"), default="host", help="auto: ids of its own")
    add_resources(parser)
    add("--rootfs", metavar="DIR", help="a directory instead of an image; then there is no IMAGE")
    add(
        "rest",
        nargs=argparse.REMAINDER,
        metavar="IMAGE [COMMAND [ARG...]]",
        help=f"{HOST_IMAGE}: this host's own root, under a layer of the container's own",
    )


def container_options(args: argparse.Namespace) -> ContainerOptions:
    """Return what `run` or `create` asked for; raise `WrongUsage` when it makes no sense."""
    image, command = _image_and_command(args)
    return ContainerOptions(
        image=image,
        rootfs=None if args.rootfs is None else os.path.abspath(args.rootfs),
        command=command,
        name=args.name,
        env=environment(args.env, args.env_file, tty=args.tty),
        workdir=workdir(args.workdir) or "/",
        user=args.user or "",
        hostname=args.hostname,
        volumes=tuple(args.volume),
        tty=args.tty,
        interactive=args.interactive,
        auto_remove=args.rm,
        resources=_limits_alone(resources(args)),
        network=args.network,
        read_only=args.read_only_rootfs,
        cgroupns=args.cgroupns,
        cgroup_manager=_cgroup_manager(args),
        cap_add=tuple(capability(name) for name in args.cap_add),
        cap_drop=tuple(capability(name) for name in args.cap_drop),
        userns=args.userns,
        labels=labels(args.label),
    )


def _cgroup_manager(args: argparse.Namespace) -> CgroupManager | None:
    """Return who is to make the cgroups; the environment's word is checked here."""
    match args.cgroup_manager or os.environ.get("CINSPECT_CGROUP_MANAGER") or None:
        case None | "cgroupfs" | "systemd" as known:
            return known
        case name:
            raise WrongUsage(f"CINSPECT_CGROUP_MANAGER: {name!r} is not cgroupfs or systemd")


def resources(args: argparse.Namespace) -> Resources:
    """Return the limits; one that was not given is None."""
    return Resources(
        memory_bytes=args.memory,
        cpus=args.cpus,
        cpu_shares=args.cpu_shares,
        cpuset_cpus=args.cpuset_cpus,
        pids_limit=args.pids_limit,
    )


def command_words(rest: Sequence[str]) -> tuple[str, ...]:
    """Return what follows the options, without the `--` that ended them; raise `WrongUsage`."""
    words = tuple(rest[1:] if rest[:1] == ["--"] else rest)
    for word in words:
        if "\0" in word:
            raise WrongUsage("a NUL byte cannot be in a command's argument")
    return words


def environment(
    pairs: Sequence[str], files: Sequence[str] = (), *, tty: bool = False
) -> tuple[str, ...]:
    """Return `KEY=VALUE`s, files first; a later one of the same name wins; raise `WrongUsage`.

    A name alone takes its value from this process's environment, and is left out if it has none.
    """
    found: dict[str, str] = {"TERM": "xterm"} if tty else {}
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            stripped = line.lstrip()
            if stripped and not stripped.startswith("#"):
                _set(found, stripped, f"{path}, line {number}")
    for pair in pairs:
        _set(found, pair, "--env")
    return tuple(f"{key}={value}" for key, value in found.items())


def labels(pairs: Sequence[str]) -> dict[str, str]:
    """Return labels; `KEY` alone has an empty value; raise `WrongUsage` for one without a key."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if not key:
            raise WrongUsage(f"a label has no name: {pair!r} (say KEY=VALUE)")
        found[key] = value
    return found


def workdir(value: str | None) -> str | None:
    """Return an absolute directory; raise `WrongUsage` for a relative one."""
    if value is not None and not value.startswith("/"):
        raise WrongUsage(f"the working directory {value!r} is not absolute")
    return value


def capability(name: str) -> str:
    """Return a capability as the engine names it, `CAP_NET_ADMIN` or `ALL`; raise `WrongUsage`."""
    upper = name.upper()
    bare = upper.removeprefix("CAP_")
    if not re.fullmatch(r"[A-Z][A-Z_]+", bare, re.ASCII):
        raise WrongUsage(f"not a capability: {name!r} (say NET_ADMIN or ALL)")
    return bare if bare == "ALL" else f"CAP_{bare}"


def volume(value: str) -> Volume:
    """Parse `SRC:DST[:ro|rw]`; both are absolute, or SRC is `.`-relative to here."""
    parts = value.split(":")
    if len(parts) not in {2, 3} or not all(parts):
        raise argparse.ArgumentTypeError(f"not a volume: {value!r} (say SRC:DST or SRC:DST:ro)")
    source, target = parts[0], parts[1]
    modes = parts[2].split(",") if len(parts) == 3 else []
    if unknown := [mode for mode in modes if mode not in {"ro", "rw"}]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no mode of a volume: ro or rw")
    if not target.startswith("/"):
        raise argparse.ArgumentTypeError(f"the container's path {target!r} is not absolute")
    if not source.startswith(("/", "./", "../")) and source not in {".", ".."}:
        raise argparse.ArgumentTypeError(
            f"{source!r} is no path: there are no named volumes, say /path or ./path"
        )
    return Volume(os.path.abspath(source), target, "ro" in modes)


def memory(value: str) -> int:
    """Return bytes, 4096 at least (the kernel's unit is a page); -1 (and 0, as Docker has it) says no limit."""
    if value in {"-1", "0"}:
        return -1
    found = options.size(value)
    if not 4096 <= found < 1 << 63:
        raise argparse.ArgumentTypeError(f"memory of {value!r}: at least 4096 bytes, below 2^63")
    return found


def cpus(value: str) -> float:
    """Return cores; 0 says no limit. The kernel's least quota is 1 ms of a period of 100 ms."""
    try:
        found = float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not a number of cpus: {value!r}") from error
    if found and not (math.isfinite(found) and 0.01 <= found <= 1_000_000):
        raise argparse.ArgumentTypeError(f"cpus of {value!r}: 0.01 at least, or 0 for no limit")
    return found


def shares(value: str) -> int:
    """Return a weight, 2 to 262144 (sched/core.c: MIN_SHARES and MAX_SHARES)."""
    found = options.positive(value)
    if not 2 <= found <= 262144:
        raise argparse.ArgumentTypeError(f"cpu shares of {value!r}: 2 to 262144")
    return found


def cpuset(value: str) -> str:
    """Return a list of cpus, `0-3,6` (cpuset(7), list format)."""
    if not _CPU_RANGES.fullmatch(value):
        raise argparse.ArgumentTypeError(f"not a list of cpus: {value!r} (say 0-3,6)")
    for part in value.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise argparse.ArgumentTypeError(f"not a range of cpus: {part!r}")
    return value


def pids(value: str) -> int:
    """Return how many tasks; -1 (and 0, as Docker has it) says no limit."""
    if value in {"-1", "0"}:
        return -1
    return options.positive(value)


def hostname(value: str) -> str:
    """Return a host name that sethostname(2) takes: 64 bytes at most."""
    if not _HOSTNAME.fullmatch(value):
        raise argparse.ArgumentTypeError(f"not a host name: {value!r}")
    return value


def _image_and_command(args: argparse.Namespace) -> tuple[str | None, tuple[str, ...]]:
    words = command_words(args.rest)
    if args.rootfs is not None:
        if not words:
            raise WrongUsage("there is no command: with --rootfs DIR, say what to run in it")
        return None, words
    if not words:
        raise WrongUsage(f"there is no image: say {HOST_IMAGE} COMMAND, or --rootfs DIR COMMAND")
    return words[0], words[1:]


def _limits_alone(asked: Resources) -> Resources:
    """For a new container "no limit" is the absence of one."""
    return replace(
        asked,
        memory_bytes=None if asked.memory_bytes == -1 else asked.memory_bytes,
        cpus=asked.cpus or None,
        pids_limit=None if asked.pids_limit == -1 else asked.pids_limit,
    )


def _set(found: dict[str, str], pair: str, where: str) -> None:
    key, equals, value = pair.partition("=")
    if not key or "\0" in pair:
        raise WrongUsage(f"{where}: not a variable: {pair!r} (say KEY=VALUE)")
    if equals:
        found[key] = value
    elif key in os.environ:
        found[key] = os.environ[key]
    else:
        found.pop(key, None)


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            data = file.read(_ENV_FILE_LIMIT + 1)
    except OSError as error:
        raise WrongUsage(f"--env-file {path}: {error.strerror}") from error
    if len(data) > _ENV_FILE_LIMIT:
        raise WrongUsage(f"--env-file {path}: over {_ENV_FILE_LIMIT} bytes")
    return os.fsdecode(data).replace("\r\n", "\n").split("\n")
