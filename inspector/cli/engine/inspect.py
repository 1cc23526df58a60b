"""`cinspect inspect`: prints all that the engine knows of containers, as a JSON array."""

import argparse
import json
from typing import Any, cast

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import acting, records, session
from inspector.controls.actions import Actions, Target
from inspector.errors import Failure
from runtime.api import Runtime
from runtime.errors import RuntimeFailure


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Print all that the engine knows of containers, with the OCI runtime spec of each; of "
        "those of other engines, what `cinspect dump` has.",
        "cinspect inspect web | jq '.[0].spec.linux.resources'",
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Print those that were found; return 1 when any was not."""
    actions = acting.looking(args)
    return session.execute(actions.engine, _inspect(args, actions))


async def _inspect(args: argparse.Namespace, actions: Actions) -> int:
    status = exit_codes.DONE
    found: list[dict[str, Any]] = []
    for reference in args.containers:
        try:
            target = await acting.find(args, actions, reference)
            found.append(await _record(actions.engine, target))
        except (RuntimeFailure, Failure) as failure:
            options.talk(str(failure))
            status = exit_codes.FAILED
    session.say(json.dumps(found, indent=2))
    return status


async def _record(engine: Runtime, target: Target) -> dict[str, Any]:
    if target.container is None:
        found = await engine.container(target.id)
        return {**records.container(found), "spec": await engine.spec(found.id)}
    import msgspec  # noqa: PLC0415 - what the engine says needs none

    return cast("dict[str, Any]", msgspec.to_builtins(target.container))
