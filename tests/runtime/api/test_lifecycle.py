"""Real containers on the host's own root, from creation to nothing."""

import asyncio
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta

import pytest

from runtime.api import Runtime
from runtime.errors import (
    AlreadyExists,
    CommandNotExecutable,
    CommandNotFound,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from runtime.shim import bundle
from runtime.types import ContainerOptions, ExecOptions, Resources, Stdio
from tests import requirements
from tests.live import host

pytestmark = [pytest.mark.root, pytest.mark.timeout(90)]

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
TRAP = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done"


def options(*command, **more):
    return ContainerOptions(image="@host", command=command, **more)


async def run(engine, *command, **more):
    """Run a container to its end; return it and how it ended."""
    container = await engine.create(options(*command, **more))
    await engine.start(container.id)
    ended = await engine.wait(container.id)
    return await engine.container(container.id), ended


async def output(engine, reference):
    return b"".join([line.data async for line in engine.logs(reference)])


async def running(engine, *command, **more):
    container = await engine.create(options(*(command or ("sleep", "1000")), **more))
    return await engine.start(container.id)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def ready(engine, reference):
    """Wait until it has said a line."""
    async for _ in engine.logs(reference, follow=True):
        return


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "sh -c 'kill -SEGV $$'"), 139),
    ],
)
async def test_a_command_runs_to_its_exit_code(engine, command, code):
    before = datetime.now(UTC)
    container, ended = await run(engine, *command)
    assert ended.code == code
    assert before <= ended.at <= datetime.now(UTC)
    assert (container.status, container.exit_code, container.pid) == ("stopped", code, None)
    assert before <= container.started_at <= container.finished_at == ended.at


async def test_a_command_that_cannot_be_run_says_why_and_leaves_nothing(engine):
    with pytest.raises(CommandNotFound, match="/no/such"):
        await engine.create(options("/no/such"))
    with pytest.raises(CommandNotExecutable, match="permission denied"):
        await engine.create(options("/etc/passwd"))
    assert await engine.containers() == ()


async def until_stopped(engine, reference):
    async with asyncio.timeout(10):
        while (await engine.container(reference)).status != "stopped":
            await asyncio.sleep(0.01)


async def test_what_it_writes_is_logged_by_stream(engine):
    container, _ = await run(engine, "sh", "-c", "echo out; echo err >&2; printf 'no end'")
    lines = [(line.stream, line.data) async for line in engine.logs(container.id)]
    assert sorted(lines) == [("stderr", b"err\n"), ("stdout", b"no end"), ("stdout", b"out\n")]


async def test_bytes_that_are_no_text_come_through_the_log_unchanged(engine):
    container, _ = await run(engine, "sh", "-c", r"printf '\000\377\033[31m a b\r\n\n x'")
    assert await output(engine, container.id) == b"\x00\xff\x1b[31m a b\r\n\n x"


async def test_a_megabyte_of_output_is_logged_whole(engine):
    container, _ = await run(engine, "sh", "-c", "seq 1 160000")
    expected = b"".join(b"%d\n" % n for n in range(1, 160001))
    assert await output(engine, container.id) == expected


async def test_a_log_is_followed_to_the_containers_end(engine):
    container = await running(engine, "sh", "-c", "echo 1; sleep 0.3; echo 2")
    async with asyncio.timeout(10):
        lines = [line.data async for line in engine.logs(container.id, follow=True)]
    assert lines == [b"1\n", b"2\n"]


async def test_a_followed_log_is_whole_when_the_container_has_ended(engine):
    expected = b"".join(b"%d\n" % n for n in range(1, 3001))
    for _ in range(8):
        container = await engine.create(options("sh", "-c", "seq 1 3000"))
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            followed = group.create_task(followed_log(engine, container.id))
            await engine.start(container.id)
        assert followed.result() == expected


async def followed_log(engine, reference):
    return b"".join([line.data async for line in engine.logs(reference, follow=True)])


