"""The application: frames, their age, a source that fails, moving between screens, help, the palette."""

import pytest
from msgspec import structs

from inspector.frame import Cost
from screens import theme
from screens.app import CinspectApp
from tests.screens import frames
from tests.screens.driving import Driven, Fed, drawn, running

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


async def test_before_the_first_sample_it_says_that_it_waits_and_not_that_there_is_nothing() -> (
    None
):
    app = CinspectApp(Fed(), frames.Recorder())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for key in ("1", "2", "3", "4", "5", "enter", "f", "n", "1"):
            await pilot.press(key)
        text = "\n".join(drawn(app))
        assert "waiting for the first sample" in text
        assert "reading the host" in text
        assert "no container:" not in text


async def test_the_age_of_the_sample_grows_and_turns_stale() -> None:
    async with running() as driven:
        assert "0 s old" in driven.lines[-1]
        driven.clock.now += 5
        driven.app.screen.refresh_status()
        await driven.pilot.pause()
        assert "▲ stale: sample 5 s old" in driven.lines[-1]
        driven.clock.now += 90
        driven.app.screen.refresh_status()
        await driven.pilot.pause()
        assert "✖ stale: sample 1m 35s old" in driven.lines[-1]
        await driven.show(frames.frame(2))
        assert "stale" not in driven.lines[-1]


async def test_the_status_line_has_the_cost_of_sampling() -> None:
    async with running(size=(160, 40)) as driven:
        assert "cinspect takes 0.8 % of a core, 61 files" in driven.lines[-1]
        assert "1 not readable" in driven.lines[-1]
        await driven.press("exclamation_mark")
        assert "/proc/77/ns/net" in driven.text


async def test_a_frame_that_takes_longer_than_the_interval_takes_no_more_than_all_that_time() -> (
    None
):
    slow = Cost(wall_seconds=6.0, cpu_seconds=4.5, files_read=50_000)
    async with running(structs.replace(frames.frame(1), cost=slow), size=(160, 40)) as driven:
        assert "cinspect takes 75.0 % of a core" in driven.lines[-1]


async def test_a_source_that_fails_is_said_and_tried_again(monkeypatch) -> None:
    monkeypatch.setattr("screens.app._RETRY_SECONDS", 0.05)
    async with running() as driven:
        driven.source.feed(OSError("the host \x1b[2J is gone"))
        await driven.until(lambda: "no new samples: OSError" in driven.lines[-1])
        assert "\\x1b[2J" in driven.lines[-1]
        await driven.until(lambda: driven.source.begun == 2)
        await driven.show(frames.frame(2))
        assert "no new samples" not in driven.lines[-1]


async def test_the_end_of_a_recording_is_said() -> None:
    async with running() as driven:
        driven.source.feed(None)
        await driven.until(lambda: "end of the recording" in driven.lines[-1])
        driven.clock.now += 1000
        driven.app.screen.refresh_status()
        await driven.pilot.pause()
        assert "stale" not in driven.lines[-1]


async def test_space_holds_the_picture_and_lets_it_go_on_with_the_newest() -> None:
    async with running(frames.frame(1)) as driven:
        await driven.press("space")
        assert "❚❚ paused" in driven.lines[-1]
        held = driven.app.moment
        driven.source.feed(frames.frame(2))
        newest = frames.frame(3)
        driven.source.feed(newest)
        await driven.until(lambda: driven.app._waiting and driven.app._waiting.frame is newest)
        assert driven.app.moment is held
        await driven.press("space")
        assert driven.app.moment.frame is newest
        assert "paused" not in driven.lines[-1]


async def test_of_frames_that_come_too_fast_the_newest_is_drawn() -> None:
    async with running(frames.frame(1)) as driven:
        newest = frames.frame(60)
        for step in range(2, 60):
            driven.source.feed(frames.frame(step))
        driven.source.feed(newest)
        await driven.until(lambda: driven.app.moment.frame is newest)


