"""`cinspect diff`: lists what a container changed over its lower layers."""

import argparse
from typing import Final

from inspector import exit_codes
from inspector.cli.engine import acting, session
from inspector.controls.actions import Actions
from inspector.output import text

_LETTERS: Final = {"added": "A", "deleted": "D"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "List the paths that a container, of any engine, added (A), changed (C) or deleted (D).",
        "cinspect diff web",
    )
    session.add_references(parser, many=False)


def run(args: argparse.Namespace) -> int:
    """Print a path a line, sorted."""
    actions = acting.looking(args)
    changes = session.execute(actions.engine, _changes(args, actions))
    for path, kind in sorted(changes):
        session.say(f"{kind} {text.printable(path)}")
    return exit_codes.DONE


async def _changes(args: argparse.Namespace, actions: Actions) -> list[tuple[str, str]]:
    """Return paths and A, C or D: as our engine keeps them, or as the kernel shows another's."""
    target = await acting.find(args, actions, args.container)
    if target.container is None:
        return [(each.path, each.kind) for each in await actions.engine.diff(target.id)]
    from inspector.controls.live import LiveControl  # noqa: PLC0415 - it loads what walks layers

    report = await LiveControl(actions.root, actions.state).layers(target.container)
    return [(f"/{each.path.lstrip('/')}", _LETTERS.get(each.kind, "C")) for each in report.changes]
