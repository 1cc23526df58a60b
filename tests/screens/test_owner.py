"""The search box: what is typed, what is said, where it leads."""

from typing import get_args

from textual.widgets import Input

from inspector.owner import question
from inspector.owner.ask import on_frame
from inspector.owner.model import Kind
from screens.container.screen import ContainerScreen
from screens.owner import report
from screens.owner.dialog import OwnerDialog
from tests.screens import frames
from tests.screens.driving import Driven, running

WORKER = "03" * 32


async def ask(driven: Driven, what: str) -> None:
    await driven.press("W")
    driven.app.screen.query_one(Input).value = what
    await driven.pilot.pause()
    await driven.press("enter")
    await driven.until(lambda: driven.app.screen._report)
    await driven.pilot.pause()


def worker_pid() -> int:
    return next(one.pid for one in frames.frame(0).containers if one.id == WORKER)


async def test_it_opens_with_what_can_be_typed_and_the_command_that_does_the_same() -> None:
    async with running() as driven:
        await driven.press("W")
        assert "Who owns this?" in driven.text
        assert "net:[4026532256]" in driven.text
        assert "$ cinspect owner WHAT" in driven.text
        assert driven.app.focused.id == "owner-what"


async def test_enter_tells_the_owner_with_its_evidence_and_enter_again_goes_there() -> None:
    async with running() as driven:
        await ask(driven, str(worker_pid()))
        assert "▸ ● worker" in driven.text
        assert f"pid {worker_pid()} is" in driven.text
        assert f"$ cinspect owner {worker_pid()}" in driven.text
        assert "Show it" in driven.text
        await driven.press("enter")
        assert not isinstance(driven.app.screen, OwnerDialog)
        assert driven.app.current_mode == "containers"
        assert driven.app.chosen == WORKER


async def test_it_leads_there_from_another_screen_too() -> None:
    async with running() as driven:
        await driven.press("4")
        await ask(driven, f"id:{WORKER}")
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "containers")
        assert driven.app.screen.subject() == WORKER


async def test_what_nobody_owns_is_told_and_leads_nowhere() -> None:
    async with running() as driven:
        await ask(driven, "pid:999999")
        assert "no process has pid 999999" in driven.text
        await driven.press("enter")
        assert isinstance(driven.app.screen, OwnerDialog)


async def test_what_cannot_be_is_said_with_what_to_say() -> None:
    async with running() as driven:
        await driven.press("W")
        driven.app.screen.query_one(Input).value = "fd:x"
        await driven.pilot.pause()
        await driven.press("enter")
        await driven.until(lambda: "say fd:PID/NUMBER" in driven.text)


async def test_another_one_of_several_can_be_chosen() -> None:
    async with running() as driven:
        found = [one for one in frames.frame(0).containers if one.name.startswith("w")]
        assert len(found) > 1
        await ask(driven, "w")
        report = driven.app.screen._report
        assert len(report.owners) == len(found)
        await driven.press("down", "enter")
        assert driven.app.chosen == report.owners[1].id


async def test_after_typing_on_enter_asks_anew() -> None:
    async with running() as driven:
        await ask(driven, f"id:{WORKER}")
        await driven.press("x")
        assert "Ask" in driven.text
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen._report.what == f"id:{WORKER}x")
        assert isinstance(driven.app.screen, OwnerDialog)


async def test_escape_closes_it() -> None:
    async with running() as driven:
        await driven.press("W", "escape")
        assert not isinstance(driven.app.screen, OwnerDialog | ContainerScreen)


async def test_what_a_container_is_called_is_drawn_harmlessly() -> None:
    hostile = frames.hostile()
    async with running(frames.frame(0, [hostile])) as driven:
        await ask(driven, f"id:{hostile.id}")
        await driven.until(lambda: "▸" in driven.text)
        assert not {"\x1b", "\n", "\u202e"} & set("".join(driven.lines))


async def test_a_frame_alone_answers_as_a_recording_has_no_more() -> None:
    report = await on_frame(frames.frame(0), f"pid:{worker_pid()}")
    assert [one.id for one in report.owners] == [WORKER]


def test_the_examples_show_every_kind_that_can_be_asked_for() -> None:
    kinds = set()
    for example, _ in report.EXAMPLES:
        for what in example.split():
            kinds |= {asked.kind for asked in question.parse(what)}
    assert kinds == set(get_args(Kind))
