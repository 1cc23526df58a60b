"""`cinspect doctor`: what this host supports and what you may do."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable

from collectors import support
from collectors.kernel import cgroups
from collectors.root import Root
from inspector import doctor
from inspector.cli import live, options
from inspector.doctor import Finding
from inspector.domains.engines import derive as engines
from inspector.output import json, stream, text
from inspector.sample import Sample

_EPILOG = """\
examples:
  cinspect doctor
  cinspect doctor --format json | jq '.[] | select(.ok == false)'
"""
_MARKS = {True: "yes", False: "no", None: "?"}
_COLOURS = {True: "32", False: "33", None: "90"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = (
        "Say what this host supports and what you may do, with the reason where something is "
        "missing. Nothing is tried out: files are read, and engines are asked for their version."
    )
    parser.epilog = _EPILOG
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--json", action="store_true", help="the same as --format json")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    settings = options.settings(args)
    sample = asyncio.run(live.sampler(settings).sample(()))
    found = doctor.findings(
        support.read(Root(settings.host_root)),
        cgroups=sample.get(cgroups.HIERARCHIES),
        engines=engines.derive(sample),
        user=os.geteuid(),
    )
    if args.json or args.format == "json":
        stream.write(json.encode([*found, *_problems(sample)], pretty=True))
    else:
        colour = settings.color and sys.stdout.isatty()
        stream.write(_table((*found, *_problems(sample)), colour=colour).encode())
    return 0


def _problems(sample: Sample) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            "problems", problem.path, ok=False, reason=f"{problem.operation}: {problem.message}"
        )
        for problem in sample.problems
    )


def _table(found: Iterable[Finding], *, colour: bool) -> str:
    rows = list(found)
    width = max(len(row.what) for row in rows)
    lines: list[str] = []
    subject = ""
    for row in rows:
        if row.subject != subject:
            subject = row.subject
            lines.append(f"{'' if not lines else chr(10)}{subject}")
        mark = _MARKS[row.ok].ljust(3)
        if colour:
            mark = f"\x1b[{_COLOURS[row.ok]}m{mark}\x1b[0m"
        what, reason = text.printable(row.what), text.printable(row.reason)
        lines.append(f"  {mark}  {what.ljust(width)}  {reason}")
    return "\n".join(lines) + "\n"
