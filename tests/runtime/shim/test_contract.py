"""The shim v2 contract on the wire, without an engine of ours or anybody's."""

import asyncio
import glob
import os
import signal
import subprocess
import sys

import pytest

from runtime import errors
from runtime.proto import task
from runtime.shim import bundle
from runtime.ttrpc import codec
from tests.runtime.shim.contract import CODE, V2, V3, Bundle, sleeps, until, workers

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]


def test_start_prints_an_address_and_nothing_else_and_leaves_its_files(place, library):
    made = Bundle(place, library)
    address = made.start()
    assert address.startswith("unix:///run/containerd/s/")
    with open(f"{made.path}/address") as file:
        assert file.read() == address
    mode = os.stat(address.removeprefix("unix://")).st_mode
    assert mode & 0o777 == 0o600
    assert made.start() == address  # somebody answers there already: the same
    shim = bundle.Shim.load(made.path)
    assert os.getsid(shim.pid) == shim.pid
    os.kill(shim.pid, signal.SIGTERM)
    while shim.alive():
        pass
    assert not os.path.exists(address.removeprefix("unix://"))


def test_a_shim_keeps_no_descriptor_of_whoever_started_it(place, library):
    made = Bundle(place, library)
    with open(f"{place}/held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        line = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            CODE,
            library,
            "-namespace",
            "default",
            "-address",
            made.address,
        ]
        subprocess.run(
            [*line, "-id", made.id, "start"],
            cwd=made.path,
            check=True,
            close_fds=False,
            capture_output=True,
        )
        shim = bundle.Shim.load(made.path)
        links = [
            os.readlink(f"/proc/{shim.pid}/fd/{each}")
            for each in os.listdir(f"/proc/{shim.pid}/fd")
        ]
        os.kill(shim.pid, signal.SIGTERM)
        assert f"{place}/held" not in links
        assert links.count("/dev/null") == 2
        assert f"{made.path}/log" in links


def test_a_socket_that_nobody_serves_is_taken_over(place, library):
    made = Bundle(place, library)
    made.start()
    shim = bundle.Shim.load(made.path)
    os.kill(shim.pid, signal.SIGKILL)
    while shim.alive():
        pass
    made.start()
    again = bundle.Shim.load(made.path)
    assert again.pid != shim.pid
    assert again.alive()
    os.kill(again.pid, signal.SIGTERM)


async def test_containers_of_a_group_share_a_shim(place, library, daemon):
    def grouped(spec):
        spec["annotations"] = {"io.kubernetes.cri.sandbox-id": f"pod-{os.path.basename(place)}"}

    first, second = (Bundle(place, library, name, change=grouped) for name in ("a", "b"))
    address = first.start()
    assert second.start() == address
    one, two = await first.connect(address), await second.connect(address)
    pids = [await one.run(), await two.run()]
    assert len(set(pids)) == 2
    await one("Shutdown", task.ShutdownRequest(id=first.id))  # others remain: no effect
    for each in (one, two):
        await each.kill()
        await each("Wait", None, task.WaitResponse)
        await each("Delete", None, task.DeleteResponse)
    await two("Shutdown", task.ShutdownRequest(id=second.id))
    await until(lambda: not os.path.exists(address.removeprefix("unix://")))
    for each in (one, two):
        await each.client.close()


