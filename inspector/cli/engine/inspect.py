"""`cinspect inspect`: prints all that the engine knows of containers, as a JSON array."""

import argparse
import json
from typing import Any

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import records, session
from runtime.api import Runtime
from runtime.errors import RuntimeFailure


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Print all that the engine knows of containers, with the OCI runtime spec of each; "
        "`cinspect dump --container ID` has what the kernel says of them.",
        "cinspect inspect web | jq '.[0].spec.linux.resources'",
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Print those that were found; return 1 when any was not."""
    engine = options.runtime(args)
    return session.execute(engine, _inspect(engine, args.containers))


async def _inspect(engine: Runtime, references: list[str]) -> int:
    status = exit_codes.DONE
    found: list[dict[str, Any]] = []
    for reference in references:
        try:
            container = await engine.container(reference)
            spec = await engine.spec(container.id)
        except RuntimeFailure as failure:
            options.talk(str(failure))
            status = exit_codes.FAILED
        else:
            found.append({**records.container(container), "spec": spec})
    session.say(json.dumps(found, indent=2))
    return status
