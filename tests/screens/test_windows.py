"""The screens on namespaces, layers, cgroups and events."""

from datetime import timedelta

import pytest
from msgspec import structs

from inspector.domains.events.model import Account
from tests.screens import frames
from tests.screens.driving import running

WEB, SIDECAR, WORKER, CACHE = ("01" * 32, "02" * 32, "03" * 32, "04" * 32)


async def test_namespaces_hang_below_the_user_namespace_that_owns_them() -> None:
    async with running(size=(160, 60), keys=("2",)) as driven:
        lines = driven.lines
        first = next(i for i, line in enumerate(lines) if line.startswith("user 4026531837"))
        inner = next(i for i, line in enumerate(lines) if "─ user 4026532803" in line)
        assert inner > first
        assert "└─ mnt 4026532801" in "\n".join(lines[inner:]) or "├─ mnt 4026532801" in "\n".join(
            lines[inner:]
        )
        assert "uid 0 → 1000" in lines[inner]


async def test_the_matrix_says_whose_each_namespace_is() -> None:
    async with running(size=(160, 60), keys=("2",)) as driven:
        rows = {row.container.name: row.marks for row in driven.app.screen.matrix.items}
        assert rows["web"]["net"] == rows["sidecar"]["net"] == "A●"
        assert rows["worker"]["net"] == "●"
        assert rows["web"]["user"] == "·"
        assert rows["unshare·21844"]["net"] == "·"
        assert rows["unshare·21844"]["user"] == "●"
        assert "batch-7f" not in rows, "what does not run is in no namespace"
        assert "A●" in driven.line("sidecar ")


async def test_a_namespace_without_a_process_says_what_holds_it() -> None:
    async with running(size=(160, 60), keys=("2", "slash")) as driven:
        driven.app.screen.query_one("FilterBar Input").value = "blue"
        await driven.pilot.pause()
        assert "nobody: held by bind /run/netns/blue" in driven.text


async def test_a_namespace_that_systemd_gave_a_service_names_the_service() -> None:
    whole = frames.frame(1)
    spaces = whole.namespaces
    inode = next(one.inode for one in spaces if not one.host and one.processes)
    spaces = tuple(
        structs.replace(one, services=("ntpd.service",), containers=())
        if one.inode == inode
        else one
        for one in spaces
    )
    async with running(
        structs.replace(whole, namespaces=spaces), size=(160, 40), keys=("2",)
    ) as driven:
        driven.app.screen.rows.select(str(inode))
        await driven.pilot.pause()
        assert "of ntpd.service" in driven.line(f" {inode} ")
        assert "systemd gave it, no container" in driven.text


async def test_the_selected_namespace_is_told_in_words() -> None:
    async with running(size=(160, 60), keys=("2",)) as driven:
        driven.app.screen.rows.select("4026532114")
        await driven.pilot.pause()
        text = driven.text
        assert "interfaces, addresses, routes" in text
        assert "20100 (1 inside)" in text
        assert "eth0 ⇄ veth00a" in text
        assert "owned by user namespace 4026531837" in text


async def test_on_a_narrow_screen_tab_shows_the_other_pane() -> None:
    async with running(size=(80, 24), keys=("2",)) as driven:
        assert "WHO IS IN IT" in driven.text
        assert "SHARING" not in driven.text
        await driven.press("tab")
        assert "SHARING" in driven.text
        assert "WHO IS IN IT" not in driven.text
        await driven.press("tab")
        assert "WHO IS IN IT" in driven.text


async def test_the_stack_is_shown_from_what_the_container_sees_down() -> None:
    async with running(size=(160, 40), keys=("l",)) as driven:
        names = [row.layer.role for row in driven.app.screen.stack.items]
        assert names == ["merged", "upper", "lower", "lower", "lower", "lower", "work"]
        assert [row.layer.index for row in driven.app.screen.stack.items][2:6] == [0, 1, 2, 3]
        assert "+12 ~4 -2 ▒1  grows 78.1K/s" in driven.text
        assert "shared with" in driven.text


