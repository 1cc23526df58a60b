"""The figures below the tree of cgroups: kills, devices, nodes, what is left over; and verdicts."""

from msgspec import structs

from inspector.domains.cgroups.model import Cpuset, IoLimit
from screens.cgroups.figures import figures
from tests.screens import frames
from tests.screens.driving import running

WORKER = "03" * 32


def deep():
    """Return worker's cgroup with everything that version 2 tells."""
    (found,) = [one for one in frames.frame(1).cgroups if one.container == WORKER]
    limit = IoLimit(
        device="254:0",
        name="vda",
        read_bytes=None,
        read_bytes_limited_by=None,
        write_bytes=1 << 20,
        write_bytes_limited_by="/docker",
        read_ops=None,
        read_ops_limited_by=None,
        write_ops=None,
        write_ops_limited_by=None,
    )
    return structs.replace(
        found,
        memory=structs.replace(
            found.memory,
            oom_kills=7,
            oom_kills_below=2,
            oom_kills_gone=4,
            oom_group=True,
            high_bytes=400 << 20,
            high_limited_by="/docker",
            stat={"anon_bytes": 370 << 20, "pgfault": 12},
            events={"high": 12, "max": 3, "low": 0},
            numa={"anon": {"N0": 300 << 20, "N1": 70 << 20}},
        ),
        io=structs.replace(found.io, limits=(limit,), weight=100),
        cpuset=Cpuset(
            cpus="0-1",
            mems=None,
            effective_cpus="0-1",
            effective_mems="0",
            cpus_limited_by="/docker",
            mems_limited_by=None,
            partition=None,
            memory_migrate=None,
        ),
        descendants=3,
        dying_descendants=12,
        type="domain",
        subtree_control=("cpu", "memory"),
    )


def drawn(width: int) -> list[str]:
    lines = figures([deep()], width)
    return ["".join(text for text, _ in line) for line in lines]


def test_kills_are_told_by_where_they_were() -> None:
    (line,) = [one for one in drawn(100) if "OOM kills" in one]
    assert "OOM kills    7  in cgroups below 2  in removed ones 4" in line
    assert "memory.oom.group" in line


def test_every_figure_has_its_name() -> None:
    text = "\n".join(drawn(100))
    for part in (
        "high 400M (/docker)",
        "max 434M (its own cgroup)",
        "anon 370M",
        "high 12  max 3",
        "anon on      N0 300M  N1 70.0M",
        "vda      r  2.96M/s w      0/s",
        "w ≤1.00M/s",
        "io weight    100",
        "cpus 0-1 (/docker), memory nodes 0",
        "3 cgroups, 12 removed and still kept",
        "domain; hands down cpu, memory",
    ):
        assert part in text, text
    assert "pgfault" not in text
    assert "low 0" not in text


def test_two_columns_lose_nothing() -> None:
    wide = "\n".join(drawn(170))
    for part in ("OOM kills", "anon on", "vda", "below it", "type"):
        assert part in wide


async def test_figures_take_the_place_of_graphs_and_give_it_back() -> None:
    async with running(size=(160, 40)) as driven:
        driven.app.screen.table.select(WORKER)
        await driven.pilot.pause()
        await driven.press("c")
        assert "cpu cores" in driven.text
        await driven.press("i")
        assert "cpu cores" not in driven.text
        assert "vda" in driven.line(" io   ")
        await driven.show(frames.frame(2))
        assert "vda" in driven.line(" io   ")
        await driven.press("i")
        assert "cpu cores" in driven.text


async def test_the_pane_says_in_sentences_what_is_wrong_with_a_cgroup() -> None:
    async with running(size=(160, 40)) as driven:
        driven.app.screen.table.select(WORKER)
        await driven.pilot.pause()
        await driven.press("c")
        assert "▲ throttled 71 % of periods by cpu.max of /docker/030303030303…" in driven.text
        driven.app.screen.table.select(":/docker")
        await driven.pilot.pause()
        assert "throttled 71" not in driven.text
        await driven.press("i")
        assert "150 removed and still kept" in driven.text


async def test_the_page_of_a_container_says_each_sentence_whole_however_narrow_it_is() -> None:
    async with running(size=(60, 40)) as driven:
        driven.app.screen.table.select(WORKER)
        await driven.pilot.pause()
        await driven.press("enter")
        text = " ".join(" ".join(driven.lines).split())
        assert "0.5 cores" in text
        assert "set by memory.max of" in text


async def test_the_table_says_a_sentence_where_it_fits_and_a_few_words_where_not() -> None:
    async with running(size=(300, 40)) as driven:
        assert "by cpu.max of /docker/030303030303…" in driven.line("▲ worker")
    async with running(size=(160, 40)) as driven:
        assert "throttled 71 %" in driven.line("▲ worker")