async def test_the_last_words_are_logged_although_the_client_does_not_read(engine, place):
    os.mkfifo(f"{place}/out")
    out = os.open(f"{place}/out", os.O_RDONLY | os.O_NONBLOCK)
    # the FIFO and the pipe are both full when it ends
    command = ("sh", "-c", "head -c 130000 /dev/zero | tr '\\0' x; exit 9")
    container = await engine.create(options(*command), stdio=Stdio(stdout=f"{place}/out"))
    await engine.start(container.id)
    async with asyncio.timeout(10):
        assert (await engine.wait(container.id)).code == 9
    assert await output(engine, container.id) == b"x" * 130000
    found = os.read(out, 1 << 20)
    while len(found) < 130000:
        await asyncio.sleep(0.01)
        found += os.read(out, 1 << 20) if await readable(out) else b""
    assert found == b"x" * 130000
    os.close(out)


async def readable(descriptor):
    import select

    return bool(select.select([descriptor], [], [], 0)[0])


async def test_a_client_reads_by_fifos_and_writes_an_end_of_file(engine, place):
    paths = [f"{place}/{name}" for name in ("in", "out", "err")]
    for path in paths:
        os.mkfifo(path)
    out, err = (os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in paths[1:])
    into = os.open(paths[0], os.O_RDWR | os.O_NONBLOCK)
    container = await engine.create(
        options("sh", "-c", "cat; echo err >&2", interactive=True), stdio=Stdio(*paths)
    )
    await engine.start(container.id)
    os.write(into, b"typed")
    await asyncio.sleep(0.1)
    assert os.read(out, 100) == b"typed"
    os.close(into)
    await engine.close_stdin(container.id)
    assert (await engine.wait(container.id)).code == 0
    assert os.read(err, 100) == b"err\n"
    await until_stopped(engine, container.id)
    assert os.read(out, 100) == b""
    os.close(out)
    os.close(err)


async def test_a_client_that_stops_reading_holds_the_container_and_one_that_leaves_frees_it(
    engine, place
):
    os.mkfifo(f"{place}/out")
    out = os.open(f"{place}/out", os.O_RDONLY | os.O_NONBLOCK)
    container = await engine.create(
        options("sh", "-c", "seq 1 100000"), stdio=Stdio(stdout=f"{place}/out")
    )
    await engine.start(container.id)
    await asyncio.sleep(0.4)
    assert (await engine.container(container.id)).status == "running"
    os.close(out)
    async with asyncio.timeout(10):
        assert (await engine.wait(container.id)).code == 0
    assert len((await output(engine, container.id)).splitlines()) == 100000


async def test_a_terminal_has_a_size_and_an_echo(engine, place):
    for name in ("in", "out"):
        os.mkfifo(f"{place}/{name}")
    out = os.open(f"{place}/out", os.O_RDONLY | os.O_NONBLOCK)
    into = os.open(f"{place}/in", os.O_RDWR | os.O_NONBLOCK)
    container = await engine.create(
        options(
            "sh", "-c", "stty size; read x; stty size; echo got $x", tty=True, interactive=True
        ),
        stdio=Stdio(stdin=f"{place}/in", stdout=f"{place}/out"),
    )
    await engine.resize(container.id, width=100, height=30)
    await engine.start(container.id)
    await ready(engine, container.id)
    await engine.resize(container.id, width=120, height=40)
    os.write(into, b"hello\n")
    assert (await engine.wait(container.id)).code == 0
    assert os.read(out, 1000) == b"30 100\r\nhello\r\n40 120\r\ngot hello\r\n"
    os.close(out)
    os.close(into)


async def test_it_has_its_own_namespaces_and_limits(engine):
    have = host.controllers()
    limits = Resources(
        memory_bytes=64 << 20 if "memory" in have else None,
        pids_limit=50 if "pids" in have else None,
    )
    container, _ = await run(
        engine,
        "sh",
        "-c",
        "hostname; cat /proc/self/cgroup | wc -c; ls /proc | grep -c '^[0-9]*$'; id -u",
        hostname="inside",
        resources=limits,
    )
    lines = (await output(engine, container.id)).decode().split()
    assert lines[0] == "inside"
    assert int(lines[2]) < 10
    assert lines[3] == "0"


