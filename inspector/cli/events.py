"""`cinspect events`: what happens, as it happens: of shims, engines and the kernel."""

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from inspector.cli import live, options
from inspector.domains.events.model import Event, Identity, identity
from inspector.domains.events.same import Joiner
from inspector.hub import LiveSource
from inspector.journal import Journal
from inspector.output import events as lines
from inspector.output import json, stream
from inspector.query import EventFilter, event_filter

_EPILOG = """\
examples:
  cinspect events                                  new ones, a line of JSON each
  cinspect events --since 10m --no-follow          the last ten minutes, then end
  cinspect events --since 2h --until 1h --no-follow --format text
  cinspect events --filter container=web --filter topic='/tasks/*'
  cinspect events --filter source=shim --filter 'topic!=/tasks/exec-*'
  cinspect events --filter 'topic!=process-*'      all but births and ends of processes
  cinspect events --format text --filter oom --filter '!podman'
  cinspect events --raw                            each source's account, not joined

Docker's `die`, its containerd's exit and the kernel's exit of the process are one event, with the
others' accounts in `seen_by`. What is kept comes from the engines and from the journal below
--root, which root's dashboard, watch and events write: it outlives a reboot.
"""
_INTERVAL: Final = 0.5
"""Seconds between two looks at the kernel; engines' own events have their own times."""
_HOLD: Final = timedelta(seconds=1.0)
"""So long an event waits for those that were before it, and for other accounts of it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Print events as they come: those that shims and engines tell, and those that the kernel "
        "shows (source `kernel`: processes of containers, mounts, cgroups, limits, namespaces, want "
        "of memory)."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--since",
        metavar="WHEN",
        type=_moment,
        help="those kept since then too: 10m ago (10m), or a time (2026-11-24T17:00:00Z)",
    )
    parser.add_argument("--until", metavar="WHEN", type=_moment, help="end with those of that time")
    parser.add_argument("--no-follow", action="store_true", help="print those kept, then end")
    parser.add_argument(
        "--filter",
        metavar="TERM",
        action="append",
        default=[],
        help="source=, topic=, container= (an id or a name), namespace= (* fits anything; != for "
        "all others), a word, or !word",
    )
    parser.add_argument("--format", choices=("json", "text"), default="json")
    parser.add_argument("--raw", action="store_true", help="each source's account of an event")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    wanted = event_filter(args.filter)
    asyncio.run(_print(args, wanted))
    return 0


async def _print(args: argparse.Namespace, wanted: EventFilter) -> None:
    settings = options.settings(args)
    follow = not args.no_follow
    since: datetime | None = args.since
    if since is None and follow:
        since = datetime.now(UTC)
    journal = live.journal(settings)
    printed = _Stream(args, wanted, since=since)
    kept = _kept(journal, since) if args.since is not None or not follow else ()
    source = LiveSource(
        live.sampler(settings, listen=follow),
        sections=("events",),
        interval=_INTERVAL,
        keep_events=0,
        # Who looks once has nothing to add: what engines keep will be kept by who looks for long.
        journal=journal if follow else None,
        raw=True,
    )
    try:
        await _follow(source, printed, kept, forever=follow)
    finally:
        printed.flush()


async def _follow(
    source: LiveSource, printed: "_Stream", kept: Sequence[Event], *, forever: bool
) -> None:
    async with aclosing(source.frames()) as frames:
        async for frame in frames:
            events = frame.events if isinstance(frame.events, tuple) else ()
            printed.add((*kept, *events), now=frame.taken_at)
            kept = ()
            if not forever or printed.ended(frame.taken_at):
                return


def _kept(journal: Journal | None, since: datetime | None) -> Sequence[Event]:
    return journal.read(since) if journal is not None else ()


class _Stream:
    """Puts events in order, joins accounts of the same, and prints those that are wanted."""

    def __init__(
        self, args: argparse.Namespace, wanted: EventFilter, *, since: datetime | None
    ) -> None:
        self._wanted = wanted
        self._style: str = args.format
        self._since = since
        self._until: datetime | None = args.until
        self._joiner = Joiner(keep=100_000, joining=not args.raw)
        self._first = True

    def add(self, events: Iterable[Event], *, now: datetime) -> None:
        """Take events in, and print those that have waited long enough."""
        accepted = [event for event in events if self._within(event)]
        if self._first:
            # Of the past the journal and the engines tell, and some of it both.
            known: dict[Identity, Event] = {}
            for event in accepted:
                known.setdefault(identity(event), event)
            accepted = sorted(known.values(), key=lambda event: event.timestamp)
            self._first = False
        self._joiner.add(accepted)
        self._write(self._joiner.take((now - _HOLD).timestamp()))

    def ended(self, now: datetime) -> bool:
        """Return whether nothing that is wanted can come any more."""
        return self._until is not None and now > self._until + _HOLD

    def flush(self) -> None:
        """Print what waits still."""
        self._write(self._joiner.take())

    def _within(self, event: Event) -> bool:
        if self._since is not None and event.timestamp < self._since:
            return False
        return self._until is None or event.timestamp <= self._until

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            if self._wanted.matches(event):
                stream.write(_encode(event, self._style))


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
