"""`cinspect ps`: lists the embedded engine's containers."""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from inspector import exit_codes, units
from inspector.cli import options
from inspector.cli.engine import records, session
from inspector.output import text
from runtime.types import Container

_TITLES = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES")
_SHORT_ID = 12
_SHORT_COMMAND = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "List the containers of the embedded engine that run; `cinspect dump` has those of every "
        "engine.",
        "cinspect ps -a",
        "cinspect rm -f $(cinspect ps -aq)",
        "cinspect ps --format json | jq '.[].name'",
    )
    parser.add_argument("-a", "--all", action="store_true", help="those too that do not run")
    parser.add_argument("-q", "--quiet", action="store_true", help="ids alone")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--no-trunc", action="store_true", help="ids and commands in full")


def run(args: argparse.Namespace) -> int:
    """List them, newest first."""
    engine = options.runtime(args)
    found = session.execute(engine, engine.containers())
    shown = [each for each in reversed(found) if args.all or each.status in {"running", "paused"}]
    if args.quiet:
        for each in shown:
            session.say(each.id if args.no_trunc else each.id[:_SHORT_ID])
    elif args.format == "json":
        session.say(json.dumps([records.container(each) for each in shown], indent=2))
    else:
        now = datetime.now(UTC)
        rows = [row(each, now, full=args.no_trunc) for each in shown]
        for line in table([_TITLES, *rows]):
            session.say(line)
    return exit_codes.DONE


def row(container: Container, now: datetime, *, full: bool) -> tuple[str, ...]:
    """Return one container's cells."""
    command = " ".join(container.command)
    if not full and len(command) > _SHORT_COMMAND:
        command = f"{command[: _SHORT_COMMAND - 1]}…"
    return (
        container.id if full else container.id[:_SHORT_ID],
        container.image or container.rootfs or "",
        f'"{command}"',
        f"{_ago(container.created_at, now)} ago",
        status(container, now),
        container.name,
    )


def status(container: Container, now: datetime) -> str:
    """Return the state in words, as Docker has it."""
    if container.error is not None and container.status != "running":
        return f"Failed: {container.error}"
    match container.status:
        case "created":
            return "Created"
        case "running":
            return f"Up {_ago(container.started_at, now)}"
        case "paused":
            return f"Up {_ago(container.started_at, now)} (Paused)"
        case "stopped":
            if container.exit_code is None:
                return "Exited (unknown)"  # the host went down with it: nobody saw how it ended
            return f"Exited ({container.exit_code}) {_ago(container.finished_at, now)} ago"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines; no cell of them can steer the terminal."""
    safe = [[text.printable(cell) for cell in cells] for cells in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    return [
        "   ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in safe
    ]


def _ago(moment: datetime | None, now: datetime) -> str:
    return "?" if moment is None else units.duration((now - moment).total_seconds())
