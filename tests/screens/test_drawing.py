"""The pure parts of drawing: cells, bars, graphs, trees, columns that fit, words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from inspector import units
from inspector.columns import Column
from inspector.domains.cgroups.model import Finding
from screens import short
from screens.event_log import EventLog
from screens.verdict import judge
from screens.widgets import cells, graph
from screens.widgets.table_columns import Shown, laid_out
from screens.widgets.trees import flatten
from tests.screens import frames

VALUES = st.lists(st.none() | st.floats(0, 1e9), max_size=80)


@given(st.floats(0, 2), st.integers(3, 20))
def test_a_bar_takes_its_cells_and_shows_that_little_is_not_nothing(
    ratio: float, width: int
) -> None:
    drawn = cells.bar(ratio, width)
    assert len(drawn) == width
    assert (drawn[1:-1].strip() != "") is (ratio > 0)


@given(VALUES)
def test_a_sparkline_has_a_cell_for_each_value_and_a_gap_where_none_is_known(values) -> None:
    drawn = cells.spark(values)
    assert len(drawn) == len(values)
    assert [char == " " for char in drawn] == [value is None for value in values]


@given(VALUES, st.integers(1, 20))
def test_values_are_gathered_into_as_many_as_there_is_room_for(values, count: int) -> None:
    assert len(cells.bucket(values, count)) == (count if values else 0)


@given(st.text(max_size=60), st.integers(1, 20))
def test_a_wrapped_text_loses_nothing_and_fits(text: str, width: int) -> None:
    from screens import safe

    rows = cells.wrapped(text, max(2, width))
    assert all(safe.width(row) <= max(2, width) for row in rows)
    assert "".join(rows).replace(" ", "") == safe.text(text).replace(" ", "")


def plot(values, **changes) -> graph.Plot:
    return graph.Plot(
        **{"title": "cpu", "values": values, "show": lambda value: f"{value:.2f}", **changes}
    )


@given(VALUES, st.integers(1, 60), st.integers(1, 12), st.none() | st.floats(0, 1e9))
def test_a_graph_fills_its_room_exactly(values, width: int, height: int, limit) -> None:
    lines = graph.graph(plot(values, limit=limit), width, height)
    assert len(lines) <= height
    assert {cells.length(line) for line in lines} == {width}


def test_a_steady_value_is_drawn_as_steady_with_its_number() -> None:
    lines = graph.graph(plot([0.5] * 40), 26, 6)
    text = ["".join(value for value, _ in line) for line in lines]
    assert text[0].startswith("cpu 0.50")
    assert "⣿" * 20 in text[-2]
    assert text[-1].strip().startswith("40s ago")
    assert text[-1].rstrip().endswith("now")


def test_a_limit_in_sight_is_a_line_and_use_near_it_is_marked() -> None:
    lines = graph.graph(plot([0.1] * 20 + [0.5] * 4, limit=0.5, limited_by="of /a"), 40, 8)
    text = "\n".join("".join(value for value, _ in line) for line in lines)
    assert "╌" in text
    assert "⊥ 0.50 of /a" in text
    tones = {tone for line in lines[1:-1] for value, tone in line if "⣿" in value or "⢸" in value}
    assert "pressed" in tones


def test_a_limit_far_away_is_named_and_not_drawn() -> None:
    lines = graph.graph(plot([0.1] * 20, limit=64.0), 40, 8)
    text = "\n".join("".join(value for value, _ in line) for line in lines)
    assert "⊥ 64.00" in text
    assert "╌" not in text


def test_an_oom_kill_is_a_mark_at_its_time() -> None:
    values = [1.0] * 10
    lines = graph.graph(plot(values, marks=frozenset({6}), mark_text="OOM"), 11, 6)
    first = "".join(value for value, _ in lines[1])
    assert first.index("✖") == (22 - 10 + 6) // 2


def test_unknown_samples_are_gaps() -> None:
    lines = graph.graph(plot([None] * 10 + [1.0] * 10), 10, 5)
    assert "".join(value for value, _ in lines[-2]).startswith(" " * 5)


@given(st.integers(0, 8), st.integers(1, 200), st.integers(1, 60))
def test_a_grid_of_graphs_stays_within_its_room(count: int, width: int, height: int) -> None:
    lines = graph.grid([plot([1.0, 2.0])] * count, width, height)
    assert len(lines) <= height
    assert all(cells.length(line) <= width for line in lines)


@given(st.dictionaries(st.integers(0, 20), st.none() | st.integers(0, 25), max_size=20))
def test_a_tree_shows_every_item_once_whatever_its_parents_are(parents) -> None:
    items = list(parents)

    def above(item: int) -> str | None:
        return None if parents[item] is None else str(parents[item])

    rows = flatten(items, str, above)
    assert sorted(row.item for row in rows) == sorted(items)


def test_a_folded_branch_hides_what_is_below_it() -> None:
    rows = flatten(
        ["a", "a/b", "a/b/c", "d"], str, lambda one: one.rpartition("/")[0] or None, {"a"}
    )
    assert [row.item for row in rows] == ["a", "d"]
    assert rows[0].mark == "▸ "


def test_branches_are_joined_by_lines() -> None:
    rows = flatten(["a", "a/b", "a/c", "a/b/d"], str, lambda one: one.rpartition("/")[0] or None)
    assert [row.prefix for row in rows] == ["", "├─ ", "│  └─ ", "└─ "]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(0, 3)), max_size=10),
    st.integers(0, 200),
)
def test_columns_fit_and_the_important_ones_stay(wishes, width: int) -> None:
    columns = [
        Shown(
            column=Column(str(place), "", lambda _: None, width=least), priority=priority, grow=grow
        )
        for place, (priority, least, grow) in enumerate(wishes)
    ]
    chosen = laid_out(columns, width)
    always = [one for one in columns if one.priority == 0]
    assert all(any(one is kept for kept, _ in chosen) for one in always)
    if sum(one.least + 1 for one in always) <= width:
        assert sum(cell + 1 for _, cell in chosen) <= width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "0.98K"),
        (1024, "1.00K"),
        (40_000_000, "38.1M"),
        (2**30 * 3 / 2, "1.50G"),
        (-2048, "-2.00K"),
        (2**80, "1048576E"),
    ],
)
def test_sizes_are_three_digits_long(value: float, text: str) -> None:
    assert units.size(value) == text


@given(st.floats(0, 2**62))
def test_a_size_fits_its_column(value: float) -> None:
    assert len(units.size(value)) <= 5


@pytest.mark.parametrize(
    ("seconds", "brief", "full"),
    [
        (0, "0s", "0s"),
        (59.9, "59s", "59s"),
        (250, "4m", "4m 10s"),
        (86400 * 2 + 3600 * 3, "2d", "2d 3h"),
        (86400 * 400, "1y", "400d"),
        (-3, "0s", "0s"),
    ],
)
def test_durations_are_as_long_as_needed(seconds: float, brief: str, full: str) -> None:
    assert units.duration(seconds) == brief
    assert units.long_duration(seconds) == full


def test_long_ids_are_cut_as_engines_cut_them() -> None:
    assert short.ids("/docker/" + "ab" * 32 + ".scope") == "/docker/abababababab….scope"
    assert short.ids("/system.slice/deadbeef") == "/system.slice/deadbeef"


def test_an_event_that_is_said_twice_is_kept_once_and_in_its_order() -> None:
    log = EventLog(capacity=5)
    log.add(frames.frame(0))
    log.add(frames.frame(0))
    assert len(log.snapshot()) == 5
    log.add(frames.frame(30))
    times = [event.timestamp for event in log.snapshot()]
    assert times == sorted(times)
    assert len(times) == 5


def test_no_reason_is_given_where_nothing_is_wrong() -> None:
    web = frames.containers(1)[0]
    verdict = judge(web)
    assert (verdict.mark, verdict.reasons) == ("●", ())


def found(kind: str, severity: str, **numbers: float) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        cgroup="/a",
        sentence=f"{kind} of /docker/{'ab' * 32}",
        numbers=numbers,
        window_seconds=None,
    )


@pytest.mark.parametrize(
    ("finding", "mark", "brief", "tone"),
    [
        (found("cpu_throttled", "critical", ratio=0.71), "▲", "throttled 71 %", "pressed"),
        (found("memory_near_limit", "warning", ratio=0.95), "▲", "memory 95 %", "pressed"),
        (found("pids_near_limit", "warning", current=48, limit=50), "▲", "pids 48/50", "pressed"),
        (found("io_pressure", "warning", some=0.3), "▲", "waits for io 30 %", "pressed"),
        (found("oom_kill", "critical", kills=5, new_kills=1), "✖", "OOM kill", "failed"),
        (found("oom_kill", "notice", kills=5, new_kills=0), "●", "5 OOM kills", "dim"),
        (found("of_the_future", "warning"), "▲", "of the future", "pressed"),
    ],
)
def test_a_finding_gives_the_mark_and_says_the_same_shortly_and_in_full(
    finding, mark, brief, tone
) -> None:
    verdict = judge(structs.replace(frames.containers(1)[0], findings=(finding,)))
    (reason,) = verdict.reasons
    assert (verdict.mark, reason.brief, reason.tone) == (mark, brief, tone)
    assert reason.full == f"{finding.kind} of /docker/abababababab…"
