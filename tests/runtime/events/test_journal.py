"""The journal: many writers, torn lines, rotation, readers that follow."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.events import journal, reader

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events" / "journal.ndjson")


def write(path, number, **more):
    journal.append(
        path,
        "/tasks/start",
        event={"container_id": "c", "number": number},
        namespace="default",
        source="test",
        **more,
    )


async def kept(path, since=LONG_AGO):
    return [event async for event in reader.follow(path, since=since, forever=False)]


async def test_an_event_comes_back_as_it_was(path):
    before = datetime.now(UTC)
    write(path, 1)
    (event,) = await kept(path)
    assert (event.topic, event.namespace, event.source, event.container) == (
        "/tasks/start",
        "default",
        "test",
        "c",
    )
    assert event.event == {"container_id": "c", "number": 1}
    assert before - timedelta(milliseconds=1) <= event.timestamp <= datetime.now(UTC)


async def test_no_journal_is_no_event_and_reading_makes_none(path):
    assert await kept(path) == []
    assert not os.path.exists(path)


async def test_only_what_is_not_older_than_since_is_told(path):
    write(path, 1)
    await asyncio.sleep(0.01)
    moment = datetime.now(UTC)
    write(path, 2)
    assert [event.event["number"] for event in await kept(path, moment)] == [2]


@pytest.mark.parametrize(
    "torn", [b'{"timestamp":"20', b"\xff\xfe\n{}", b"[1]\n", b'"x"', b'{"event":1}\n']
)
async def test_a_torn_or_foreign_line_costs_no_other(path, torn):
    write(path, 1)
    with open(path, "ab") as file:
        file.write(torn)
    write(path, 2)
    assert [event.event["number"] for event in await kept(path)] == [1, 2]


@given(st.binary(max_size=100))
def test_any_line_is_an_event_or_none(line):
    assert reader.parse(line) is None


async def test_a_full_journal_is_renamed_once_and_one_old_one_is_kept(path):
    for number in range(200):
        write(path, number, limit_bytes=4000)
    assert sorted(os.listdir(os.path.dirname(path))) == ["journal.ndjson", "journal.ndjson.1"]
    assert all(os.path.getsize(path + end) < 4400 for end in ("", ".1"))
    numbers = [event.event["number"] for event in await kept(path)]
    assert numbers == list(range(numbers[0], 200))


async def test_a_reader_that_comes_again_reads_the_end_of_the_file_alone(path, monkeypatch):
    # a day's events, a second apart, and one now
    start = datetime.now(UTC) - timedelta(days=1)
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        for second in range(20000):
            stamp = (start + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            record = {
                "timestamp": stamp,
                "source": "s",
                "topic": "t",
                "engine_namespace": "n",
                "event": {"number": second},
            }
            file.write(b"\n" + json.dumps(record).encode() + b"\n")
    moment = datetime.now(UTC)
    write(path, 20000)
    read, real = [], os.read
    monkeypatch.setattr(os, "read", lambda fd, size: read.append(real(fd, size)) or read[-1])
    assert [event.event["number"] for event in await kept(path, moment)] == [20000]
    assert sum(map(len, read)) < 100_000
    since = start + timedelta(seconds=9000)
    assert [event.event["number"] for event in await kept(path, since)] == list(range(9000, 20001))


def line(start, number, fill):
    stamp = (start + timedelta(minutes=number)).isoformat().replace("+00:00", ".000000000Z")
    event = {"number": number, "fill": "x" * fill}
    record = {
        "timestamp": stamp,
        "source": "s",
        "topic": "t",
        "engine_namespace": "n",
        "event": event,
    }
    return b"\n" + json.dumps(record).encode() + b"\n"


@given(st.integers(0, 120), st.integers(1, 40))
def test_every_event_since_a_moment_is_found_wherever_it_begins(first, every):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as directory:
        for name, numbers in (("j.1", range(60)), ("j", range(60, 120))):
            lines = [line(start, number, 10 if number % every else 5000) for number in numbers]
            with open(f"{directory}/{name}", "wb") as file:
                file.writelines(lines)
        found = asyncio.run(kept(f"{directory}/j", start + timedelta(minutes=first)))
    assert [event.event["number"] for event in found] == list(range(first, 120))


async def follow(path, count, since=None):
    found = []
    async for event in reader.follow(path, since=since):
        found.append(event.event["number"])
        if len(found) == count:
            return found
    return found


async def test_a_follower_is_told_what_comes_and_nothing_older(path):
    write(path, 1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        told = group.create_task(follow(path, 3))
        await asyncio.sleep(0.05)
        for number in (2, 3, 4):
            write(path, number)
    assert told.result() == [2, 3, 4]


async def test_a_follower_that_was_first_is_told_all(path):
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        told = group.create_task(follow(path, 2))
        await asyncio.sleep(0.05)
        write(path, 1)
        write(path, 2)
    assert told.result() == [1, 2]


async def test_a_follower_loses_nothing_over_rotations(path):
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        told = group.create_task(follow(path, 300))
        await asyncio.sleep(0.05)
        for number in range(300):
            write(path, number, limit_bytes=20000)  # less than two files between two looks
            if number % 50 == 0:
                await asyncio.sleep(0.15)
    assert told.result() == list(range(300))


async def test_a_writer_that_opened_the_file_before_it_was_renamed_is_heard(path):
    write(path, 1)
    late = os.open(path, os.O_WRONLY | os.O_APPEND)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        told = group.create_task(follow(path, 4, since=LONG_AGO))
        await asyncio.sleep(0.05)
        with open(path, "rb") as file:
            line = file.read().replace(b'"number":1', b'"number":2')
        os.rename(path, path + ".1")
        write(path, 3)
        os.write(late, line)
        await asyncio.sleep(0.3)
        write(path, 4)
    os.close(late)
    assert sorted(told.result()) == [1, 2, 3, 4]


async def test_a_line_that_is_written_in_two_parts_is_told_when_it_is_whole(path):
    write(path, 1)
    line = json.dumps(
        {
            "timestamp": journal.rfc3339(10**18),
            "source": "s",
            "topic": "t",
            "engine_namespace": "n",
            "event": {"number": 2},
        }
    ).encode()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        told = group.create_task(follow(path, 1))
        await asyncio.sleep(0.05)
        with open(path, "ab", buffering=0) as file:
            file.write(line[:20])
            await asyncio.sleep(0.2)
            file.write(line[20:] + b"\n")
    assert told.result() == [2]


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from runtime.events import journal
for number in range(300):
    journal.append(sys.argv[1], "/t", event={"who": int(sys.argv[2]), "number": number, "fill": "x" * 100},
                   namespace="n", source="s", limit_bytes=100_000_000)
"""


async def test_writers_in_several_processes_tear_no_line(path, request):
    root = str(request.config.rootpath)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(who), root]) for who in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    events = [event.event for event in await kept(path)]
    assert len(events) == 1200
    for who in range(4):
        assert [e["number"] for e in events if e["who"] == who] == list(range(300))


def test_times_are_rfc_3339_in_utc_with_nine_digits():
    assert journal.rfc3339(1_700_000_000_000_000_042) == "2023-11-14T22:13:20.000000042Z"


def test_a_link_in_the_journals_place_is_not_followed(path, tmp_path):
    os.makedirs(os.path.dirname(path))
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(OSError, match="symbolic link"):
        write(path, 1)
    assert not (tmp_path / "elsewhere").exists()
