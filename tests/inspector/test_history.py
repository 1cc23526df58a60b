"""What is remembered of the last samples."""

from hypothesis import given
from hypothesis import strategies as st

from inspector.history import History, Track
from tests.screens import frames


def test_the_newest_value_is_the_last_and_what_was_before_the_first_is_unknown() -> None:
    history = History(capacity=10)
    for step in range(3):
        history.add(frames.frame(step))
    worker = frames.containers(2)[2]
    values = history.container(worker).last("cpu_cores", 5)
    assert values == (None, None, None, 0.5, 0.5), "the first sample has no rate yet"


def test_a_container_of_the_same_id_with_another_process_starts_from_nothing() -> None:
    history = History()
    history.add(frames.frame(1))
    again = frames.container("web", 1, pid=99)
    assert history.container(again) is None


def test_a_cgroup_made_anew_at_the_same_path_starts_from_nothing() -> None:
    history = History()
    frame = frames.frame(1)
    history.add(frame)
    old = frame.cgroups[0]
    anew = type(old)(**{**{n: getattr(old, n) for n in old.__struct_fields__}, "inode": 5})
    assert history.cgroup(old) is not None
    assert history.cgroup(anew) is None


def test_samples_that_something_was_missing_from_are_gaps() -> None:
    history = History()
    history.add(frames.frame(1))
    history.add(frames.frame(2, []))
    history.add(frames.frame(3))
    worker = frames.containers(3)[2]
    assert history.container(worker).last("cpu_cores", 3) == (0.5, None, 0.5)


def test_what_is_gone_for_long_is_forgotten() -> None:
    history = History()
    history.add(frames.frame(1))
    full = len(history)
    for step in range(2, 2 + 3 * History.GRACE):
        history.add(frames.frame(step, []))
    assert full > 0
    assert len(history) == 0


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(1, 4), st.none() | st.floats(0, 100)), max_size=80),
)
def test_a_track_keeps_the_last_values_and_no_more(capacity: int, steps) -> None:
    track = Track(capacity)
    told: list[float | None] = []
    serial = 0
    for skip, value in steps:
        serial += skip
        if told:
            told += [None] * (skip - 1)
        told.append(value)
        track.append({"pids": value}, serial=serial)
    count = min(capacity, len(told))
    expected = tuple(told[len(told) - count :]) if count else ()
    assert track.last("pids", capacity)[capacity - count :] == expected
    room = 2 * capacity
    assert all(len(values) <= room for values in track._values.values())
