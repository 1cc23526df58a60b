"""`cinspect cat`: prints a file of a container, as it is or as one layer has it, without executing anything."""

import argparse
import os
import sys

from collectors.errors import CollectError
from collectors.inside import read
from collectors.root import Root
from inspector import exit_codes, units
from inspector.cli import found, options
from inspector.cli.engine import session
from inspector.errors import Failure
from inspector.layers import places
from inspector.output import text

_LIMIT = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Print a regular file of a container, of any engine or none, running or stopped. Nothing is "
        "executed in it, and no link of it leads out of it. On a terminal what could steer the "
        "terminal is shown as an escape; into a file or a pipe the bytes go as they are.",
        "cinspect cat web /etc/hosts",
        "cinspect cat web /etc/passwd --layer 2      as lower layer 2 has it",
        "cinspect cat web /usr/bin/tool > tool",
    )
    session.add_references(parser, many=False)
    parser.add_argument("path", metavar="PATH", help="a path as the container has it")
    parser.add_argument(
        "--layer", metavar="N", help="of this layer alone: upper, or 0 for the uppermost lower one"
    )
    parser.add_argument(
        "--limit", metavar="SIZE", type=options.size, default=_LIMIT, help="most bytes (64m)"
    )
    parser.add_argument("--raw", action="store_true", help="bytes as they are, on a terminal too")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    root = Root(options.settings(args).host_root)
    container = found.container(args, args.container)
    where = f"{container.name}:{args.path}"
    with places.opened(root, container, args.path, args.layer) as fd:
        size = os.fstat(fd).st_size
        if size > args.limit:
            raise Failure(f"{where}: it has {units.size(size)}: --limit {units.size(size + 1024)}")
        try:
            # A file without a length, as those of /proc, may have more than anybody wants.
            data = read(fd, args.path, args.limit + 1)
        except CollectError as error:
            raise Failure(f"{where}: {error.message}") from error
    if len(data) > args.limit:
        raise Failure(f"{where}: it has more than {units.size(args.limit)}: see --limit")
    if sys.stdout.isatty() and not args.raw:
        sys.stdout.write(shown(data))
    else:
        sys.stdout.buffer.write(data)
    return exit_codes.DONE


def shown(data: bytes) -> str:
    """Return a file's text for a terminal: lines and tabs stay, everything else is escaped."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return "\n".join("\t".join(map(text.printable, line.split("\t"))) for line in lines)
