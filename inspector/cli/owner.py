"""`cinspect owner`: which container a pid, an interface, a port, a path, an inode… belongs to."""

import argparse
import asyncio
from typing import Final

from collectors.root import Root
from inspector import exit_codes
from inspector.cli import live, options
from inspector.output import json, stream, text
from inspector.owner import question
from inspector.owner.ask import ask
from inspector.owner.facts import short
from inspector.owner.model import Answer, Owner, Report

_EPILOG: Final = """\
WHAT is guessed, or said with a prefix:
  pid:123  pid:7@web     a pid of the host's; one inside of a container
  if:veth3a  veth:NAME   an interface of the host's, or of a container
  ip:10.0.0.2            an address
  port:8080[/udp]        what listens there, or which container it is published for
  conn:10.0.0.2:40000    a connection, by an end or by both: conn:A->B
  path:/var/lib/x        a path of the host's: a layer, a volume, a root file system
  fd:123/4               an open descriptor; also /proc/123/fd/4
  inode:123              of a namespace, a cgroup, a socket, an open file; also socket:[123]
  cgroup:/a/b            a cgroup's path, or its id
  ns:4026532256          a namespace; also net:[4026532256]
  mount:123              a mount's id
  id:web  name:web       a container itself

exit status: 0 every WHAT has an owner, 1 one has none (what it is instead is said), 2 wrong usage

examples:
  cinspect owner 4242
  cinspect owner veth12ab34 port:8080 /var/lib/docker/volumes/data
  cinspect owner --format json cgroup:/system.slice/ssh.service
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, its description and its examples."""
    parser.description = "Tell which container something belongs to, and how that was found out."
    parser.epilog = _EPILOG
    parser.add_argument("what", metavar="WHAT", nargs="+", help="what to find the owner of")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    """Do it; return 0 when every WHAT has an owner."""
    settings = options.settings(args)
    whats: list[str] = args.what
    for what in whats:
        question.parse(what)  # a mistake is told before anything is read
    reports = asyncio.run(ask(live.sampler(settings), Root(settings.host_root), whats))
    if args.format == "json":
        for report in reports:
            stream.write(json.encode(report))
    else:
        said = "\n".join("\n".join(_lines(report)) + "\n" for report in reports)
        stream.write(said.encode())
    return exit_codes.DONE if all(one.owners for one in reports) else exit_codes.FAILED


def _lines(report: Report) -> list[str]:
    """Return a report as lines of text that cannot steer a terminal."""
    lines: list[str] = []
    for answer in report.answers:
        lines += _answer(report.what, answer)
    if not report.answers:
        lines.append(f"{report.what}: nothing here is known by that")
        lines += [f"  as {miss.kind}: {miss.reason}" for miss in report.tried]
    if report.missing and not report.owners:
        lines.append("  an owner may have been missed:")
        lines += [f"    {reason}" for reason in report.missing]
    return [text.printable(line) for line in lines]


def _answer(what: str, answer: Answer) -> list[str]:
    whose = ", ".join(_owner(one) for one in answer.owners)
    lines = [f"{what}: {whose or answer.instead or 'no container'}"]
    if not what.startswith(answer.kind):
        lines[0] += f"   [as {answer.kind}]"
    lines += [f"  {number}. {step}" for number, step in enumerate(answer.chain, 1)]
    return lines


def _owner(one: Owner) -> str:
    return f"container {one.name} ({one.engine or 'no engine'}, {short(one.id)}, {one.status})"
