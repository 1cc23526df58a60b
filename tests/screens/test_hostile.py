"""A container whose every text attacks: on every screen it is only shown."""

import unicodedata

import pytest

from tests.screens import frames
from tests.screens.driving import Driven, running

SCREENS = {
    "containers": (),
    "container": ("enter",),
    "namespaces": ("2",),
    "layers": ("3",),
    "cgroups": ("4",),
    "events": ("5",),
    "event body": ("5", "enter"),
    "signal": ("K",),
    "remove": ("D",),
    "exec": ("x",),
    "freeze": ("f",),
    "pick": ("3", "p"),
}
BAD = "[red]\x1b[2J\u202egpj.exe\u200b\n\x07界界[/]"


def host():
    one = frames.hostile()
    base = frames.frame(1, [one, frames.containers(1)[0]])
    bad = frames.event(1, BAD, BAD, one.id, {BAD: BAD, "nested": {BAD: [BAD]}})
    return type(base)(
        **{
            **{name: getattr(base, name) for name in base.__struct_fields__},
            "events": (bad,),
        }
    )


def assert_harmless(driven: Driven, width: int) -> None:
    for line in driven.lines:
        for char in line:
            assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, repr(line)
    strips = driven.app.screen._compositor.render_strips()
    assert {strip.cell_length for strip in strips} == {width}


@pytest.mark.parametrize("name", SCREENS)
async def test_its_texts_are_shown_and_do_nothing(name: str) -> None:
    async with running(host(), size=(100, 30)) as driven:
        await driven.press("j", "k", *SCREENS[name])
        assert_harmless(driven, 100)
        if name != "event body":
            assert "[red]\\x1b[2J" in driven.text


async def test_markup_in_a_name_colours_nothing() -> None:
    async with running(host(), size=(100, 30)) as driven:
        strip = next(
            strip
            for strip in driven.app.screen._compositor.render_strips()
            if "[red]" in strip.text and "▾" in strip.text
        )
        colours = {
            segment.style.color.triplet
            for segment in strip
            if segment.style and segment.style.color and "[red]" in segment.text
        }
        assert (255, 0, 0) not in colours


async def test_a_hostile_failure_is_shown_in_full_and_does_nothing() -> None:
    control = frames.Recorder(refusal=f"cannot thaw {BAD}: no")
    async with running(host(), control=control) as driven:
        await driven.press("f", "tab", "enter")
        await driven.until(lambda: driven.toasts)
        assert driven.toasts == [
            "cannot thaw [red]\\x1b[2J\\u202egpj.exe\\u200b\\n\\x07界界[/]: no"
        ]
        await driven.pilot.pause(0.1)
        assert_harmless(driven, 120)


async def test_a_hostile_filter_crashes_nothing() -> None:
    async with running(host()) as driven:
        for text in ("/(/", "[", "a=", "=b", "cpu>", "/(?P<x>/", "%s{}", '"', "!", "!!=", "//"):
            await driven.press("slash")
            driven.app.screen.query_one("FilterBar Input").value = text
            await driven.pilot.pause()
            await driven.press("escape")
        assert driven.app.is_running