async def test_what_is_changed_is_listed_and_explained() -> None:
    async with running(size=(160, 40), keys=("l",)) as driven:
        for mark, path in (
            ("↑ copied up", "/etc/passwd"),
            ("- deleted", "/etc/motd"),
            ("▒ opaque", "/var/cache/"),
        ):
            line = driven.line(path)
            assert mark in line
        await driven.press("tab")
        driven.app.screen.views.front.select("/etc/motd")
        await driven.pilot.pause()
        assert "whiteout" in driven.text
        assert "before      lower 1" in driven.text
        driven.app.screen.views.front.select("/var/cache")
        await driven.pilot.pause()
        assert "nothing of the layers below it shows through" in driven.text


async def test_another_container_s_layers_are_one_key_away() -> None:
    async with running(size=(160, 40), keys=("3",)) as driven:
        first = driven.app.screen.subject()
        await driven.press("right")
        second = driven.app.screen.subject()
        assert second != first
        await driven.press("left")
        assert driven.app.screen.subject() == first
        await driven.press("p", "G", "enter")
        assert driven.app.screen.subject() not in {None, first}


async def test_a_container_without_layers_says_so() -> None:
    async with running(size=(160, 40)) as driven:
        driven.app.screen.table.select("unshare-21844")
        await driven.pilot.pause()
        await driven.press("l")
        assert "no layers of its own" in driven.text


async def test_the_tree_of_cgroups_shows_numbers_limits_and_names() -> None:
    async with running(size=(160, 40), keys=("4",)) as driven:
        line = driven.line("● web")
        assert "010101010101…" in line
        assert "⊥64.0M" in line
        assert "5 ⊥50" in line
        assert "❄ cache" in driven.text
        pressed = driven.line("▲ worker")
        assert "0.50 ⊥0.5" in pressed
        assert "71 %" in pressed
        assert "↑2" in driven.line("● api"), "an ancestor's limit points up to it"


async def test_a_branch_is_folded_and_unfolded() -> None:
    async with running(size=(160, 40), keys=("4",)) as driven:
        driven.app.screen.table.select(":/docker")
        await driven.press("left")
        assert "● web" not in driven.text
        assert "▸ docker" in driven.text
        await driven.show(frames.frame(2))
        assert "● web" not in driven.text
        await driven.press("right")
        assert "● web" in driven.text
        await driven.press("left", "left")
        assert driven.app.screen.table.selected.item.path == "/"


async def test_a_filter_keeps_what_is_above_what_it_accepts() -> None:
    async with running(size=(160, 40), keys=("4", "slash")) as driven:
        driven.app.screen.query_one("FilterBar Input").value = "0505"
        await driven.pilot.pause()
        paths = [branch.item.path for branch in driven.app.screen.table.items]
        assert paths == [
            "/",
            "/kubepods",
            "/kubepods/burstable",
            "/kubepods/burstable/pod5d",
            "/kubepods/burstable/pod5d/" + "05" * 32,
        ]


async def test_graphs_name_the_limit_and_whose_it_is() -> None:
    steps = [frames.frame(step) for step in range(4)]
    async with running(*steps, size=(200, 50)) as driven:
        driven.app.screen.table.select("05" * 32)
        await driven.pilot.pause()
        await driven.press("c", "z")
        text = driven.text
        assert "⊥ 2.00 of /kubepods/burstable/pod5d" in text
        assert "⊥ 512M of /kubepods/burstable/pod5d" in text
        assert text.count("now") >= 5, "the graphs share one time axis"
        assert "⣀" in text or "⣿" in text or "⢀" in text or "⢸" in text or "⣶" in text


