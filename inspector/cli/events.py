"""`cinspect events`: what happens, as it happens: of shims, engines and the kernel."""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from inspector.cli import live, options
from inspector.domains.events.model import Event
from inspector.hub import LiveSource
from inspector.output import events as lines
from inspector.output import json, stream
from inspector.query import event_filter
from inspector.sampler import Sampler

_EPILOG = """\
examples:
  cinspect events                                  new ones, a line of JSON each
  cinspect events --since 10m --no-follow          the last ten minutes, then end
  cinspect events --filter container=web --filter topic='/tasks/*'
  cinspect events --format text --filter oom
"""
_INTERVAL = 0.5
"""Seconds between two looks at the kernel; engines' own events have their own times."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Print events as they come: those that shims and engines tell, and those that the kernel "
        "shows (source `kernel`: appeared, gone, frozen, thawed, oom)."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--since",
        metavar="WHEN",
        type=_moment,
        help="those kept since then too: 10m ago (10m), or a time (2026-11-24T17:00:00Z)",
    )
    parser.add_argument("--no-follow", action="store_true", help="print those kept, then end")
    parser.add_argument(
        "--filter",
        metavar="TERM",
        action="append",
        default=[],
        help="source=, topic=, container=, namespace= (* fits anything), or a word",
    )
    parser.add_argument("--format", choices=("json", "text"), default="json")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    wanted = event_filter(args.filter)
    asyncio.run(
        _print(
            args, wanted.matches, live.sampler(options.settings(args), listen=not args.no_follow)
        )
    )
    return 0


async def _print(
    args: argparse.Namespace, wanted: Callable[[Event], bool], sampler: Sampler
) -> None:
    since: datetime | None = args.since
    if since is None and not args.no_follow:
        since = datetime.now(UTC)
    source = LiveSource(sampler, sections=("events",), interval=_INTERVAL, keep_events=0)
    async with aclosing(_events(source, follow=not args.no_follow)) as found:
        async for event in found:
            if (since is None or event.timestamp >= since) and wanted(event):
                stream.write(_encode(event, args.format))


async def _events(source: LiveSource, *, follow: bool) -> AsyncGenerator[Event, None]:
    async with aclosing(source.frames()) as frames:
        async for frame in frames:
            for event in frame.events if isinstance(frame.events, tuple) else ():
                yield event
            if not follow:
                return


def _encode(event: Event, style: str) -> bytes:
    if style == "text":
        return f"{lines.line(event)}\n".encode()
    return json.encode(event)


def _moment(value: str) -> datetime:
    """Return a moment: so long ago, or a time; one without a zone is local."""
    try:
        return datetime.now(UTC) - timedelta(seconds=options.duration(value))
    except (argparse.ArgumentTypeError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"not a time: {value!r} (say 10m, or 2026-11-24T17:00:00Z)"
        ) from None
