"""`cinspect ui`: opens the dashboard; the only place from which the screens are reached."""

import argparse
import sys

from collectors.root import Root
from inspector import exit_codes
from inspector.cli import live, options
from inspector.cli.engine import session, terminal
from inspector.controls.live import LiveControl
from inspector.demo import container
from inspector.errors import Failure
from inspector.owner.ask import beside


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Open the dashboard: containers, namespaces, layers, cgroups and events of this host. "
        "? lists the keys.",
        "cinspect",
        "cinspect ui --demo",
        "cinspect --read-only ui --interval 5",
    )
    parser.add_argument(
        "--demo", action="store_true", help="start a demo container first; it is removed at the end"
    )
    parser.add_argument(
        "--interval", metavar="S", type=options.interval, default=1.0, help="between samples (1)"
    )


def run(args: argparse.Namespace) -> int:
    """Run it until the user leaves; return 0."""
    if not all(terminal.is_terminal(descriptor) for descriptor in (0, 1, 2)):
        raise Failure(
            "the dashboard needs a terminal on stdin, stdout and stderr: for a script there is dump"
        )
    chosen = options.settings(args)
    if not args.demo:
        return _open(args, chosen, select=None)
    engine = options.runtime(args, acting=True, root=True)
    demo, new = session.execute(engine, container.start(engine, options.talk))
    try:
        return _open(args, chosen, select=demo.id)
    finally:
        if new:
            _remove_demo(args)
        else:
            options.talk("the demo container ran before and runs on: cinspect demo stop ends it")


def _open(args: argparse.Namespace, chosen: options.Settings, *, select: str | None) -> int:
    from screens.app import CinspectApp  # noqa: PLC0415 - Textual takes longer to load than the rest

    control = LiveControl(
        chosen.root, chosen.state, read_only=chosen.read_only, host_root=chosen.host_root
    )
    app = CinspectApp(
        live.source(chosen, interval=args.interval),
        control,
        read_only=chosen.read_only,
        looker=beside(Root(chosen.host_root)),
        select=select,
    )
    app.run()
    if app.return_code:
        sys.stderr.flush()
        return exit_codes.FAILED
    return exit_codes.DONE


def _remove_demo(args: argparse.Namespace) -> None:
    engine = options.runtime(args, acting=True, root=True)
    if session.execute(engine, container.remove(engine)):
        options.talk("the demo container is removed")