async def test_hierarchies_of_v1_stand_beside_each_other_the_lesser_ones_folded() -> None:
    whole = frames.frame(1)
    groups = tuple(
        type(one)(**{**{n: getattr(one, n) for n in one.__struct_fields__}, "hierarchy": hierarchy})
        for hierarchy in ("memory", "cpu,cpuacct", "devices", "pids")
        for one in whole.cgroups
    )
    split = type(whole)(
        **{
            **{n: getattr(whole, n) for n in whole.__struct_fields__},
            "cgroups": groups,
        }
    )
    async with running(split, size=(160, 60), keys=("4", "m")) as driven:
        assert "▾ / memory" in driven.text
        assert "▾ / cpu,cpuacct" in driven.text
        assert "▸ / devices" in driven.text
        await driven.press("1")
        driven.app.screen.table.select(WEB)
        await driven.pilot.pause()
        await driven.press("c")
        assert driven.app.screen.table.selected.item.hierarchy in {"memory", "cpu,cpuacct"}
        assert driven.app.screen.subject() == WEB


async def test_hierarchies_of_v1_are_one_tree_and_on_demand_a_tree_each() -> None:
    whole = frames.frame(1)
    known = {"memory": ("memory",), "cpu": ("cpu",), "pids": ("pids",), "": ("pressure", "io")}
    groups = []
    for hierarchy, kept in known.items():
        for one in whole.cgroups:
            fields = {name: getattr(one, name) for name in one.__struct_fields__}
            parts = ("cpu", "memory", "io", "pids", "pressure")
            fields |= {part: fields[part] if part in kept else None for part in parts}
            groups.append(type(one)(**{**fields, "hierarchy": hierarchy}))
    split = type(whole)(
        **{
            **{n: getattr(whole, n) for n in whole.__struct_fields__},
            "cgroups": tuple(groups),
        }
    )
    async with running(split, size=(160, 60), keys=("4",)) as driven:
        assert "m by hierarchy" in driven.lines[-1]
        assert [b.item.path for b in driven.app.screen.table.items].count("/docker") == 1
        line = driven.line("● web")
        for part in ("⊥64.0M", "5 ⊥50", "1 %"):
            assert part in line
        driven.app.screen.table.select("all:/docker")
        await driven.pilot.pause()
        for title in ("cpu cores", "memory", "pids", "io/s"):
            assert title in driven.text
        await driven.press("m")
        assert driven.app.screen.table.selected.item.path == "/docker"
        assert [b.item.path for b in driven.app.screen.table.items].count(
            "/docker"
        ) == 3  # pids' is folded


@pytest.mark.parametrize(
    ("screen", "typed", "seen", "unseen"),
    [
        ("2", "worker", "4026532130", "4026532110"),
        ("2", "type=net", "4026532114", "mnt 402"),
        ("4", "worker", "▲ worker", "● web"),
        ("4", "container=web", "● web", "▲ worker"),
        ("4", "memory>300M", "▲ worker", "● web"),
        ("5", "worker", "oom", "/tasks/create"),
        ("5", "container=worker topic=oom", "oom", " die "),
        ("5", "source=docker", "die", "oom"),
    ],
)
async def test_a_filter_knows_containers_by_name(screen, typed, seen, unseen) -> None:
    async with running(size=(160, 60), keys=(screen, "slash")) as driven:
        driven.app.screen.query_one("FilterBar Input").value = typed
        await driven.pilot.pause()
        body = "\n".join(driven.lines[2:-14])
        assert seen in body
        assert unseen not in body


async def test_events_have_the_time_since_the_one_before() -> None:
    async with running(size=(160, 40), keys=("5",)) as driven:
        assert "+5 ms" in driven.line("/tasks/create")
        assert "pid 20700" in driven.line("/tasks/create")
        assert driven.line(" oom ").startswith("✖")
        assert driven.line(" die ").startswith("✖"), "exit status 137"
        assert driven.line(" pause ").startswith("❄")


async def test_events_of_what_went_away_still_have_its_name() -> None:
    async with running(size=(160, 40), keys=("5",)) as driven:
        await driven.show(frames.frame(2, []))
        assert "worker" in driven.line(" oom ")


