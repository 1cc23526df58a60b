"""Actions: what is asked, what is done, what is said after."""

import pytest
from textual.widgets import Button, Input

from inspector.control import StartRequest
from screens.keys import ACTIONS
from tests.screens import frames
from tests.screens.driving import Driven, running

WORKER = "03" * 32
CACHE = "04" * 32


async def on(driven: Driven, identity: str) -> None:
    driven.app.screen.table.select(identity)
    await driven.pilot.pause()


def focused(driven: Driven) -> str | None:
    return driven.app.focused.id if driven.app.focused else None


async def test_freezing_asks_with_cancel_focused_and_says_the_command() -> None:
    async with running() as driven:
        await on(driven, WORKER)
        await driven.press("f")
        assert "Freeze worker?" in driven.text
        assert "$ cinspect freeze worker" in driven.text
        assert focused(driven) == "cancel"
        await driven.press("enter")
        assert driven.control.done == []
        await driven.press("f", "tab", "enter")
        await driven.until(lambda: driven.control.done)
        await driven.until(lambda: driven.toasts)
        assert driven.control.done == [("freeze", "worker")]
        assert driven.toasts == ["worker is frozen; f lets it go on"]


async def test_freezing_what_may_be_needed_says_why_it_may_hurt() -> None:
    async with running() as driven:
        await on(driven, "unshare-21844")
        await driven.press("f")
        assert "No engine made it" in driven.text
        assert "privileged" in driven.text


async def test_freezing_what_cinspect_runs_in_says_so(monkeypatch) -> None:
    async with running() as driven:
        monkeypatch.setattr("os.getpid", lambda: 20300)
        await on(driven, WORKER)
        await driven.press("f")
        assert "it would freeze itself" in driven.text


async def test_a_frozen_one_goes_on_without_a_question() -> None:
    async with running() as driven:
        await on(driven, CACHE)
        await driven.press("f")
        await driven.until(lambda: driven.control.done)
        assert driven.control.done == [("thaw", "cache")]


async def test_a_signal_is_chosen_from_a_list_with_cancel_focused() -> None:
    async with running() as driven:
        await on(driven, WORKER)
        await driven.press("K")
        assert focused(driven) == "cancel"
        assert "$ cinspect kill worker --signal KILL" in driven.text
        await driven.press("enter")
        assert driven.control.done == []
        await driven.press("K", "down")
        assert "--signal TERM" in driven.text
        await driven.press("tab", "enter")
        await driven.until(lambda: driven.control.done)
        assert driven.control.done == [("signal", "worker", 15)]


async def test_removing_what_runs_is_by_force_and_says_so() -> None:
    async with running() as driven:
        await on(driven, WORKER)
        await driven.press("D")
        assert "Remove worker?" in driven.text
        assert "It runs: its 2 processes are killed first" in driven.text
        assert "$ cinspect rm --force worker" in driven.text
        assert focused(driven) == "cancel"
        await driven.press("escape")
        assert driven.control.done == []
        await driven.press("D", "tab", "enter")
        await driven.until(lambda: driven.control.done)
        assert driven.control.done == [("remove", "worker", True)]


async def test_removing_what_is_stopped_needs_no_force() -> None:
    async with running() as driven:
        await on(driven, "06" * 32)
        await driven.press("D", "tab", "enter")
        await driven.until(lambda: driven.control.done)
        assert driven.control.done == [("remove", "batch-7f", False)]


async def test_a_failure_is_said_in_full() -> None:
    words = "cannot freeze worker: the freezer is not there: mount it with " + "x" * 120
    async with running(control=frames.Recorder(refusal=words)) as driven:
        await on(driven, WORKER)
        await driven.press("f", "tab", "enter")
        await driven.until(lambda: driven.toasts)
        assert driven.toasts == [words]
        assert driven.app.is_running