async def test_a_tasks_life_by_the_protocol(one, daemon):
    pid = await one.create()
    connected = await one("Connect", None, task.ConnectResponse)
    shim = bundle.Shim.load(one.bundle.path)
    assert (connected.task_pid, connected.shim_pid) == (pid, shim.pid)
    state = await one("State", None, task.StateResponse)
    assert (state.id, state.pid, task.STATUSES[state.status]) == (one.bundle.id, pid, "created")
    with open(f"{one.bundle.path}/init.pid") as file:
        assert file.read() == str(pid)
    assert (await one("Start", None, task.PidResponse)).pid == pid
    assert task.STATUSES[(await one("State", None, task.StateResponse)).status] == "running"
    listed = await one("Pids", None, task.PidsResponse)
    assert [each.pid for each in listed.processes] == [pid]
    stats = await one("Stats", None, task.StatsResponse)
    version = "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1"
    assert stats.stats.type_url == f"io.containerd.cgroups.{version}.Metrics"
    await one("Pause")
    assert task.STATUSES[(await one("State", None, task.StateResponse)).status] == "paused"
    await one("Resume")
    waiting = asyncio.ensure_future(one("Wait", None, task.WaitResponse))
    await asyncio.sleep(0.05)
    await one.kill(15)
    await one.kill(9)
    assert (await waiting).exit_status == 137
    deleted = await one("Delete", None, task.DeleteResponse)
    assert (deleted.pid, deleted.exit_status) == (pid, 137)
    assert deleted.exited_at.nanoseconds == (await waiting).exited_at.nanoseconds
    assert not os.path.ismount(f"{one.bundle.path}/rootfs")
    await one("Shutdown", task.ShutdownRequest(id=one.bundle.id))
    await until(lambda: not shim.alive())
    assert [topic for topic, _ in daemon[0]] == [
        "/tasks/create",
        "/tasks/start",
        "/tasks/paused",
        "/tasks/resumed",
        "/tasks/exit",
        "/tasks/delete",
    ]


async def test_both_versions_of_the_service_are_served_and_no_other(one):
    await one.create()
    one.service = V3
    assert (await one("State", None, task.StateResponse)).pid
    one.service = "containerd.task.v9.Task"
    with pytest.raises(errors.Unimplemented, match="v9"):
        await one("State")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("State", errors.NotFound),
        ("Start", errors.NotFound),
        ("Kill", errors.NotFound),
        ("Delete", errors.NotFound),
        ("Wait", errors.NotFound),
        ("Pids", errors.NotFound),
        ("Nothing", errors.Unimplemented),
        ("Checkpoint", errors.Unimplemented),
    ],
)
async def test_what_there_is_not_is_told_by_its_code(one, method, error):
    with pytest.raises(error):
        await one(method)
    assert (await one("Connect", None, task.ConnectResponse)).task_pid == 0


async def test_what_cannot_be_now_is_a_failed_precondition(one):
    await one.create()
    with pytest.raises(errors.AlreadyExists):
        await one.create()
    for method in ("Pause", "Resume"):
        with pytest.raises(errors.FailedPrecondition):
            await one(method)
    await one("Start")
    for method in ("Start", "Resume", "Delete"):
        with pytest.raises(errors.FailedPrecondition):
            await one(method)
    await one.exec("e", "/bin/sleep", "1000")
    with pytest.raises(errors.AlreadyExists):
        await one.exec("e", "/bin/sleep", "1000")
    with pytest.raises(errors.FailedPrecondition, match="not started"):
        await one.kill(9, "e")
    with pytest.raises(errors.InvalidArgument):
        await one.kill(99)
    with pytest.raises(errors.NotFound):
        await one("State", one.of("other"))
    await one.kill()
    await one("Wait", None, task.WaitResponse)
    with pytest.raises(errors.NotFound):
        await one.kill()
    for method in ("Start", "Pause"):
        with pytest.raises(errors.FailedPrecondition):
            await one(method)
    with pytest.raises(errors.FailedPrecondition):
        await one.exec("late", "/bin/true")
    with pytest.raises(errors.NotFound):
        await one("Stats")


async def test_a_created_task_may_be_deleted(one):
    pid = await one.create()
    assert (await one("Delete", None, task.DeleteResponse)).exit_status == 137
    assert bundle.start_ticks(pid) is None


