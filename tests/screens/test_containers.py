"""The containers screen."""

import pytest
from msgspec import structs
from textual import events

from screens.containers.screen import ContainersScreen
from tests.screens import frames
from tests.screens.driving import running


async def test_it_lists_every_container_with_its_state_as_a_sign() -> None:
    async with running(size=(160, 40)) as driven:
        for sign, name in (("●", "web"), ("▲", "worker"), ("❄", "cache"), ("✖", "batch-7f")):
            assert driven.line(f" {name} ").startswith(sign), driven.text


async def test_a_rate_with_one_sample_is_a_dash_and_not_a_zero() -> None:
    async with running(frames.frame(0), size=(160, 40)) as driven:
        line = driven.line("● web ")
        assert "\N{EN DASH}" in line
        assert "0.00" not in line


async def test_the_cursor_stays_on_its_container_when_others_come_and_go() -> None:
    found = frames.containers(1)
    async with running(frames.frame(1)) as driven:
        await driven.press("j", "j")
        screen = driven.app.screen
        assert isinstance(screen, ContainersScreen)
        name = screen.table.selected.name
        await driven.show(
            frames.frame(2, [one for one in found if one.name in {name, "web", "api"}])
        )
        assert screen.table.selected.name == name
        newer = frames.container("aaa", 40)
        await driven.show(frames.frame(3, [newer, *found]))
        assert screen.table.selected.name == name


async def test_a_container_that_goes_away_leaves_the_table_and_the_cursor_goes_to_a_neighbour() -> (
    None
):
    found = frames.containers(1)
    async with running(frames.frame(1)) as driven:
        name = driven.app.screen.table.selected.name
        await driven.show(frames.frame(2, [one for one in found if one.name != name]))
        assert name not in [one.name for one in driven.app.screen.table.items]
        assert driven.app.screen.table.selected is not None


async def test_a_host_without_containers_says_what_to_do() -> None:
    async with running(frames.frame(1, [])) as driven:
        assert "no container" in driven.text
        await driven.press("j", "k", "G", "g", "enter", "f", "o", "escape", "n")
        assert driven.app.is_running


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("wor", {"worker"}),
        ("engine=containerd", {"api", "batch-7f"}),
        ("status=paused", {"cache"}),
        ("com.docker.compose.project=shop", {"web", "sidecar", "worker"}),
        ("memory>300M", {"worker"}),
        ("/^w(eb|orker)$/", {"web", "worker"}),
        ("engine=docker !redis", {"web", "sidecar", "worker"}),
        ("engine=none", {"unshare·21844"}),
        ("nothing-is-called-so", set()),
    ],
)
async def test_a_filter_keeps_what_it_says(typed: str, names: set[str]) -> None:
    async with running() as driven:
        await driven.press("slash")
        driven.app.screen.query_one("FilterBar Input").value = typed
        await driven.pilot.pause()
        assert {one.name for one in driven.app.screen.table.items} == names
        await driven.press("enter")
        await driven.show(frames.frame(2))
        assert {one.name for one in driven.app.screen.table.items} == names
        await driven.press("escape")
        assert len(driven.app.screen.table.items) == len(frames.containers())


async def test_typing_into_the_filter_is_not_taken_for_keys() -> None:
    async with running() as driven:
        await driven.press("slash")
        await driven.type("qf1 web")
        assert driven.app.screen.query_one("FilterBar Input").value == "qf1 web"
        assert driven.app.current_mode == "containers"


async def test_a_click_on_a_title_sorts_and_once_more_turns_the_order_around() -> None:
    async with running(size=(160, 40)) as driven:
        await driven.press("v")
        table = driven.app.screen.table
        x = driven.line("NAME").index("MEMORY")
        await driven.pilot.click("#containers", offset=(x, 0))
        assert table.sort == "memory.working_set_bytes"
        assert table.items[0].name == "worker"
        assert table.items[-1].name == "batch-7f", "what is not known stands last"
        await driven.pilot.click("#containers", offset=(x, 0))
        assert table.items[-2].name == "worker"
        assert table.items[-1].name == "batch-7f"


async def test_a_click_selects_a_line_and_two_open_it() -> None:
    async with running(size=(160, 40)) as driven:
        y = next(i for i, line in enumerate(driven.lines) if " worker " in line) - 2
        await driven.pilot.click("#containers", offset=(8, y))
        assert driven.app.screen.table.selected.name == "worker"
        await driven.pilot.click("#containers", offset=(8, y), times=2)
        await driven.pilot.pause()
        assert "PROCESSES" in driven.text


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    async with running(frames.many(60), size=(100, 24)) as driven:
        table = driven.app.screen.table
        key = table.selected_key
        for _ in range(3):
            table.post_message(events.MouseScrollDown(table, 5, 5, 0, 1, 0, False, False, False))
        await driven.until(lambda: table.scroll_offset.y > 0)
        assert table.scroll_offset.y > 0
        assert table.selected_key == key


async def test_pages_and_ends_are_reached_by_keys() -> None:
    async with running(frames.many(200), size=(100, 24)) as driven:
        table = driven.app.screen.table
        await driven.press("G")
        assert table.selected is table.items[-1]
        assert table.items[-1].name in driven.text
        await driven.press("pageup")
        assert table.selected is not table.items[-1]
        await driven.press("g")
        assert table.selected is table.items[0]
        await driven.press("pagedown", "down", "up", "j", "k")
        assert table.selected is not table.items[0]