async def test_numbers_lead_to_the_screens_and_escape_back() -> None:
    async with running() as driven:
        for key, mode in (("2", "namespaces"), ("3", "layers"), ("4", "cgroups"), ("5", "events")):
            await driven.press(key)
            assert driven.app.current_mode == mode
        for mode in ("cgroups", "layers", "namespaces", "containers", "containers"):
            await driven.press("escape")
            assert driven.app.current_mode == mode


async def test_a_click_on_a_tab_goes_to_its_screen() -> None:
    async with running() as driven:
        x = driven.lines[1].index("4 Cgroups")
        await driven.pilot.click("#tabs", offset=(x, 0))
        await driven.pilot.pause()
        assert driven.app.current_mode == "cgroups"


async def test_a_screen_that_was_away_catches_up_when_it_comes_back() -> None:
    async with running() as driven:
        await driven.press("5")
        await driven.show(frames.frame(2, [frames.container("newcomer", 50)]))
        await driven.press("1")
        assert "newcomer" in driven.text


async def test_help_has_every_key_that_works_here() -> None:
    async with running(size=(120, 76)) as driven:
        await driven.press("question_mark")
        text = driven.text
        for part in (
            "freeze every process",
            "show its layers",
            "pause",
            "Esc",
            "MARKS",
            "FILTER",
            "cpu>0.5",
        ):
            assert part in text
        await driven.press("escape")
        assert "MARKS" not in driven.text


async def test_help_of_a_read_only_session_names_no_action() -> None:
    async with running(size=(120, 60), read_only=True) as driven:
        await driven.press("question_mark")
        assert "freeze every process" not in driven.text


async def test_a_bug_ends_it_with_a_plain_traceback_and_no_values(monkeypatch, capsys) -> None:
    def broken(_self, _moment) -> None:
        raise RuntimeError("a bug, \x1b[2J")

    monkeypatch.setattr("screens.containers.screen.ContainersScreen.show", broken)
    with pytest.raises(RuntimeError):
        async with running():
            pass


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_finds_a_container_by_name(key: str) -> None:
    async with running() as driven:
        await driven.press(key)
        await driven.until(
            lambda: (
                driven.app.focused is not None and "Command" in type(driven.app.focused).__name__
            )
        )
        await driven.type("worker layers")
        await driven.until(lambda: "worker: layers" in driven.text)
        await driven.pilot.pause(0.2)
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "layers")
        await driven.pilot.pause()
        assert driven.app.screen.subject() == "03" * 32


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_is_left_by_a_key(key: str) -> None:
    async with running() as driven:
        await driven.pilot.press(key)
        await driven.pilot.pause()
        assert not driven.app.is_running or driven.app._exit


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_is_left_from_a_screen_above_too(key: str) -> None:
    async with running() as driven:
        await driven.press("4", "enter")
        await driven.pilot.press(key)
        await driven.pilot.pause()
        assert driven.app._exit


def test_a_terminal_with_sixteen_colours_gets_its_own_colours() -> None:
    assert theme.fitting("standard", no_color=False) == theme.SIXTEEN.name
    assert theme.fitting(None, no_color=False) == theme.SIXTEEN.name
    assert theme.fitting("truecolor", no_color=True) == theme.SIXTEEN.name
    assert theme.fitting("256", no_color=False) == theme.NIGHT.name
    assert theme.fitting("truecolor", no_color=False) == theme.NIGHT.name


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "xterm")])
async def test_every_screen_is_drawn_without_many_colours(monkeypatch, variable) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv(*variable)
    async with running(size=(80, 24)) as driven:
        assert driven.app.theme == theme.SIXTEEN.name
        for key in ("1", "2", "3", "4", "5", "question_mark", "escape", "s", "escape"):
            await driven.press(key)
        if variable[0] == "NO_COLOR":
            assert not colours(driven)


def colours(driven: Driven) -> set[str]:
    """Return every colour that would be sent to the terminal."""
    found = set()
    for line in driven.app.screen._compositor.render_strips():
        strip = line
        for one in driven.app.get_line_filters():
            strip = strip.apply_filter(one, driven.app.ansi_theme.background_color)
        styles = [segment.style for segment in strip if segment.style]
        found |= {color.name for style in styles for color in (style.color, style.bgcolor) if color}
    return found - {"default"}