async def test_the_exits_of_execs_come_before_the_inits(one, daemon):
    await one.run()
    for exec_id in ("a", "b"):
        await one.exec(exec_id, "/bin/sleep", "1000")
        await one("Start", one.of(exec_id))
    await one.kill()
    await one("Wait", None, task.WaitResponse)
    for exec_id in ("a", "b"):
        assert (await one("Delete", one.of(exec_id), task.DeleteResponse)).exit_status == 137
    await until(lambda: sum(topic == "/tasks/exit" for topic, _ in daemon[0]) == 3)
    exits = [event.id for topic, event in daemon[0] if topic == "/tasks/exit"]
    assert exits[-1] == one.bundle.id
    assert set(exits[:2]) == {"a", "b"}


async def test_without_a_pid_namespace_nothing_outlives_the_init(place, library, daemon):
    def shared(spec):
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]

    made = Bundle(
        place,
        library,
        command=("/bin/sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 0.3"),
        change=shared,
    )
    one = await made.connect()
    await one.run()
    await asyncio.sleep(0.15)
    pids = [each.pid for each in (await one("Pids", None, task.PidsResponse)).processes]
    assert len(pids) == 3
    await one("Wait", None, task.WaitResponse)
    await until(lambda: not any(bundle.start_ticks(pid) for pid in pids))
    await one("Delete", None, task.DeleteResponse)
    await one("Shutdown", task.ShutdownRequest(id=made.id))
    await one.client.close()
    await until(lambda: not bundle.Shim.load(made.path).alive())


async def test_events_that_containerd_refuses_are_sent_again_in_order(one, daemon):
    daemon[1]["fail"] = 2
    await one.run()
    await one.kill()
    await one("Wait", None, task.WaitResponse)
    await until(lambda: len(daemon[0]) == 3)
    assert [topic for topic, _ in daemon[0]] == ["/tasks/create", "/tasks/start", "/tasks/exit"]


async def test_a_deadline_that_passes_is_answered(one):
    await one.run()
    with pytest.raises(errors.DeadlineExceeded):
        await one("Wait", None, task.WaitResponse, timeout_seconds=0.1)
    stream = one.client._protocol.request(
        V2, "Wait", payload=one.of("").encode(), timeout_nano=10**8
    )
    one.client._waiting.add(stream)
    await one.client._send()
    answer = await one.client._receive(stream)
    assert answer.code == errors.DeadlineExceeded.code


async def test_a_client_that_speaks_nonsense_harms_nobody(one):
    pid = await one.run()
    for data in (
        b"\xff" * 100,
        b"",
        codec.encode(1, 1, b"\xff\xff"),
        codec.encode(2, 1, b""),
        bytes(4096),
    ):
        _, writer = await asyncio.open_unix_connection(
            bundle.Shim.load(one.bundle.path).address.removeprefix("unix://")
        )
        writer.write(data)
        await asyncio.sleep(0.02)
        writer.close()
    assert (await one("State", None, task.StateResponse)).pid == pid


async def test_another_user_is_turned_away(one):
    address = bundle.Shim.load(one.bundle.path).address.removeprefix("unix://")
    os.chmod(address, 0o777)  # the file's mode is not all that guards it
    code = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(os.path.dirname(sys.argv[1]));"
        "os.setgid(65534); os.setuid(65534); s.connect(os.path.basename(sys.argv[1])); print(s.recv(1))"
    )
    mode = os.stat(os.path.dirname(address)).st_mode
    os.chmod(os.path.dirname(address), 0o711)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, check=False
        )
    finally:
        os.chmod(os.path.dirname(address), mode & 0o7777)
    assert done.stdout == "b''\n", done.stderr


async def test_output_goes_to_a_file_that_is_named_so(place, library, daemon):
    made = Bundle(place, library, command=("/bin/sh", "-c", "echo out; echo err >&2"))
    one = await made.connect()
    await one.run(stdout=f"file://{place}/logs/out", stderr=f"file://{place}/logs/out")
    await one("Wait", None, task.WaitResponse)
    await one("Delete", None, task.DeleteResponse)
    with open(f"{place}/logs/out") as file:
        assert sorted(file.read().split()) == ["err", "out"]
    await one("Shutdown", task.ShutdownRequest(id=made.id))
    await one.client.close()
    await until(lambda: not bundle.Shim.load(made.path).alive())


