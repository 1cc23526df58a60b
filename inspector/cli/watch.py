"""`cinspect watch`: a frame a line, at an interval."""

import argparse
import asyncio
from contextlib import aclosing

from inspector.cli import live, options
from inspector.hub import LiveSource
from inspector.journal import Journal
from inspector.output import json, stream
from inspector.sampler import Sampler
from inspector.select import narrow, only

_EPILOG = """\
examples:
  cinspect watch --interval 2 --section containers
  cinspect watch --container web --count 60 > web.ndjson
  cinspect watch --section containers | jq -c '.containers[] | [.name, .resources.cpu.busy_cores]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Print a frame a line, as JSON, until it is interrupted. Rates are there from the second on; "
        "events are those since the frame before."
    )
    parser.epilog = _EPILOG
    options.add_selectors(parser)
    parser.add_argument(
        "--interval", metavar="S", type=options.interval, default=1.0, help="seconds (default 1)"
    )
    parser.add_argument("--count", metavar="N", type=options.positive, help="end after N frames")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    settings = options.settings(args)
    live.allow_descriptors()
    asyncio.run(_watch(args, live.sampler(settings, listen=True), live.journal(settings)))
    return 0


async def _watch(args: argparse.Namespace, sampler: Sampler, journal: Journal | None) -> None:
    wanted = options.sections(args)
    source = LiveSource(
        sampler,
        journal=journal,
        sections=wanted | {"containers"} if args.container else wanted,
        interval=args.interval,
        keep_events=0,
    )
    taken = 0
    async with aclosing(source.frames()) as frames:
        async for frame in frames:
            chosen = narrow(frame, args.container)[0] if args.container else frame
            stream.write(json.encode(only(chosen, wanted)))
            taken += 1
            if taken == args.count:
                return
