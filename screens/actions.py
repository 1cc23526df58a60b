"""What the action keys do: ask where it can hurt, then let control do it, and say how it went."""

import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

from textual.app import App, SuspendNotSupported
from textual.worker import Worker

from inspector.control import ActionFailed, Control, StartRequest
from inspector.domains.containers.model import Container
from screens import safe
from screens.dialogs.choose import ActDialog, Choice
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.exec import ExecDialog
from screens.dialogs.start import StartDialog
from screens.widgets.cells import Line

_SIGNALS: Final[tuple[tuple[str, str], ...]] = (
    ("KILL", "ends it at once, without a chance to tidy up"),
    ("TERM", "asks it to end; the first process of a container may not hear it"),
    ("INT", "as ctrl+c does"),
    ("HUP", "by custom: read the configuration again"),
    ("QUIT", "asks it to end, with a core dump"),
    ("USR1", "its own meaning"),
    ("USR2", "its own meaning"),
    ("WINCH", "its own meaning; nginx and httpd: end gracefully"),
    ("STOP", "stops this one process (f freezes all of them)"),
    ("CONT", "lets a stopped process go on"),
)
_FAILURE_SECONDS: Final = 20.0


class Actions:
    """The actions of one application; there is none of these in a read-only session."""

    def __init__(self, app: App[None], control: Control) -> None:
        self._app = app
        self._control = control

    def begin(self, action: str, container: Container | None) -> None:
        """Begin one of `screens.keys.ACTIONS`."""
        if action == "start":
            self.start()
            return
        if container is None:
            self._say("no container is selected", failed=True)
            return
        steps: dict[str, Callable[[Container], None]] = {
            "exec": self.execute,
            "freeze": self.freeze,
            "signal": self.signal,
            "remove": self.remove,
        }
        steps[action](container)

    def start(self) -> None:
        """Ask what to start, and start it."""

        def answered(request: StartRequest | None) -> None:
            if request is not None:
                self._run(self._start(request))

        self._app.push_screen(StartDialog(), answered)

    def freeze(self, container: Container) -> None:
        """Ask, and freeze it; let it go on when it is frozen."""
        if container.status == "paused":
            self._run(self._do(self._control.thaw(container), f"{container.name} goes on"))
            return
        if container.status != "running":
            self._say(f"{container.name} does not run: there is nothing to freeze", failed=True)
            return
        pending = self._control.freeze
        done = f"{container.name} is frozen; f lets it go on"

        def answered(agreed: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if agreed:
                self._run(self._do(pending(container), done))

        self._app.push_screen(
            ConfirmDialog(
                f"Freeze {container.name}?",
                _harm(container),
                agree="Freeze",
                command=self._control.equivalent("freeze", container),
            ),
            answered,
        )

    def signal(self, container: Container) -> None:
        """Ask for a signal, and send it."""
        choices = [
            Choice(name, f"{signal.Signals[f'SIG{name}'].value:>2} {name}", text)
            for name, text in _SIGNALS
        ]

        def answered(name: str | None) -> None:
            if name is not None:
                number = signal.Signals[f"SIG{name}"].value
                sending = self._control.signal(container, number)
                self._run(self._do(sending, f"SIG{name} sent to {container.name}"))

        base = self._control.equivalent("signal", container)
        command = base if "{}" in base else f"{base} --signal {{}}"
        dialog = ActDialog(f"Signal to {container.name}", choices, command=command, agree="Send")
        self._app.push_screen(dialog, answered)

    def remove(self, container: Container) -> None:
        """Ask, and remove it; by force where it runs."""
        runs = container.status in {"running", "paused"}
        text: list[Line] = [
            ((" Its record, its writable layer and what it wrote there go.", "plain"),),
        ]
        if runs:
            text.append(((f" ▲ It runs: {_killed(container)} killed first.", "pressed"),))
        command = self._control.equivalent("remove", container)

        def answered(agreed: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if agreed:
                removing = self._control.remove(container, force=runs)
                self._run(self._do(removing, f"{container.name} is removed"))

        self._app.push_screen(
            ConfirmDialog(
                f"Remove {container.name}?",
                text,
                agree="Remove by force" if runs else "Remove",
                command=command.replace(" rm ", " rm --force ", 1) if runs else command,
            ),
            answered,
        )

    def execute(self, container: Container) -> None:
        """Ask for a command, and give it the terminal."""
        if container.status != "running":
            self._say(f"{container.name} does not run: nothing can be run in it", failed=True)
            return

        def answered(command: tuple[str, ...] | None) -> None:
            if command is not None:
                self._take_terminal(container, command)

        same = shlex.split(self._control.equivalent("exec", container))
        dialog = ExecDialog(container.name, lambda command: (*same, *command))
        self._app.push_screen(dialog, answered)

    def _take_terminal(self, container: Container, command: tuple[str, ...]) -> None:
        try:
            argv = self._control.exec_argv(container, command)
            with self._app.suspend():
                status = _run_in_foreground(argv)
        except SuspendNotSupported:
            self._say("this terminal cannot be given away", failed=True)
        except (ActionFailed, OSError) as problem:
            self._say(str(problem), failed=True)
        else:
            word = f"{' '.join(command)} ended with exit status {status}"
            self._say(word, failed=status in {125, 126, 127})

    async def _start(self, request: StartRequest) -> None:
        try:
            identity = await self._control.start(request)
        except ActionFailed as problem:
            self._say(str(problem), failed=True)
        else:
            self._say(f"{request.name or identity[:12]} is started")

    async def _do(self, pending: Awaitable[None], done: str) -> None:
        try:
            await pending
        except ActionFailed as problem:
            self._say(str(problem), failed=True)
        else:
            self._say(done)

    def _run(self, work: Awaitable[None]) -> Worker[Any]:
        return self._app.run_worker(work, group="actions", exit_on_error=False)

    def _say(self, text: str, *, failed: bool = False) -> None:
        self._app.notify(
            safe.text(text),
            severity="error" if failed else "information",
            timeout=_FAILURE_SECONDS if failed else None,
            markup=False,
        )


def _killed(container: Container) -> str:
    count = len(container.pids)
    return "its one process is" if count == 1 else f"its {count} processes are"


def _count(container: Container) -> str:
    count = len(container.pids)
    return "Its one process stops" if count == 1 else f"Its {count} processes stop"


def _harm(container: Container) -> list[Line]:
    """Return what freezing does, and why it may hurt with this one."""
    lines: list[Line] = [
        (
            (
                f" {_count(container)} where they are until f lets them go on.",
                "plain",
            ),
        )
    ]
    if os.getpid() in container.pids:
        lines.append(((" ✖ This cinspect runs inside it: it would freeze itself.", "failed"),))
    if container.engine is None:
        lines.append(((" ▲ No engine made it: it may be part of somebody's session.", "pressed"),))
    if container.pod is not None:
        lines.append(
            ((" ▲ It is part of a pod: its probes fail, and it may be restarted.", "pressed"),)
        )
    if container.security is not None and container.security.privileged:
        lines.append(((" ▲ It is privileged: the host may depend on it.", "pressed"),))
    return lines


def _run_in_foreground(argv: tuple[str, ...]) -> int:
    """Run a command on this terminal and return its exit status, as system(3) does.

    The terminal sends ctrl+c and ctrl+\\ to both of us, and they are the command's. A handler, unlike "ignore", is
    not inherited through exec.
    """

    def nothing(_signal: int, _frame: FrameType | None) -> None:
        return

    before = {one: signal.signal(one, nothing) for one in (signal.SIGINT, signal.SIGQUIT)}
    try:
        return subprocess.run(argv, check=False).returncode
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
