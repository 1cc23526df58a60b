"""Bytes between a client and a shim: all of them, in order, and never a client that hangs."""

import asyncio
import hashlib
import os
import stat
import threading
import time

import pytest

from inspector.cli.engine import fifos, streams
from inspector.cli.engine.fifos import Fifos
from inspector.errors import Failure


@pytest.fixture
def pipes(tmp_path):
    with Fifos(str(tmp_path / "state"), stdin=True, stderr=True) as made:
        yield made


def read_all(descriptor: int, into: list[bytes], *, delay: float = 0.0) -> None:
    while chunk := os.read(descriptor, 1 << 16):
        into.append(chunk)
        time.sleep(delay)


def test_pipes_are_private_and_gone_afterwards(tmp_path):
    state = tmp_path / "state"
    with Fifos(str(state), stdin=False, stderr=True) as made:
        assert made.stdio.stdin is None
        for path in (made.stdio.stdout, made.stdio.stderr):
            assert stat.S_ISFIFO(os.stat(path).st_mode)
            assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(state / "clients").st_mode) == 0o700
    assert os.listdir(state / "clients") == []


def test_what_a_killed_client_left_is_swept_and_a_live_ones_stays(tmp_path):
    parent = tmp_path / "clients"
    parent.mkdir(mode=0o700)
    (parent / "999999999-1-aa").mkdir()
    (parent / f"{os.getpid()}-1-bb").mkdir()
    with (
        Fifos(str(tmp_path), stdin=False, stderr=False) as first,
        Fifos(str(tmp_path), stdin=False, stderr=False),
    ):
        assert os.path.exists(first.stdio.stdout)
        assert len(os.listdir(parent)) == 2


def test_a_directory_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "clients").mkdir(mode=0o777)
    os.chmod(tmp_path / "clients", 0o777)
    with pytest.raises(Failure, match="not a private directory"):
        Fifos(str(tmp_path), stdin=False, stderr=False).__enter__()


async def test_output_is_copied_byte_for_byte_at_the_speed_of_its_reader(pipes):
    data = os.urandom(1 << 20) * 20
    read, write = os.pipe()
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(read, found), kwargs={"delay": 0.0005})

    def writer() -> None:
        descriptor = os.open(pipes.stdio.stdout, os.O_WRONLY)
        streams.write_all(descriptor, data)
        os.close(descriptor)

    source = threading.Thread(target=writer)
    reader.start()
    source.start()
    await streams.Output(pipes.descriptor("stdout"), write).copy()
    os.close(write)
    await asyncio.to_thread(reader.join)
    await asyncio.to_thread(source.join)
    os.close(read)
    assert hashlib.sha256(b"".join(found)).digest() == hashlib.sha256(data).digest()


async def test_output_of_a_shim_that_died_before_it_opened_the_pipe_is_over(pipes):
    output = streams.Output(pipes.descriptor("stdout"), 1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(output.copy())
        await asyncio.sleep(0.05)
        output.process_ended()


async def test_output_that_somebody_else_keeps_open_is_over_soon_after_the_end(pipes):
    read, write = os.pipe()
    writer = os.open(pipes.stdio.stdout, os.O_WRONLY)
    await asyncio.to_thread(os.write, writer, b"last words")
    output = streams.Output(pipes.descriptor("stdout"), write)
    started = time.monotonic()
    try:
        async with asyncio.timeout(8), asyncio.TaskGroup() as group:
            group.create_task(output.copy())
            await asyncio.sleep(0.05)
            output.process_ended()
        assert await asyncio.to_thread(os.read, read, 100) == b"last words"
        assert time.monotonic() - started < 5
    finally:
        for descriptor in (read, write, writer):
            os.close(descriptor)


async def test_a_reader_that_is_gone_ends_the_copying(pipes):
    read, write = os.pipe()
    os.close(read)
    writer = os.open(pipes.stdio.stdout, os.O_WRONLY)
    await asyncio.to_thread(os.write, writer, b"unread")
    try:
        with pytest.raises(BrokenPipeError):
            await streams.Output(pipes.descriptor("stdout"), write).copy()
    finally:
        os.close(write)
        os.close(writer)


async def test_a_file_is_copied_into_stdin_with_back_pressure(pipes, tmp_path):
    data = os.urandom(5 << 20)
    await asyncio.to_thread((tmp_path / "in").write_bytes, data)
    found: list[bytes] = []
    target = os.open(pipes.stdio.stdin, os.O_RDONLY)
    reader = threading.Thread(target=read_all, args=(target, found))
    reader.start()
    source = os.open(tmp_path / "in", os.O_RDONLY)
    await streams.copy_input(source, pipes.descriptor("stdin"))
    os.close(source)
    pipes.close_stdin()
    await asyncio.to_thread(reader.join)
    assert b"".join(found) == data


async def test_nobody_reading_stdin_raises_nothing_and_can_be_cancelled(pipes):
    read, write = os.pipe()
    os.set_blocking(read, False)
    await asyncio.to_thread(os.write, write, b"x" * 65536)
    try:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            copying = group.create_task(streams.copy_input(read, pipes.descriptor("stdin")))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(
                os.write, write, b"x" * 65536
            )  # the FIFO is full of the first ones
            await asyncio.sleep(0.1)
            assert not copying.done()
            copying.cancel()
    finally:
        os.close(read)
        os.close(write)


def test_start_ticks_tell_a_process_from_another_with_its_pid():
    assert fifos._start_ticks(os.getpid()).isdigit()
    assert fifos._start_ticks(999999999) == ""