async def test_the_order_is_asked_for_by_column() -> None:
    async with running() as driven:
        await driven.press("o")
        assert "Order by" in driven.text
        await driven.press("escape", "o", "G", "enter")
        assert driven.app.screen.table.sort != "name"


async def test_grouping_gathers_projects_pods_and_engines() -> None:
    async with running(size=(160, 40)) as driven:
        assert "▾ compose: shop (3)" in driven.text
        assert "▾ pod: default/api-5d (1)" in driven.text
        assert "▾ no engine" in driven.text
        await driven.press("v")
        assert "▾" not in driven.text


async def test_the_pane_says_why_it_is_slow_and_whose_limit_it_is() -> None:
    async with running(size=(160, 40)) as driven:
        driven.app.screen.table.select("03" * 32)
        await driven.pilot.pause()
        text = driven.text
        assert "▲ throttled 71 % of periods by cpu.max of /docker/030303030303…: 0.5 cores" in text
        assert "▲ memory at 9" in text
        assert "cinspect dump --container worker" in text
        driven.app.screen.table.select("05" * 32)
        await driven.pilot.pause()
        assert "/kubepods/burstable/pod5d" in driven.text, "the limit is an ancestor's"


async def test_an_oom_kill_turns_it_red_for_a_while() -> None:
    async with running(frames.frame(0), frames.frame(1), size=(160, 40)) as driven:
        assert driven.line(" worker ").startswith("▲")
        await driven.show(frames.frame(41))
        assert driven.line(" worker ").startswith("✖")
        driven.app.screen.table.select("03" * 32)
        await driven.pilot.pause()
        assert "✖ the kernel killed 1 process for want of memory so far" in driven.text


async def test_enter_opens_the_container_and_escape_returns() -> None:
    async with running(size=(160, 48)) as driven:
        await driven.press("enter")
        for word in ("PROCESSES", "NAMESPACES", "CGROUPS", "IDENTITY", "SECURITY"):
            assert word in driven.text
        await driven.show(frames.frame(2))
        assert "PROCESSES" in driven.text
        await driven.press("escape")
        assert isinstance(driven.app.screen, ContainersScreen)


async def test_the_page_of_a_container_that_went_away_says_so_and_stays() -> None:
    async with running(size=(160, 48)) as driven:
        await driven.press("enter")
        await driven.show(frames.frame(2, []))
        assert "it is gone" in driven.text
        assert "PROCESSES" in driven.text
        await driven.show(frames.frame(3, []))
        assert driven.text.count("it is gone") == 1


@pytest.mark.parametrize(
    ("key", "mode"), [("n", "namespaces"), ("l", "layers"), ("c", "cgroups"), ("e", "events")]
)
async def test_a_container_is_seen_through_its_other_windows(key: str, mode: str) -> None:
    async with running(size=(140, 40)) as driven:
        driven.app.screen.table.select("03" * 32)
        await driven.pilot.pause()
        await driven.press(key)
        assert driven.app.current_mode == mode
        assert driven.app.screen.subject() == "03" * 32
        await driven.press("escape", "escape")
        assert driven.app.current_mode == "containers"


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (60, 15), (20, 5), (1, 1)])
async def test_it_fits_any_terminal(size: tuple[int, int]) -> None:
    async with running(size=size) as driven:
        for key in ("1", "2", "3", "4", "5", "1", "enter", "escape", "question_mark"):
            await driven.press(key)
            strips = driven.app.screen._compositor.render_strips()
            assert {strip.cell_length for strip in strips} <= {size[0]}
    if size[0] >= 60:
        async with running(size=size) as driven:
            for part in ("NAME", "CPU", "MEMORY", "web"):
                assert part in driven.text


async def test_a_pod_s_sandbox_and_a_program_s_own_are_told_apart_from_containers() -> None:
    found = frames.containers(1)
    pause = structs.replace(found[4], id="aa" * 32, name="pause", role="pod_sandbox")
    cage = structs.replace(
        found[-1], id="cage", name="renderer", role="sandbox", parent=found[0].id
    )
    async with running(frames.frame(1, [*found, pause, cage]), size=(160, 48)) as driven:
        assert "pod sandbox" in driven.line(" pause ")
        assert "own sandbox" in driven.line(" renderer ")
        assert "programs that shut parts of themselves in" in driven.text
        driven.app.screen.table.select("cage")
        await driven.pilot.pause()
        assert "a program's own sandbox" in driven.text
        await driven.press("enter")
        assert "runs inside    web" in driven.text


async def test_a_key_in_the_same_instant_as_enter_is_for_the_table() -> None:
    async with running(size=(160, 48), keys=("slash",)) as driven:
        await driven.type("e")
        table = driven.app.screen.table
        before = table.items.index(table.selected)
        for key in ("enter", "j", "j"):
            driven.app.post_message(events.Key(key, None if key == "enter" else key))
        await driven.until(lambda: table.items.index(table.selected) == before + 2)
        assert driven.app.screen.query_one("FilterBar Input").value == "e"
        await driven.press("slash")
        await driven.type("b")
        assert driven.app.screen.query_one("FilterBar Input").value == "eb", (
            "it can be typed in again"
        )


async def test_what_is_typed_in_the_same_instant_as_the_slash_is_the_filter() -> None:
    async with running(size=(160, 48)) as driven:
        for key in ("slash", "w", "e", "slash", "b"):
            driven.app.post_message(events.Key(key, "/" if key == "slash" else key))
        await driven.until(lambda: driven.app.screen.query_one("FilterBar Input").value == "we/b")
