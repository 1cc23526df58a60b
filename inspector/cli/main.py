"""Parses the command line and runs the verb it names; a verb's module loads when it is asked for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from inspector import exit_codes
from inspector.version import VERSION


class Verb(NamedTuple):
    """One subcommand: its name, its line in the help, the module that does it, other names."""

    name: str
    help: str
    module: str
    aliases: tuple[str, ...] = ()


class VerbModule(Protocol):
    """What a verb's module has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options, its description and its examples."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; return the exit status."""
        ...


VERBS: Final = (
    Verb("ui", "open the dashboard (the default)", "inspector.cli.ui"),
    Verb("dump", "print one frame as JSON", "inspector.cli.dump"),
    Verb("watch", "print a frame a line, at an interval", "inspector.cli.watch"),
    Verb("events", "print the event stream", "inspector.cli.events"),
    Verb("schema", "print the JSON Schema of what dump prints", "inspector.cli.schema"),
    Verb("doctor", "say what this host supports and what you may do", "inspector.cli.doctor"),
    Verb("run", "make a container and start a command in it", "inspector.cli.engine.run"),
    Verb("create", "make a container without starting it", "inspector.cli.engine.create"),
    Verb("start", "start containers that were created or stopped", "inspector.cli.engine.start"),
    Verb("exec", "run a command in a running container", "inspector.cli.engine.exec"),
    Verb("logs", "print what a container wrote", "inspector.cli.engine.logs"),
    Verb("kill", "send a signal to containers", "inspector.cli.engine.kill"),
    Verb("stop", "stop containers: SIGTERM, then SIGKILL", "inspector.cli.engine.stop"),
    Verb("freeze", "freeze every process of containers", "inspector.cli.engine.freeze", ("pause",)),
    Verb("thaw", "let frozen containers go on", "inspector.cli.engine.thaw", ("unpause",)),
    Verb("wait", "wait until containers end; print exit codes", "inspector.cli.engine.wait"),
    Verb("rm", "remove containers", "inspector.cli.engine.rm"),
    Verb("update", "change limits of running containers", "inspector.cli.engine.update"),
    Verb("ps", "list the embedded engine's containers", "inspector.cli.engine.ps"),
    Verb("inspect", "print all that is known of containers", "inspector.cli.engine.inspect"),
    Verb("top", "list the processes of a container", "inspector.cli.engine.top"),
    Verb("diff", "list what a container changed over its layers", "inspector.cli.engine.diff"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the verb, return the exit status."""
    raise NotImplementedError(argv, argparse, importlib, os, sys, exit_codes, VERSION)
