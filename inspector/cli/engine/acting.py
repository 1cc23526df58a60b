"""What `freeze`, `thaw`, `kill`, `update` and `exec` share: they act on containers of any engine."""

import argparse
from collections.abc import Awaitable, Callable, Sequence

from inspector.cli import options
from inspector.cli.engine import session
from inspector.controls import targets
from inspector.controls.actions import Actions, Target, open_actions
from inspector.domains.containers.model import Container


def actions(args: argparse.Namespace) -> Actions:
    """Return the actions; raise `ReadOnly` under --read-only."""
    options.refuse_read_only(args)
    return looking(args)


def looking(args: argparse.Namespace) -> Actions:
    """Return what finds containers of every engine, for a verb that changes nothing."""
    chosen = options.settings(args)
    return open_actions(chosen.root, chosen.state)


def act_on_each(args: argparse.Namespace, act: Callable[[Actions, Target], Awaitable[None]]) -> int:
    """Act on each of the containers that were named; return 0, or 1 when any failed."""
    acting = actions(args)

    async def one(reference: str) -> None:
        await act(acting, await find(args, acting, reference))

    return session.execute(acting.engine, session.for_each(args.containers, one))


async def find(args: argparse.Namespace, acting: Actions, reference: str) -> Target:
    """Return the container that a reference means, whoever runs it."""

    async def others() -> Sequence[Container]:
        # Discovery loads the whole inspector: not for a container of our own.
        from inspector.cli import live  # noqa: PLC0415

        return await live.containers(options.settings(args))

    return await targets.find(acting.engine, reference, others)
