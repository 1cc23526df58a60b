"""What drawing costs, as counts: the lines in view, and not the items there are."""

import pytest

from tests.screens import frames
from tests.screens.driving import running


@pytest.mark.parametrize("count", [50, 500])
async def test_a_frame_draws_the_lines_in_view_only(count: int) -> None:
    async with running(frames.many(count, 2), size=(120, 30)) as driven:
        table = driven.app.screen.table
        height = table.size.height
        before = table.lines_drawn
        await driven.show(frames.many(count, 2))
        assert 0 < table.lines_drawn - before <= 3 * height


async def test_a_frame_builds_no_widget() -> None:
    async with running(frames.many(50, 2), size=(120, 30)) as driven:
        for key in ("1", "2", "3", "4", "5"):
            await driven.press(key)
            before = list(driven.app.screen.walk_children())
            await driven.show(frames.many(60, 2))
            assert list(driven.app.screen.walk_children()) == before


async def test_only_the_screen_in_front_is_drawn() -> None:
    async with running(frames.many(50, 2), size=(120, 30)) as driven:
        table = driven.app.screen.table
        await driven.press("5")
        before = table.lines_drawn
        await driven.show(frames.many(60, 2))
        assert table.lines_drawn == before
        assert len(table.items) == 50


async def test_a_tick_of_the_clock_draws_no_table() -> None:
    async with running(frames.many(50, 2), size=(120, 30)) as driven:
        table = driven.app.screen.table
        await driven.pilot.pause(0.1)
        before = table.lines_drawn
        driven.clock.now += 3
        driven.app.screen.refresh_status()
        await driven.pilot.pause(0.2)
        assert table.lines_drawn == before