async def test_writes_stay_in_the_container_and_are_told(engine, place):
    # Not below /tmp: where that is a filesystem of its own, the container's root is without it.
    made = f"/etc/{os.path.basename(place)}"
    container, _ = await run(engine, "sh", "-c", f"echo x > {made}; rm /etc/issue")
    assert not os.path.exists(made)
    assert os.path.exists("/etc/issue")
    told = {(change.kind, change.path) for change in await engine.diff(container.id)}
    assert {("A", made), ("D", "/etc/issue"), ("C", "/etc")} <= told


def small_root(directory):
    """Make a root directory with a shell in it; return its path."""
    os.makedirs(f"{directory}/bin")
    shutil.copy("/bin/busybox", f"{directory}/bin/sh")
    return directory


async def test_a_directory_may_be_the_root(engine, place):
    root = small_root(f"{place}/fs,with:odd\\name")
    container = await engine.create(
        ContainerOptions(rootfs=root, command=("/bin/sh", "-c", "echo mine"))
    )
    await engine.start(container.id)
    assert (await engine.wait(container.id)).code == 0
    assert await output(engine, container.id) == b"mine\n"


async def test_a_user_may_write_to_its_own_streams_by_name(engine):
    container, ended = await run(
        engine, "sh", "-c", "id -u; echo named > /dev/stdout", user="nobody"
    )
    assert await output(engine, container.id) == b"65534\nnamed\n"
    assert ended.code == 0


@pytest.mark.parametrize("root", ["the host's", "its own"])
async def test_a_user_namespace_of_its_own_maps_its_root(engine, place, root):
    script = (
        "/bin/sh",
        "-c",
        "read inside outside size < /proc/self/uid_map; echo $inside $outside",
    )
    where = {"image": "@host"} if root == "the host's" else {"rootfs": small_root(f"{place}/fs")}
    try:
        container = await engine.create(ContainerOptions(command=script, userns="auto", **where))
    except FailedPrecondition as error:
        if root == "the host's" and "cannot map ids" in str(error):
            requirements.absent_here(str(error))
        raise
    await engine.start(container.id)
    assert (await engine.wait(container.id)).code == 0
    words = (await output(engine, container.id)).split()
    assert words[0] == b"0"
    assert int(words[1]) > 0


# Execs


async def test_an_exec_runs_beside_and_has_an_exit_code_of_its_own(engine, place):
    container = await running(engine)
    os.mkfifo(f"{place}/out")
    out = os.open(f"{place}/out", os.O_RDONLY | os.O_NONBLOCK)
    exec_id = await engine.exec(
        container.id,
        ExecOptions(
            command=("sh", "-c", "echo $A $B; pwd; id -un; exit 5"),
            env=("A=1", "B=x y", "A=2"),
            workdir="/usr",
            user="nobody",
        ),
        stdio=Stdio(stdout=f"{place}/out"),
    )
    assert (await engine.wait(container.id, exec_id=exec_id)).code == 5
    assert (await engine.wait(container.id, exec_id=exec_id)).code == 5
    await engine.delete_exec(container.id, exec_id)
    assert os.read(out, 100) == b"2 x y\n/usr\nnobody\n"
    assert os.read(out, 100) == b""
    os.close(out)
    with pytest.raises(NotFound, match="no exec"):
        await engine.wait(container.id, exec_id=exec_id)


async def test_an_exec_of_what_is_not_there_says_so_and_leaves_no_exec(engine):
    container = await running(engine)
    with pytest.raises(CommandNotFound):
        await engine.exec(container.id, ExecOptions(command=("/no/such",)))
    with pytest.raises(CommandNotExecutable):
        await engine.exec(container.id, ExecOptions(command=("/etc/passwd",)))
    with pytest.raises(InvalidArgument):
        await engine.exec(container.id, ExecOptions(command=()))
    assert await engine.processes(container.id) == (container.pid,)


async def test_an_exec_is_signalled_alone(engine):
    container = await running(engine)
    exec_id = await engine.exec(container.id, ExecOptions(command=("sleep", "1000")))
    assert len(await engine.processes(container.id)) == 2
    await engine.kill(container.id, signal.SIGKILL, exec_id=exec_id)
    assert (await engine.wait(container.id, exec_id=exec_id)).code == 137
    assert (await engine.container(container.id)).status == "running"
    with pytest.raises(NotFound, match="already finished"):
        await engine.kill(container.id, signal.SIGKILL, exec_id=exec_id)


