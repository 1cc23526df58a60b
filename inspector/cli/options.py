"""What the verbs share: global options, selectors, parsers of sizes and durations, talk on stderr."""

import argparse
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspector.errors import NeedsRoot, ReadOnly
from inspector.output import text
from inspector.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.api import Runtime

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
SECTIONS: Final = (
    "containers",
    "namespaces",
    "cgroups",
    "mounts",
    "processes",
    "network",
    "images",
    "events",
)
"""As `inspector.frame` has them; said again here so that parsing loads no model."""
ON_REQUEST: Final = ("tasks",)
"""Sections that are there only where they are named."""
_SIZE: Final = re.compile(
    r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([kmgtp]?)(i?b)?", re.ASCII | re.IGNORECASE
)
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|us|s|m|h|d)?", re.ASCII)
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps at the terminal's width; told it, argparse does without shutil and its compressors.

    They would be loaded whenever an option is added.
    """

    def __init__(self, prog: str) -> None:
        """Ask for the width."""
        super().__init__(prog, width=_columns() - 2)


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options, with their defaults worked out. Paths are absolute."""

    root: str
    state: str
    host_root: str
    read_only: bool
    log_level: str | None
    log_file: str | None
    color: bool
    """Whether colour is wanted at all; a verb still looks whether stdout is a terminal."""


def add_globals(parser: argparse.ArgumentParser) -> None:
    """Add the global options; a verb that has one of the same name may put its own in its place."""
    group = parser.add_argument_group("global options")
    add = group.add_argument
    hidden = argparse.SUPPRESS  # so that a default after the verb does not undo a value before it
    add("--root", metavar="DIR", dest="global_root", default=hidden, help="persistent data")
    add("--state", metavar="DIR", dest="global_state", default=hidden, help="state until a reboot")
    add(
        "--host-root",
        metavar="DIR",
        dest="global_host_root",
        default=hidden,
        help="read /proc, /sys and the rest below DIR",
    )
    add(
        "--read-only",
        action="store_true",
        dest="global_read_only",
        default=hidden,
        help="refuse every action",
    )
    add("--log-level", choices=LOG_LEVELS, dest="global_log_level", default=hidden)
    add("--log-file", metavar="FILE", dest="global_log_file", default=hidden)
    add(
        "--no-color",
        action="store_true",
        dest="global_no_color",
        default=hidden,
        help="no colour (as NO_COLOR does)",
    )
    add("--version", action="version", version=f"cinspect {VERSION}")


def settings(args: argparse.Namespace) -> Settings:
    """Return the global options of a parsed command line."""
    root, state = _directories()
    return Settings(
        root=os.path.abspath(getattr(args, "global_root", root)),
        state=os.path.abspath(getattr(args, "global_state", state)),
        host_root=os.path.abspath(getattr(args, "global_host_root", "/")),
        read_only=getattr(args, "global_read_only", False),
        log_level=getattr(args, "global_log_level", None),
        log_file=getattr(args, "global_log_file", None),
        color=not (getattr(args, "global_no_color", False) or os.environ.get("NO_COLOR")),
    )


def runtime(args: argparse.Namespace, *, acting: bool = False, root: bool = False) -> "Runtime":
    """Return the embedded engine at the directories asked for.

    With `acting`, raise `ReadOnly` under --read-only; with `root`, raise `NeedsRoot` without it.
    """
    from runtime.api import Runtime  # noqa: PLC0415 - a verb that needs no engine loads none

    chosen = settings(args)
    if acting:
        refuse_read_only(args)
    if root:
        become_root(args)
    return Runtime(root=chosen.root, state=chosen.state)


def refuse_read_only(args: argparse.Namespace) -> None:
    """Raise `ReadOnly` when every action is to be refused."""
    if settings(args).read_only:
        verb: str = getattr(args, "verb", "this")
        raise ReadOnly(f"{verb} changes something, and --read-only forbids it")


def become_root(args: argparse.Namespace) -> None:
    """Go on as root of a user namespace, where this user is not root; the program begins once more.

    Raises `NeedsRoot` where the user cannot have one.
    """
    if os.geteuid() == 0:
        return
    from runtime.api import again_as_root  # noqa: PLC0415 - few users get here
    from runtime.errors import RuntimeFailure  # noqa: PLC0415 - few users get here

    chosen = settings(args)
    try:
        again_as_root(("--root", chosen.root, "--state", chosen.state))
    except RuntimeFailure as failure:
        raise NeedsRoot(
            f"{failure}; {args.verb} needs root: nothing was changed; try it with sudo"
        ) from failure


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """Add `--section` and `--container`, which `dump` and `watch` have in common."""
    parser.add_argument(
        "--section",
        metavar="NAME",
        action="append",
        type=_sections,
        default=[],
        help=f"only this part (again for more): {', '.join(SECTIONS)}; and {', '.join(ON_REQUEST)}, "
        "which is there only when named",
    )
    parser.add_argument(
        "--container",
        metavar="ID",
        action="append",
        default=[],
        help="only what belongs to this container: a name, an id, the beginning of an id",
    )


def sections(args: argparse.Namespace) -> frozenset[str]:
    """Return the sections asked for; all of them when none was named."""
    named: Sequence[Sequence[str]] = args.section
    return frozenset(name for names in named for name in names) or frozenset(SECTIONS)


def size(value: str) -> int:
    """Return bytes: `64m`, `1.5g`, `4096`; k, m, g, t are powers of 1024, as Docker has them."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"not a size: {value!r} (say 64m, 1.5g or bytes)")
    return int(float(match[1]) * 1024 ** _POWER[match[2].lower()])


def duration(value: str) -> float:
    """Return seconds: `500ms`, `2`, `1.5s`, `1h30m`."""
    stripped = value.strip()
    parts = _DURATION.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise argparse.ArgumentTypeError(f"not a duration: {value!r} (say 2, 500ms or 1h30m)")
    if len(parts) > 1 and not all(unit for _, unit in parts):
        raise argparse.ArgumentTypeError(f"a unit is missing in {value!r}")
    return sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)


def interval(value: str) -> float:
    """Return seconds between two samples; shorter than 10 ms is refused: nothing would be left."""
    seconds = duration(value)
    if seconds < 0.01:
        raise argparse.ArgumentTypeError(f"too short: {value!r} (10ms at least)")
    return seconds


def positive(value: str) -> int:
    """Return a whole number above zero."""
    if not (value.isascii() and value.isdigit() and int(value)):
        raise argparse.ArgumentTypeError(f"not a number above zero: {value!r}")
    return int(value)


def talk(message: str) -> None:
    """Say one line on stderr; nothing in it can steer the terminal."""
    print(f"cinspect: {text.printable(message)}", file=sys.stderr)  # noqa: T201 - here it is said


def _sections(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in SECTIONS and name not in ON_REQUEST:
            known = ", ".join((*SECTIONS, *ON_REQUEST))
            raise argparse.ArgumentTypeError(f"{name!r} is none of {known}")
    return names


def _columns() -> int:
    """Return how many columns stdout has, as `shutil.get_terminal_size` does."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


def _directories() -> tuple[str, str]:
    """Return where data and state are by default: the system's, or the user's own (XDG)."""
    if os.geteuid() == 0:
        return "/var/lib/cinspect", "/run/cinspect"
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    runtime_directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if not os.access(runtime_directory, os.W_OK):
        # Not /tmp: there, another user could have made the directory first.
        runtime_directory = os.environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return f"{data}/cinspect", f"{runtime_directory}/cinspect"
