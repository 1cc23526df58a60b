"""The shim's parts by themselves: loop, log, streams, state table, arguments, bundle files."""

import json
import os
import signal
import threading

import pytest

from runtime.errors import FailedPrecondition, FormatError, InvalidArgument, NotFound
from runtime.shim import bundle, entry
from runtime.shim.log import ContainerLog
from runtime.shim.loop import READ, Loop
from runtime.shim.process import TRANSITIONS, Process
from runtime.shim.sinks import Fifo, File, Nothing, open_sink
from runtime.shim.stdio import Input, Output
from runtime.tasks import logs


def turn(loop, condition, seconds=5):
    """Run the loop until a condition holds."""

    met = []

    def look():
        if condition():
            met.append(True)
            loop.stop()
        else:
            loop.later(0.005, look)

    loop.later(seconds, loop.stop)
    look()
    loop._running = True
    loop.run()
    assert met


def process(**more):
    values = {"exec_id": "", "terminal": False, "stdin": "", "stdout": "", "stderr": "", "spec": {}}
    return Process(**values | more)


# The state table

STATUSES = {"created", "running", "paused", "stopped", "deleted"}
EVENTS = {"start", "pause", "resume", "exit", "delete"}


@pytest.mark.parametrize("event", sorted(EVENTS))
@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_event_in_every_status_is_a_change_or_refused(status, event):
    one = process()
    one.status = status
    if (status, event) in TRANSITIONS:
        one.advance(event)
        assert one.status == TRANSITIONS[status, event]
    else:
        with pytest.raises(
            FailedPrecondition, match=f"cannot {event} a container that is {status}"
        ):
            one.advance(event)
        assert one.status == status


def test_the_table_speaks_of_known_statuses_and_every_one_can_end():
    assert {status for status, _ in TRANSITIONS} | set(TRANSITIONS.values()) == STATUSES
    for status in STATUSES - {"deleted"}:
        reached = {status}
        for _ in STATUSES:
            reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
        assert "deleted" in reached


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7 << 8, 7), (9, 137), (11 | 0x80, 139)])
def test_an_exit_status_is_the_code_or_128_and_the_signal(status, code):
    one = process()
    one.status = "running"
    one.ended(status, 5)
    assert (one.exit_status, one.exited_at, one.status) == (code, 5, "stopped")


def test_who_waits_is_told_once_whenever_it_asks():
    one, told = process(), []
    one.status = "running"
    one.when_exited(lambda: told.append("early"))
    one.ended(0, 1)
    assert told == []
    one.report()
    one.when_exited(lambda: told.append("late"))
    assert told == ["early", "late"]


@pytest.mark.parametrize("number", [0, -1, 65, 1000])
def test_a_number_that_is_no_signal_is_refused(number):
    with pytest.raises(InvalidArgument):
        process().kill(number)


# The loop


def test_timers_fire_in_order_and_not_when_cancelled():
    loop, fired = Loop(), []
    for name, seconds in (("b", 0.02), ("a", 0.01), ("c", 0.03)):
        loop.later(seconds, lambda name=name: fired.append(name))
    loop.later(0.015, lambda: fired.append("never")).cancel()
    turn(loop, lambda: len(fired) == 3)
    assert fired == ["a", "b", "c"]


def test_a_descriptor_that_a_call_forgot_is_not_called_in_the_same_turn():
    loop, called = Loop(), []
    pipes = [os.pipe() for _ in range(2)]
    for reading, writing in pipes:
        os.write(writing, b"x")

        def ready(_events, mine=reading):
            called.append(mine)
            for each, _ in pipes:
                loop.forget(each)

        loop.watch(reading, READ, ready)
    turn(loop, lambda: called)
    assert len(called) == 1
    for each in (fd for pair in pipes for fd in pair):
        os.close(each)


def test_a_signal_is_told_between_two_turns():
    loop, told = Loop(), []
    old = signal.getsignal(signal.SIGUSR2)
    loop.on_signal(signal.SIGUSR2, lambda: told.append(1))
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert told == []
        turn(loop, lambda: told)
    finally:
        signal.signal(signal.SIGUSR2, old)
        signal.set_wakeup_fd(-1)


# The log


def test_a_log_has_a_line_for_each_line_and_tells_unfinished_ones(tmp_path):
    log = ContainerLog(str(tmp_path / "log"))
    log.write("stdout", b"one\ntwo\nthr")
    log.write("stderr", b"\n")
    log.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [line.split(b" ", 1)[1] for line in lines] == [
        b"stdout F one",
        b"stdout F two",
        b"stdout P thr",
        b"stderr F ",
    ]
    assert [logs.parse(line).data for line in lines] == [b"one\n", b"two\n", b"thr", b"\n"]


async def test_a_full_log_is_renamed_and_one_old_one_is_kept(tmp_path):
    path = str(tmp_path / "log")
    log = ContainerLog(path, limit_bytes=5000)
    for number in range(500):
        log.write("stdout", b"%d\n" % number)
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1"]
    assert os.path.getsize(path + ".1") < 5200
    told = [int(line.data) async for line in logs.read(path, follow=False, ended=lambda: True)]
    assert told == list(range(told[0], 500))