async def test_an_exec_that_waits_is_answered_when_its_container_is_killed(engine):
    container = await running(engine)
    exec_id = await engine.exec(container.id, ExecOptions(command=("sleep", "1000")))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(engine.wait(container.id, exec_id=exec_id))
        await asyncio.sleep(0.05)
        await engine.kill(container.id, signal.SIGKILL)
    assert waiting.result().code == 137


@pytest.mark.parametrize("state", ["created", "paused", "stopped"])
async def test_nothing_is_executed_in_a_container_that_does_not_run(engine, state):
    container = await engine.create(options("sleep", "1000"))
    if state != "created":
        await engine.start(container.id)
        await (
            engine.freeze(container.id)
            if state == "paused"
            else engine.stop(container.id, timeout_seconds=0)
        )
    with pytest.raises(FailedPrecondition, match=state):
        await engine.exec(container.id, ExecOptions(command=("true",)))


# Freezing, stopping, limits


async def test_a_frozen_container_stands_still_until_it_is_thawed(engine):
    container = await running(engine, "sh", "-c", "while :; do echo x; sleep 0.01; done")
    await ready(engine, container.id)
    await engine.freeze(container.id)
    assert (await engine.container(container.id)).status == "paused"
    size = os.path.getsize(container.log_path)
    await asyncio.sleep(0.2)
    assert os.path.getsize(container.log_path) <= size + 1000  # what was in the pipe
    with pytest.raises(FailedPrecondition, match="paused"):
        await engine.freeze(container.id)
    size = os.path.getsize(container.log_path)
    await engine.thaw(container.id)
    await until(lambda: os.path.getsize(container.log_path) > size)
    with pytest.raises(FailedPrecondition, match="not paused"):
        await engine.thaw(container.id)


@pytest.mark.parametrize("frozen", [False, True])
async def test_stop_lets_it_end_by_itself(engine, frozen):
    container = await running(engine, "sh", "-c", TRAP)
    await ready(engine, container.id)
    if frozen:
        await engine.freeze(container.id)
    async with asyncio.timeout(5):
        assert (await engine.stop(container.id)).code == 3
    assert (await engine.stop(container.id)).code == 3


async def test_stop_kills_what_does_not_end(engine):
    container = await running(
        engine, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    )
    await ready(engine, container.id)
    assert (await engine.stop(container.id, timeout_seconds=0.1)).code == 137


