"""`cinspect schema`: the JSON Schema of what `dump` prints."""

import argparse

from inspector.output import schema, stream

_EPILOG = """\
examples:
  cinspect schema > cinspect.schema.json
  cinspect schema | jq '."$defs".Container.properties | keys'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Print the JSON Schema (draft 2020-12) of a frame: what dump prints, and watch a line."
    )
    parser.epilog = _EPILOG


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    del args
    stream.write(schema.encode())
    return 0