def test_a_log_whose_directory_goes_loses_lines_and_does_not_fail(tmp_path):
    (tmp_path / "d").mkdir()
    log = ContainerLog(str(tmp_path / "d" / "log"), limit_bytes=100)
    os.unlink(tmp_path / "d" / "log")
    os.rmdir(tmp_path / "d")
    for _ in range(10):
        log.write("stdout", b"x" * 50 + b"\n")
    log.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"2020-01-01T00:00:00.0Z stdin F x",
        b"now stdout F x",
        b"2020-01-01T00:00:00Z stdout Q x",
    ],
)
def test_what_is_no_log_line_is_a_format_error(line):
    with pytest.raises(FormatError):
        logs.parse(line)


# Streams


@pytest.fixture
def copied(tmp_path):
    """A pipe that is copied to a FIFO and a log; gives (loop, writing end, path, output)."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)

    def make(*, hold=False, reader=True):
        loop = Loop()
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if reader else -1
        source, writing = os.pipe()
        closed = []
        output = Output(
            loop,
            source,
            sink=Fifo(path, hold=hold),
            log=ContainerLog(str(tmp_path / "log")),
            stream="stdout",
            on_close=lambda: closed.append(1),
        )
        return loop, writing, reading, output

    return make


def read(descriptor, size=1 << 20):
    try:
        return os.read(descriptor, size)
    except BlockingIOError:
        return None


def test_bytes_reach_the_reader_and_the_end_too(copied):
    loop, writing, reading, output = copied()
    os.write(writing, b"hello")
    found = []
    turn(loop, lambda: found.append(read(reading)) or found[-1])
    os.close(writing)
    turn(loop, lambda: output.closed)
    assert read(reading) == b""
    os.close(reading)


def test_a_full_fifo_holds_the_writer_and_nothing_is_lost(copied):
    loop, writing, reading, output = copied()
    data = bytes(range(256)) * 4096
    writer = threading.Thread(target=lambda: (write_all(writing, data), os.close(writing)))
    writer.start()
    loop.later(0.2, loop.stop)
    loop.run()
    assert writer.is_alive()
    found = bytearray()
    turn(loop, lambda: found.extend(read(reading) or b"") or output.closed)
    found += read(reading) or b""
    writer.join()
    while more := read(reading):
        found += more
    assert bytes(found) == data
    os.close(reading)


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def test_a_reader_that_leaves_frees_the_writer(copied):
    loop, writing, reading, output = copied()
    writer = threading.Thread(
        target=lambda: (write_all(writing, bytes(1 << 20)), os.close(writing))
    )
    writer.start()
    loop.later(0.1, loop.stop)
    loop.run()
    os.close(reading)
    turn(loop, lambda: output.closed)
    writer.join()


def test_a_reader_that_comes_a_little_late_misses_nothing(copied, tmp_path):
    loop, writing, _, output = copied(reader=False)
    os.write(writing, b"first words")
    loop.later(0.1, loop.stop)
    loop.run()
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    found = []
    turn(loop, lambda: found.append(read(reading)) or found[-1])
    assert found[-1] == b"first words"
    output.abort()
    for each in (reading, writing):
        os.close(each)


def test_containerds_way_keeps_output_for_the_next_reader(copied, tmp_path):
    loop, writing, reading, output = copied(hold=True)
    os.close(reading)
    os.write(writing, b"kept")
    loop.later(0.05, loop.stop)
    loop.run()
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert read(reading) == b"kept"
    output.abort()
    for each in (reading, writing):
        os.close(each)


def test_ending_copies_what_is_there_although_somebody_keeps_the_pipe(copied):
    loop, writing, reading, output = copied()
    os.write(writing, b"last words")
    output.end()
    assert output.closed
    assert read(reading) == b"last words"
    assert read(reading) == b""
    for each in (reading, writing):
        os.close(each)
    assert loop


def test_ending_does_not_wait_for_somebody_who_goes_on_writing(copied):
    loop, writing, reading, output = copied(hold=True)
    stop = threading.Event()

    def write():
        os.set_blocking(writing, False)
        while not stop.is_set():
            try:
                os.write(writing, bytes(4096))
            except (BlockingIOError, BrokenPipeError):
                continue

    writer = threading.Thread(target=write)
    writer.start()
    output.end()
    output.abort()
    stop.set()
    writer.join()
    assert output.closed
    for each in (reading, writing):
        os.close(each)
    assert loop


@pytest.mark.parametrize("hold", [False, True])
def test_input_is_copied_and_finished(tmp_path, hold):
    path = str(tmp_path / "in")
    os.mkfifo(path)
    loop = Loop()
    reading, target = os.pipe()
    os.set_blocking(reading, False)
    source = Input(loop, path, target, hold=hold, reopen=False)
    client = os.open(path, os.O_WRONLY)
    os.write(client, b"typed")
    found = []
    turn(loop, lambda: found.append(read(reading)) or found[-1])
    os.write(client, b"more")
    os.close(client)
    if hold:  # nobody but CloseIO ends it
        loop.later(0.1, loop.stop)
        loop._running = True
        loop.run()
        assert not source.closed
        source.finish()
    else:
        turn(loop, lambda: source.closed)
    assert (read(reading), read(reading)) == (b"more", b"")
    os.close(reading)


def test_a_terminals_input_waits_for_the_next_client(tmp_path):
    path = str(tmp_path / "in")
    os.mkfifo(path)
    loop = Loop()
    reading, target = os.pipe()
    os.set_blocking(reading, False)
    source = Input(loop, path, target, hold=False, reopen=True)
    for text in (b"first", b"second"):
        client = os.open(path, os.O_WRONLY)
        os.write(client, text)
        os.close(client)
        found = []
        turn(loop, lambda found=found: found.append(read(reading)) or found[-1])
        assert found[-1] == text
    assert not source.closed
    source.close()
    os.close(reading)


def test_a_process_that_closed_its_stdin_ends_the_input(tmp_path):
    path = str(tmp_path / "in")
    os.mkfifo(path)
    loop = Loop()
    reading, target = os.pipe()
    source = Input(loop, path, target, hold=False, reopen=False)
    os.close(reading)
    client = os.open(path, os.O_WRONLY)
    os.write(client, b"nobody reads")
    turn(loop, lambda: source.closed)
    os.close(client)


def test_sinks_are_named_by_uris(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert isinstance(open_sink("", hold=True), Nothing)
    for uri, kind in (
        (f"{tmp_path}/fifo", Fifo),
        (f"fifo://{tmp_path}/fifo", Fifo),
        (f"file://{tmp_path}/d/f", File),
    ):
        sink = open_sink(uri, hold=True)
        assert isinstance(sink, kind)
        assert sink.write(b"x") == 1
        sink.close()
    assert (tmp_path / "d" / "f").read_bytes() == b"x"
    with pytest.raises(InvalidArgument, match="binary://"):
        open_sink("binary:///x", hold=True)
    with pytest.raises(InvalidArgument, match="not a FIFO"):
        open_sink(f"{tmp_path}/d/f", hold=True)
    with pytest.raises(NotFound):
        open_sink(f"{tmp_path}/nothing", hold=True)


# Arguments and bundle files


def test_arguments_are_read_as_containerd_gives_them():
    line = [
        "-namespace",
        "ns",
        "-address",
        "/c.sock",
        "-publish-binary",
        "/x",
        "-id",
        "one",
        "-debug",
        "start",
    ]
    arguments = entry.Arguments(line)
    assert (arguments.action, arguments.get("-namespace"), arguments.get("-id")) == (
        "start",
        "ns",
        "one",
    )
    assert arguments.flags == {"-debug"}
    assert entry.Arguments(["--namespace=x", "delete"]).get("-namespace") == "x"
    with pytest.raises(InvalidArgument, match="needs a value"):
        entry.Arguments(["-id"])
    with pytest.raises(InvalidArgument, match="-id is needed"):
        entry.Arguments(["start"]).need("-id")


def test_sockets_are_named_as_containerd_names_them():
    import hashlib

    digest = hashlib.sha256(b"/run/containerd/containerd.sock/default/one").hexdigest()
    path = entry.socket_path("/run/containerd/containerd.sock", "default", "one")
    assert path == f"/run/containerd/s/{digest}"


def test_a_state_file_is_replaced_whole_and_comes_back(tmp_path):
    path = str(tmp_path / "state.json")
    state = bundle.State(
        status="running", pid=os.getpid(), pid_ticks=bundle.start_ticks(os.getpid()), started_at=5
    )
    state.save(path)
    found = bundle.State.load(path)
    assert all(getattr(found, name) == getattr(state, name) for name in bundle.State.__slots__)
    assert found.alive()
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', '{"status":"running"}', "\x00"])
def test_a_damaged_state_file_is_named(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"state\.json"):
        bundle.State.load(str(path))


def test_a_missing_state_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        bundle.State.load(str(tmp_path / "state.json"))


def test_another_process_of_the_same_pid_is_not_taken_for_it():
    ticks = bundle.start_ticks(os.getpid())
    assert not bundle.State(pid=os.getpid(), pid_ticks=ticks + 1).alive()
    assert bundle.start_ticks(2**22 - 1) is None


def test_a_clients_wishes_are_a_file_of_its_own_and_no_annotations(tmp_path):
    assert bundle.Home.load(str(tmp_path)) is None
    home = bundle.Home(
        log="/l", journal="/j", exit_path="/e", seccomp_cache="/s", cleanup=["a", "b"]
    )
    home.save(str(tmp_path))
    found = bundle.Home.load(str(tmp_path))
    assert (found.log, found.journal, found.exit_path, found.cleanup) == (
        "/l",
        "/j",
        "/e",
        ("a", "b"),
    )
    (tmp_path / "cinspect.json").write_text(json.dumps({"log": "/x"}))
    with pytest.raises(FormatError, match=r"cinspect\.json has no"):
        bundle.Home.load(str(tmp_path))