async def test_limits_change_while_it_runs_and_at_the_next_start(engine):
    host.require("memory", "cpu", "pids")
    container = await running(engine, resources=Resources(memory_bytes=64 << 20, pids_limit=60))
    await engine.update(container.id, Resources(memory_bytes=32 << 20, cpus=0.5))

    def read(controller, v1, v2):
        return host.cgroup_file(
            dict.fromkeys(("", controller), container.cgroup), controller, v1, v2
        )

    for _ in range(2):
        assert read("memory", "memory.limit_in_bytes", "memory.max") == f"{32 << 20}"
        assert read("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
        assert read("pids", "pids.max", "pids.max") == "60"
        await engine.stop(container.id, timeout_seconds=0)
        await engine.start(container.id)


@pytest.mark.parametrize(
    ("controller", "limits"),
    [
        ("memory", Resources(memory_bytes=64 << 20)),
        ("pids", Resources(pids_limit=60)),
        ("cpu", Resources(cpus=0.5)),
        ("cpuset", Resources(cpuset_cpus="0")),
    ],
)
async def test_a_limit_is_kept_or_refused_by_its_controllers_name(engine, controller, limits):
    if controller in host.controllers():
        await running(engine, resources=limits)
        return
    with pytest.raises(FailedPrecondition, match=f"the {controller} controller is not available"):
        await running(engine, resources=limits)
    assert await engine.containers() == ()
    container = await running(engine)
    with pytest.raises(FailedPrecondition, match=f"the {controller} controller is not available"):
        await engine.update(container.id, limits)
    assert (await engine.container(container.id)).status == "running"


async def test_a_container_over_its_memory_is_killed_and_an_event_tells_of_it(engine):
    host.require("memory")
    container, ended = await run(
        engine,
        "sh",
        "-c",
        "x=$(head -c 200000000 /dev/zero | tr '\\0' x)",
        resources=Resources(memory_bytes=16 << 20),
    )
    topics = [event.topic async for event in engine.events(since=LONG_AGO, follow=False)]
    assert ended.code != 0
    assert "/tasks/oom" in topics
    assert topics.index("/tasks/oom") < topics.index("/tasks/exit")
    assert container.status == "stopped"


# Starting again, names, removal


async def test_a_stopped_container_starts_again_on_its_layers(engine):
    container, _ = await run(engine, "sh", "-c", "cat /count; echo x >> /count")
    for _ in range(2):
        await engine.start(container.id)
        await engine.wait(container.id)
    assert (await output(engine, container.id)).count(b"x\n") == 3


async def test_a_running_container_is_not_started_again(engine):
    container = await running(engine)
    assert (await engine.start(container.id)).pid == container.pid
    with pytest.raises(FailedPrecondition, match="running already"):
        await engine.start(container.id, stdio=Stdio())


async def test_a_paused_container_is_not_started(engine):
    container = await running(engine)
    await engine.freeze(container.id)
    with pytest.raises(FailedPrecondition, match="paused already"):
        await engine.start(container.id)


async def test_a_created_container_waits_and_may_be_removed(engine):
    container = await engine.create(options("sh", "-c", "echo never"))
    assert container.status == "created"
    assert container.pid is not None
    await engine.remove(container.id)
    assert await engine.containers() == ()
    assert bundle.start_ticks(container.pid) is None


async def test_a_running_container_is_removed_by_force_alone(engine):
    container = await running(engine)
    with pytest.raises(FailedPrecondition, match="by force"):
        await engine.remove(container.id)
    assert (await engine.container(container.id)).status == "running"
    await engine.remove(container.id, force=True)
    with pytest.raises(NotFound):
        await engine.container(container.id)


async def test_a_frozen_container_ends_by_sigkill(engine):
    container = await running(engine)
    await engine.freeze(container.id)
    await engine.kill(container.id, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert (await engine.wait(container.id)).code == 128 + signal.SIGKILL


async def test_a_frozen_container_is_removed_by_force(engine):
    container = await running(engine)
    await engine.freeze(container.id)
    await engine.remove(container.id, force=True)
    assert await engine.containers() == ()


async def test_a_name_is_taken_once_and_can_be_changed(engine):
    first = await engine.create(options("true", name="first"))
    with pytest.raises(AlreadyExists, match="'first'"):
        await engine.create(options("true", name="first"))
    await engine.rename("first", "second")
    assert (await engine.container("second")).id == first.id
    other = await engine.create(options("true", name="first"))
    with pytest.raises(AlreadyExists):
        await engine.rename(other.id, "second")


async def test_what_cannot_be_made_leaves_nothing(engine, place):
    for wrong, error in (
        (ContainerOptions(image="nothing", command=("true",)), NotFound),
        (ContainerOptions(rootfs=f"{place}/nothing", command=("true",)), NotFound),
        (ContainerOptions(command=("true",)), InvalidArgument),
        (options("true", name="-bad-"), InvalidArgument),
        (options("true", workdir="relative"), InvalidArgument),
    ):
        with pytest.raises(error):
            await engine.create(wrong)
    with pytest.raises(NotFound):
        await engine.create(options("true"), stdio=Stdio(stdout=f"{place}/no-fifo"))
    assert await engine.containers() == ()
    assert (
        not os.path.exists(f"{place}/root/snapshots") or os.listdir(f"{place}/root/snapshots") == []
    )


async def test_a_container_made_to_be_removed_goes_when_its_client_has_seen_its_end(engine, place):
    container = await engine.create(options("true", auto_remove=True))
    await engine.start(container.id)
    await asyncio.sleep(0.3)
    assert (await engine.wait(container.id)).code == 0
    async with asyncio.timeout(10):
        while await engine.containers():
            await asyncio.sleep(0.02)
    await until(lambda: os.listdir(f"{place}/root/snapshots") == [])


async def test_another_client_finds_waits_for_and_removes_it(engine, place):
    container = await running(engine, "sh", "-c", "sleep 0.3; exit 4", name="shared")
    other = Runtime(root=f"{place}/root", state=f"{place}/state")
    assert (await other.containers())[0].id == container.id
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(each.wait("shared")) for each in (engine, other, other)]
    assert {end.result().code for end in ends} == {4}
    await other.remove("shared")
    await other.close()
    assert await engine.containers() == ()


async def test_many_at_once_come_and_go(engine):
    async def one(number):
        container = await engine.create(options("sh", "-c", f"exit {number}", name=f"many{number}"))
        await engine.start(container.id)
        ended = await engine.wait(container.id)
        await engine.remove(container.id)
        return ended.code

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(8)]
    assert [task.result() for task in tasks] == list(range(8))