async def test_the_stream_follows_the_newest_until_the_cursor_is_moved_up() -> None:
    async with running(frames.frame(6), size=(160, 20), keys=("5",)) as driven:
        table = driven.app.screen.table
        assert table.selected is table.items[-1]
        await driven.show(frames.frame(12))
        assert table.selected is table.items[-1]
        await driven.press("k")
        at = table.selected
        await driven.show(frames.frame(40))
        assert table.selected == at
        await driven.press("G")
        await driven.show(frames.frame(50))
        assert table.selected is table.items[-1]


async def test_an_event_opens_its_whole_body() -> None:
    async with running(size=(160, 40), keys=("5",)) as driven:
        table = driven.app.screen.table
        for _ in range(20):
            if table.selected.topic == "die":
                break
            await driven.press("k")
        assert table.selected.topic == "die"
        await driven.press("enter")
        assert '"Attributes": {' in driven.text
        assert '"image": "shop/worker:9"' in driven.text
        await driven.press("escape")
        assert driven.app.current_mode == "events"


async def test_a_start_is_drawn_as_a_waterfall_of_its_steps() -> None:
    async with running(size=(120, 40), keys=("5", "g", "w")) as driven:
        text = driven.text
        assert "demo: step by step" in text
        assert "4 events in 10 ms" in text
        assert "+5 ms" in driven.line("/tasks/create")
        bars = [
            line.index("●") for line in driven.lines if "━" in line and "●" in line and "│" in line
        ]
        assert bars == sorted(bars)


async def test_one_container_s_events_and_then_all_again() -> None:
    async with running(size=(160, 40)) as driven:
        driven.app.screen.table.select(WORKER)
        await driven.pilot.pause()
        await driven.press("e")
        assert {event.container for event in driven.app.screen.table.items} == {WORKER}
        assert "all (only worker now)" in driven.lines[-1]
        await driven.press("escape")
        assert len({event.container for event in driven.app.screen.table.items}) > 1


@pytest.mark.parametrize("key", ["2", "3", "4", "5"])
async def test_a_frame_without_these_sections_is_an_empty_screen(key: str) -> None:
    whole = frames.frame(1)
    bare = type(whole)(
        taken_at=whole.taken_at, cost=whole.cost, host=whole.host, engines=whole.engines
    )
    async with running(
        bare, keys=(key, "j", "k", "G", "g", "enter", "tab", "left", "right")
    ) as driven:
        assert driven.app.is_running


async def test_an_event_tells_who_else_told_of_it_and_its_container_s_name_of_then() -> None:
    whole = frames.frame(1)
    last = whole.events[-1]
    told = structs.replace(
        last,
        container="77" * 32,
        container_name="gone-by-now",
        seen_by=(Account("docker", "die", last.timestamp + timedelta(milliseconds=3)),),
    )
    shown = structs.replace(whole, events=(*whole.events[:-1], told))
    async with running(shown, size=(160, 40), keys=("5", "G")) as driven:
        assert "gone-by-now" in driven.text
        assert "docker as die, 3 ms later" in driven.text
        await driven.press("enter")
        assert "docker as die, 3 ms later" in driven.text


async def test_births_and_ends_of_processes_do_not_bury_what_else_happens() -> None:
    whole = frames.frame(1)
    last = whole.events[-1]
    births = tuple(
        structs.replace(
            last,
            topic="process-born",
            source="kernel",
            event={"pid": 4000 + number},
            timestamp=last.timestamp + timedelta(milliseconds=number),
        )
        for number in range(50)
    )
    shown = structs.replace(whole, events=(*whole.events, *births))
    async with running(shown, size=(160, 40), keys=("5",)) as driven:
        assert "process-born" not in driven.text
        assert "p processes" in driven.lines[-1]
        await driven.press("p")
        assert driven.text.count("process-born") > 20
        await driven.press("k", "k", "k")
        assert driven.app.screen.table.selected.event["pid"] == 4046, "each is one by itself"
        await driven.press("p")
        assert "process-born" not in driven.text
        await driven.press("slash")
        await driven.type("process")
        assert "process-born" in driven.text
