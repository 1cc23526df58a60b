"""Finds the container that a verb names, of any engine or none, running or not."""

import argparse
import asyncio

from inspector.cli import live, options
from inspector.controls import targets
from inspector.domains.containers.model import Container
from inspector.errors import Failure


def container(args: argparse.Namespace, reference: str) -> Container:
    """Return the container of an id, a name, the beginning of an id; raise `Failure`."""
    found = targets.match(reference, asyncio.run(live.containers(options.settings(args))))
    if not found:
        raise Failure(f"no container {reference!r}, of any engine: see cinspect dump")
    if len(found) > 1:
        fit = ", ".join(f"{one.id[:12]} ({one.engine or 'no engine'})" for one in found)
        raise Failure(f"{reference!r} fits {len(found)} containers: {fit}")
    return found[0]