# Events


async def test_events_come_in_containerds_order(engine):
    container = await engine.create(options("sleep", "1000"))
    await engine.start(container.id)
    exec_id = await engine.exec(container.id, ExecOptions(command=("sleep", "1000")))
    await engine.freeze(container.id)
    await engine.thaw(container.id)
    await engine.kill(container.id, signal.SIGKILL)
    await engine.wait(container.id)
    await engine.remove(container.id)
    events = [event async for event in engine.events(since=LONG_AGO, follow=False)]
    assert [event.topic for event in events] == [
        "/containers/create",
        "/snapshot/prepare",
        "/tasks/create",
        "/tasks/start",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/paused",
        "/tasks/resumed",
        "/tasks/exit",
        "/tasks/exit",
        "/tasks/delete",
        "/snapshot/remove",
        "/containers/delete",
    ]
    exits = [event.event["id"] for event in events if event.topic == "/tasks/exit"]
    assert exits == [exec_id, container.id]  # the init's is the last
    assert {event.container for event in events} == {container.id}
    assert all(event.source.startswith(("shim ", "cinspect")) for event in events)
    stamps = [event.timestamp for event in events]
    assert stamps == sorted(stamps)


async def test_a_process_that_dies_at_once_is_told_to_have_started_before_it_ended(engine):
    for _ in range(5):
        await run(engine, "true")
    topics = [event.topic async for event in engine.events(since=LONG_AGO, follow=False)]
    tasks = [topic for topic in topics if topic in {"/tasks/start", "/tasks/exit"}]
    assert tasks == ["/tasks/start", "/tasks/exit"] * 5


# Shims that die


async def test_a_container_whose_shim_was_killed_is_told_so_and_can_be_removed(engine):
    container = await running(engine)
    os.kill(container.shim.pid, signal.SIGKILL)
    await until(lambda: not bundle.Shim.load(container.bundle).alive())
    seen = await engine.container(container.id)
    assert (seen.status, seen.pid, seen.shim) == ("running", container.pid, None)
    assert "shim is gone" in seen.error
    with pytest.raises(Unavailable):
        await engine.exec(container.id, ExecOptions(command=("true",)))
    await engine.kill(container.id, signal.SIGKILL)
    with pytest.raises(Unavailable, match="not known"):
        await engine.wait(container.id)
    assert (await engine.container(container.id)).status == "stopped"
    await engine.start(container.id)
    assert (await engine.container(container.id)).status == "running"


async def test_a_running_container_whose_shim_was_killed_is_removed_by_force(engine):
    container = await running(engine)
    os.kill(container.shim.pid, signal.SIGKILL)
    await until(lambda: not bundle.Shim.load(container.bundle).alive())
    await engine.remove(container.id, force=True)
    assert bundle.start_ticks(container.pid) is None


async def test_a_running_container_whose_shim_was_killed_stops_and_nobody_saw_how(engine):
    container = await running(engine)
    os.kill(container.shim.pid, signal.SIGKILL)
    await until(lambda: not bundle.Shim.load(container.bundle).alive())
    assert await engine.stop(container.id, timeout_seconds=1) is None
    assert (await engine.container(container.id)).status == "stopped"