async def test_a_creation_that_fails_leaves_no_mount_and_no_cgroup(place, library, daemon):
    made = Bundle(place, library, command=("/bin/not-there",))
    one = await made.connect()
    with pytest.raises(errors.CommandNotFound):
        await one.run()
    assert not os.path.ismount(f"{made.path}/rootfs")
    assert not os.path.exists(f"/sys/fs/cgroup/memory/cinspect/{made.id}")
    await one("Shutdown", task.ShutdownRequest(id=made.id))
    await one.client.close()
    await until(lambda: not bundle.Shim.load(made.path).alive())


async def test_a_shim_that_was_told_to_end_makes_no_container_any_more(place, library, daemon):
    made = Bundle(place, library)
    address = made.start()
    late, ending = await made.connect(address), await made.connect(address)
    for each in (late, ending):
        await each("Connect", None, task.ConnectResponse)  # it was taken, and is no news any more
    shim = bundle.Shim.load(made.path)
    (worker,) = workers(shim.pid)
    # A descriptor that was handled is news until the next wait, and then what comes by it would
    # be handled before what had come earlier (epoll's list of those that are ready).
    await until(lambda: sleeps(worker))
    os.kill(worker, signal.SIGSTOP)  # so that both requests are there in the same turn
    async with asyncio.TaskGroup() as group:
        told = group.create_task(ending("Shutdown", task.ShutdownRequest(id=made.id)))
        await asyncio.sleep(0.3)
        making = group.create_task(refused(late))
        await asyncio.sleep(0.3)
        os.kill(worker, signal.SIGCONT)
    assert told.done()
    assert making.result()
    await until(lambda: not shim.alive())
    assert not glob.glob(f"/sys/fs/cgroup/**/cinspect/{made.id}", recursive=True)
    assert not os.path.ismount(f"{made.path}/rootfs")
    for each in (late, ending):
        await each.client.close()


async def refused(connected):
    try:
        await connected.create()
    except errors.Unavailable:
        return True
    return False


async def test_delete_works_without_a_server_and_tells_the_pid(place, library, daemon):
    made = Bundle(place, library)
    one = await made.connect()
    pid = await one.run()
    shim = bundle.Shim.load(made.path)
    os.kill(shim.pid, signal.SIGKILL)
    await until(lambda: not shim.alive())
    done = made.call("-bundle", made.path, "delete")
    answer = task.DeleteResponse.decode(done.stdout)
    assert (answer.pid, answer.exit_status) == (pid, 137)
    assert answer.exited_at.seconds > 0
    assert bundle.start_ticks(pid) is None
    assert not os.path.ismount(f"{made.path}/rootfs")
    assert not os.path.exists(shim.address.removeprefix("unix://"))
    again = task.DeleteResponse.decode(made.call("delete").stdout)
    assert again.exit_status == 137
    await one.client.close()


def test_info_and_version_need_nothing(place, library):
    line = [sys.executable, "-I", "-S", "-c", CODE, library]
    info = subprocess.run([*line, "-info"], cwd=place, capture_output=True, check=True).stdout
    assert task.RuntimeInfo.decode(info).name == "io.containerd.cinspect.v1"
    version = subprocess.run(
        [*line, "-v"], cwd=place, capture_output=True, text=True, check=True
    ).stdout
    assert bundle.SHIM_VERSION in version


@pytest.mark.parametrize("arguments", [[], ["start"], ["-id", "x", "start"], ["-id"], ["dance"]])
def test_a_call_that_makes_no_sense_ends_in_a_line_that_says_why(place, library, arguments):
    line = [sys.executable, "-I", "-S", "-c", CODE, library, *arguments]
    done = subprocess.run(line, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("containerd-shim-cinspect-v1: ")
