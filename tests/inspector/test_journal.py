"""The journal of events: bounded, by one writer, whole after whatever happened to it."""

import contextlib
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector import journal as journals
from inspector.domains.events.model import Account, Event
from inspector.journal import Journal
from tests.inspector.canned import WHEN, A


def event(number: int = 0, topic: str = "x", **more: object) -> Event:
    fields: dict[str, object] = {"event": {"number": number}, "monotonic_seconds": 5.0, **more}
    return Event(
        timestamp=WHEN + timedelta(seconds=number),
        source="docker",
        topic=topic,
        engine_namespace=None,
        container=A,
        **fields,
    )


def opened(directory: Path, *, boot_id: str = "b1", write: bool = True, **more: int) -> Journal:
    return Journal(str(directory), boot_id=boot_id, write=write, **more)


def numbers(journal: Journal) -> list[int]:
    return [one.event["number"] for one in journal.read()]


def test_what_was_written_is_read_again(tmp_path):
    told = event(1, seen_by=(Account("kernel", "gone", WHEN),), container_name="web\udcff")
    with contextlib.closing(opened(tmp_path / "deep" / "events")) as journal:
        assert journal.append([told, event(2)])
    (first, second) = opened(tmp_path / "deep" / "events", write=False).read()
    assert (first.event, first.seen_by, first.monotonic_seconds) == ({"number": 1}, told.seen_by, 5)
    assert second == event(2)


def test_only_those_since_a_time_are_read(tmp_path):
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append(event(number) for number in range(5))
        assert len(journal.read(WHEN + timedelta(seconds=3))) == 2


def test_one_writes_and_the_next_takes_over_when_it_ends(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    assert first.append([event(1)])
    assert not second.append([event(1), event(2)])
    first.close()
    # The next was told the same, and knows what is there.
    assert second.append([event(1), event(3)])
    second.close()
    assert numbers(second) == [1, 3]


def test_what_an_engine_tells_again_is_there_once(tmp_path):
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(1)])
        journal.append([event(1), event(2)])
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(1), event(2), event(3)])
        assert numbers(journal) == [1, 2, 3]


def test_it_is_bounded_and_keeps_the_newest(tmp_path):
    with contextlib.closing(opened(tmp_path, limit_bytes=2000)) as journal:
        for number in range(200):
            journal.append([event(number)])
        found = numbers(journal)
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) < 5000
    assert found == list(range(found[0], 200))
    assert len(found) > 5


def test_processes_do_not_push_out_the_others(tmp_path):
    with contextlib.closing(opened(tmp_path, limit_bytes=2000)) as journal:
        journal.append([event(0, "/container/die")])
        for number in range(1, 100):
            journal.append([event(number, "process-exit")])
        assert journal.read()[0].topic == "/container/die"


def test_a_torn_line_costs_itself_only(tmp_path):
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(1)])
    with (tmp_path / "stream.ndjson").open("ab") as file:
        file.write(b'{"timestamp":"2026-11-24T12:0')
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(2)])
        assert numbers(journal) == [1, 2]


def test_the_monotonic_clock_of_another_boot_is_not_told(tmp_path):
    for boot in ("b1", "b2"):
        with contextlib.closing(opened(tmp_path, boot_id=boot)) as journal:
            journal.append([event(int(boot[1]))])
    found = opened(tmp_path, boot_id="b2", write=False).read()
    assert [one.monotonic_seconds for one in found] == [None, 5.0]


def test_who_may_not_write_leaves_no_trace(tmp_path):
    journal = opened(tmp_path / "none", write=False)
    assert not journal.append([event(1)])
    assert journal.read() == []
    assert not (tmp_path / "none").exists()


def test_an_event_that_is_too_long_is_cut(tmp_path):
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(1, event={"text": "x" * 100_000})])
        (found,) = journal.read()
    assert found.event["left_out_bytes"] > 100_000


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    journal = opened(tmp_path / "file" / "events")
    assert not journal.append([event(1)])
    assert journal.problem is not None
    assert journal.problem.path == str(tmp_path / "file" / "events")


FULL = """
import os, sys
sys.path.insert(0, sys.argv[2])
os.mkdir(sys.argv[1])
os.system(f"mount -t tmpfs -o size=64k tmpfs {sys.argv[1]}")
from pathlib import Path
from tests.inspector.test_journal import event, numbers, opened
journal = opened(Path(sys.argv[1]) / "events")
journal.append([event(1)])
assert journal.problem is None, journal.problem
filler = Path(sys.argv[1], "filler")
try:
    filler.write_bytes(bytes(1 << 20))
except OSError:
    pass
journal.append([event(number, "x" * 9000) for number in range(2, 20)])
assert "No space left" in journal.problem.message, journal.problem
filler.unlink()
journal.append([event(99)])
assert journal.problem is None, journal.problem
assert numbers(journal)[0] == 1
assert numbers(journal)[-1] == 99, numbers(journal)
"""


@pytest.mark.root
def test_a_disk_that_is_full_costs_what_did_not_fit_and_a_word(tmp_path):
    here = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        ("unshare", "--mount", sys.executable, "-c", FULL, str(tmp_path / "small"), here),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "stream.ndjson").symlink_to(tmp_path / "victim")
    with contextlib.closing(opened(tmp_path)) as journal:
        journal.append([event(1)])
        assert journal.problem is not None
    assert not (tmp_path / "victim").exists()


@pytest.mark.root
def test_another_users_file_is_not_written(tmp_path):
    path = tmp_path / "stream.lock"
    path.write_text("")
    os.chown(path, 12345, 12345)
    journal = opened(tmp_path)
    assert not journal.append([event(1)])
    assert "not a file of user" in journal.problem.message


def test_several_processes_at_once_leave_one_whole_journal(tmp_path):
    script = (
        "import sys, time\n"
        "from tests.inspector.test_journal import event, opened\n"
        "from pathlib import Path\n"
        "journal = opened(Path(sys.argv[1]))\n"
        "for number in range(60):\n"
        "    journal.append([event(number)])\n"
        "    time.sleep(0.002)\n"
        "journal.close()\n"
    )
    started = [
        subprocess.Popen(
            (sys.executable, "-c", script, str(tmp_path)), cwd=Path(__file__).parents[2]
        )
        for _ in range(3)
    ]
    assert [one.wait(60) for one in started] == [0, 0, 0]
    found = numbers(opened(tmp_path, write=False))
    assert found == sorted(set(found))
    assert found[-1] == 59


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_bytes_of_any_kind_are_events_or_left_out(lines):
    for one in journals.events(b"\n".join(lines), "b1"):
        assert isinstance(one, Event)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_journal_that_was_cut_anywhere_goes_on(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("cut")
    with contextlib.closing(opened(directory)) as journal:
        journal.append([event(number) for number in range(4)])
    path = directory / "stream.ndjson"
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
    with contextlib.closing(opened(directory)) as journal:
        journal.append([event(9)])
        found = numbers(journal)
    assert found[-1] == 9
    assert found[:-1] == list(range(len(found) - 1))
