"""`cinspect dump`: one frame as JSON."""

import argparse
import asyncio
import gc

from inspector.chain import Chain
from inspector.cli import live, options
from inspector.errors import Failure
from inspector.frame import Frame
from inspector.output import json, stream
from inspector.sampler import Sampler
from inspector.select import narrow, only

_EPILOG = """\
examples:
  cinspect dump --pretty
  cinspect dump --section containers --interval 1
  cinspect dump --section namespaces,network --container web
  cinspect dump --output before.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Print everything that is known of this host at one moment, as JSON (see cinspect schema)."
    )
    parser.epilog = _EPILOG
    options.add_selectors(parser)
    parser.add_argument("--pretty", action="store_true", help="indent, a key a line")
    parser.add_argument(
        "--output", metavar="FILE", default="-", help="write to FILE, whole or not at all"
    )
    parser.add_argument(
        "--interval",
        metavar="S",
        type=options.interval,
        help="take two samples S seconds apart, so that rates are there",
    )


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    # It ends after a frame or two, whose parts are in no cycles: collecting would only cost.
    gc.disable()
    frame = asyncio.run(_frame(args, live.sampler(options.settings(args))))
    stream.write_file(args.output, json.encode(frame, pretty=args.pretty))
    return 0


async def _frame(args: argparse.Namespace, sampler: Sampler) -> Frame:
    wanted = options.sections(args)
    # Who is meant by --container can be told from containers only.
    asked = wanted | {"containers"} if args.container else wanted
    chain = Chain()
    frame = chain.advance(await sampler.sample(asked))
    if args.interval is not None:
        await asyncio.sleep(args.interval)
        frame = chain.advance(await sampler.sample(asked))
    if args.container:
        frame, unknown = narrow(frame, args.container)
        if unknown:
            raise Failure(
                f"there is no container {unknown[0]!r}: see cinspect dump --section containers"
            )
    return only(frame, wanted)