async def test_the_command_line_grows_as_the_form_is_filled_in() -> None:
    async with running() as driven:
        await driven.press("s")
        assert "$ cinspect run -d @host" in driven.text
        for field, value in (
            ("command", "sleep 'a b'"),
            ("name", "demo2"),
            ("memory", "64M"),
            ("cpus", "0.5"),
            ("pids", "50"),
        ):
            driven.app.screen.query_one(f"#start-{field}", Input).value = value
        await driven.pilot.pause()
        line = "cinspect run -d --name demo2 --memory 64m --cpus 0.5 --pids-limit 50 @host"
        assert line in " ".join("".join(one.strip(" │") + " " for one in driven.lines).split())
        driven.app.screen.query_one("#agree", Button).press()
        await driven.until(lambda: driven.control.done)
        assert driven.control.done == [
            (
                "start",
                StartRequest(
                    image="@host",
                    command=("sleep", "a b"),
                    name="demo2",
                    memory_bytes=64 * 1024**2,
                    cpus=0.5,
                    pids_limit=50,
                ),
            )
        ]
        await driven.until(lambda: driven.toasts)
        assert driven.toasts == ["demo2 is started"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("memory", "lots", "memory lots is not a size"),
        ("memory", "12", "memory 12 is less than one page"),
        ("cpus", "nan", "cpus nan is not a number of cores"),
        ("cpus", "-1", "cpus -1 is not"),
        ("pids", "0", "pids 0 is not"),
        ("pids", "٣", "pids ٣ is not"),
        ("name", "a b", "name has other characters"),
        ("name", "../x", "name has other characters"),
        ("command", "echo 'a", "command does not end well"),
        ("rootfs", "relative", "rootfs is not an absolute path"),
        ("rootfs", "/srv/root", "no command: with a rootfs"),
        ("network", "bridge", "network bridge is neither none nor host"),
        ("image", "", "neither image nor rootfs"),
    ],
)
async def test_a_field_that_means_nothing_is_said_at_once_and_starts_nothing(
    field: str, value: str, said: str
) -> None:
    async with running() as driven:
        await driven.press("s")
        driven.app.screen.query_one(f"#start-{field}", Input).value = value
        await driven.pilot.pause()
        assert f"✖ {said}" in driven.text
        await driven.press("enter")
        driven.app.screen.query_one("#agree", Button).press()
        await driven.pilot.pause()
        assert driven.control.done == []
        assert "Start a container" in driven.text


async def test_running_a_command_asks_for_it_and_shows_what_will_be_run() -> None:
    async with running() as driven:
        await on(driven, WORKER)
        await driven.press("x")
        assert "Run a command in worker" in driven.text
        assert "$ cinspect exec -it worker sh" in driven.text
        driven.app.screen.query_one(Input).value = "top -b 'unfinished"
        await driven.pilot.pause()
        assert "does not end well" in driven.text
        driven.app.screen.query_one(Input).value = "top -b"
        await driven.pilot.pause()
        assert "$ cinspect exec -it worker top -b" in driven.text
        await driven.press("enter")
        assert driven.toasts == ["this terminal cannot be given away"], "there is none in a test"


async def test_nothing_is_run_in_what_does_not_run() -> None:
    async with running() as driven:
        await on(driven, "06" * 32)
        await driven.press("x")
        assert driven.toasts == ["batch-7f does not run: nothing can be run in it"]


@pytest.mark.parametrize("how", ["read_only", "control"])
async def test_a_read_only_session_has_no_action_at_all(how: str) -> None:
    control = frames.Recorder(read_only=how == "control")
    async with running(read_only=how == "read_only", control=control, size=(160, 40)) as driven:
        for mode in ("1", "2", "3", "4", "5", "1"):
            await driven.press(mode)
            bound = driven.app.screen.active_bindings
            assert not [b for b in bound.values() if b.binding.action.startswith("act(")]
            for action in ACTIONS:
                assert f"{action.key} {action.title}" not in driven.lines[-1]
        for action in ACTIONS:
            await driven.press(action.key)
            assert len(driven.app.screen_stack) == 1
            await driven.app.run_action(f"screen.act('{action.action}')")
            assert len(driven.app.screen_stack) == 1
        await driven.press("colon")
        await driven.until(lambda: "Command" in type(driven.app.focused).__name__)
        await driven.type("freeze")
        await driven.pilot.pause(0.3)
        assert "freeze every process" not in driven.text
        assert control.done == []


async def test_with_actions_every_one_has_its_key() -> None:
    async with running() as driven:
        bound = {b.binding.action for b in driven.app.screen.active_bindings.values()}
        assert {f"act('{action.action}')" for action in ACTIONS} <= bound