async def test_a_shim_that_hangs_does_not_keep_its_container(engine):
    container = await running(engine)
    os.kill(container.shim.pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        await engine.remove(container.id, force=True)
    assert bundle.start_ticks(container.shim.pid) is None


async def test_a_stopped_container_keeps_its_exit_when_the_state_directory_is_gone(engine, place):
    container, _ = await run(engine, "sh", "-c", "exit 6")
    await until(lambda: not os.path.exists(f"{container.bundle}/rootfs/bin"))
    await asyncio.sleep(0.3)
    shutil.rmtree(f"{place}/state/tasks")  # as a boot would
    seen = await engine.container(container.id)
    assert (seen.status, seen.exit_code) == ("stopped", 6)
    assert (await engine.wait(container.id)).code == 6
    await engine.start(container.id)
    assert (await engine.wait(container.id)).code == 6


async def test_a_stopped_container_needs_no_shim(engine):
    container = await running(engine, "true")
    await engine.wait(container.id)
    await until(lambda: not bundle.Shim.load(container.bundle).alive())
    assert (await engine.container(container.id)).exit_code == 0


# Who may


def test_without_root_nothing_is_changed_and_one_line_says_why(place, request):
    import subprocess
    import sys

    code = (
        "import asyncio, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from runtime.api import Runtime\n"
        "from runtime.types import ContainerOptions\n"
        "os.setuid(65534)\n"
        "r = Runtime(root=sys.argv[2] + '/root', state=sys.argv[2] + '/state')\n"
        "asyncio.run(r.create(ContainerOptions(image='@host', command=('true',))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(request.config.rootpath), place],
        capture_output=True,
        text=True,
        check=False,
    )
    assert PermissionDenied.__name__ in done.stderr.splitlines()[-1]
    assert "needs root" in done.stderr.splitlines()[-1]
    assert os.listdir(place) == []


def test_a_user_who_may_not_read_the_records_is_told_so_and_not_that_there_are_none(place, request):
    import subprocess
    import sys

    os.mkdir(f"{place}/root", 0o700)
    code = (
        "import asyncio, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from runtime.api import Runtime\n"
        "os.setuid(65534)\n"
        "r = Runtime(root=sys.argv[2] + '/root', state=sys.argv[2] + '/state')\n"
        "asyncio.run(r.containers())\n"
    )
    line = [sys.executable, "-c", code, str(request.config.rootpath), place]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert f"PermissionDenied: cannot read {place}/root/metadata.db" in done.stderr


async def test_reading_an_engine_that_never_was_makes_nothing(engine, place):
    assert await engine.containers() == ()
    with pytest.raises(NotFound):
        await engine.container("nobody")
    assert [event async for event in engine.events(since=LONG_AGO, follow=False)] == []
    assert os.listdir(place) == []


async def test_times_are_now(engine):
    container = await engine.create(options("true"))
    assert abs(datetime.now(UTC) - container.created_at) < timedelta(seconds=10)


async def test_looking_at_a_container_reads_few_files(engine, monkeypatch):
    import builtins

    for _ in range(3):
        await running(engine)
    await engine.containers()
    opened = []
    for owner, name in ((builtins, "open"), (os, "open")):
        real = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda path, *a, real=real, **k: opened.append(path) or real(path, *a, **k)
        )
    await engine.containers()
    # That v2 shall freeze and that it has frozen are two files.
    assert len(opened) <= 3 * (6 if host.UNIFIED else 5)


async def test_what_somebody_else_froze_is_seen_and_thawed(engine):
    container = await running(engine)
    if host.UNIFIED:
        path, wish = f"/sys/fs/cgroup{container.cgroup}/cgroup.freeze", "1"
    else:
        path, wish = f"/sys/fs/cgroup/freezer{container.cgroup}/freezer.state", "FROZEN"
    with open(path, "w") as file:
        file.write(wish)
    assert (await engine.container(container.id)).status == "paused"
    await engine.thaw(container.id)
    assert (await engine.container(container.id)).status == "running"
