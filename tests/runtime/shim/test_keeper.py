"""A shim with nothing to do: one small process waits, and a worker goes on where the last one was."""

import asyncio
import os
import signal

import pytest

from runtime import errors
from runtime.proto import task
from runtime.shim import bundle
from tests.live import host
from tests.runtime.shim.contract import Bundle, until, workers

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]


def shim_of(connected):
    return bundle.Shim.load(connected.bundle.path)


async def rested(connected):
    """Wait until the shim has no worker any more."""
    pid = shim_of(connected).pid
    await until(lambda: not workers(pid))
    return pid


async def taken_down(connected, shim):
    """Delete the container that has ended, and wait until its shim has too."""
    await connected("Delete", None, task.DeleteResponse)
    await connected("Shutdown", task.ShutdownRequest(id=connected.bundle.id))
    await until(lambda: not os.path.exists(f"/proc/{shim}/exe"))
    await connected.client.close()


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


async def ask(connected, method, request=None, response=task.PidResponse):
    """Call without a deadline, as containerd waits."""
    return await connected(method, request, response, timeout_seconds=None)


async def test_a_wait_is_answered_by_a_later_worker(one, daemon):
    pid = await one.run()
    waiting = asyncio.ensure_future(ask(one, "Wait", None, task.WaitResponse))
    shim = await rested(one)
    assert (await one("Connect", None, task.ConnectResponse)).shim_pid == shim
    assert (await one("State", None, task.StateResponse)).pid == pid
    await rested(one)
    await one.kill()
    assert (await waiting).exit_status == 137
    deleted = await one("Delete", None, task.DeleteResponse)
    assert (deleted.pid, deleted.exit_status) == (pid, 137)
    await one("Shutdown", task.ShutdownRequest(id=one.bundle.id))
    await until(lambda: not os.path.exists(f"/proc/{shim}/exe"))
    assert [topic for topic, _ in daemon[0]] == [
        "/tasks/create",
        "/tasks/start",
        "/tasks/exit",
        "/tasks/delete",
    ]


async def test_an_end_while_the_shim_rests_is_told(place, library, daemon):
    made = Bundle(place, library, command=("/bin/sh", "-c", "sleep 4; exit 7"))
    one = await made.connect()
    await one.run()
    waiting = asyncio.ensure_future(ask(one, "Wait", None, task.WaitResponse))
    shim = await rested(one)
    assert not waiting.done()
    assert (await waiting).exit_status == 7
    await until(lambda: [topic for topic, _ in daemon[0]][-1] == "/tasks/exit")
    await taken_down(one, shim)


async def test_a_container_without_a_worker_is_not_lost_with_a_client(one):
    await one.run()
    waiting = asyncio.ensure_future(ask(one, "Wait", None, task.WaitResponse))
    await rested(one)
    await one.client.close()
    with pytest.raises(errors.Unavailable):
        await waiting
    again = await one.bundle.connect(shim_of(one).address)
    await again.kill()
    assert (await again("Wait", None, task.WaitResponse)).exit_status == 137
    await again.client.close()


async def test_execs_outlive_a_worker(one, daemon):
    await one.run()
    await one.exec("runs", "/bin/sleep", "1000")
    await one("Start", one.of("runs"))
    await one.exec("later", "/bin/sh", "-c", "exit 3")
    waiting = asyncio.ensure_future(ask(one, "Wait", one.of("runs"), task.WaitResponse))
    await rested(one)
    await one("Start", one.of("later"))
    assert (await one("Wait", one.of("later"), task.WaitResponse)).exit_status == 3
    await rested(one)
    await one.kill(15, "runs")
    assert (await waiting).exit_status == 143
    for exec_id in ("runs", "later"):
        await one("Delete", one.of(exec_id), task.DeleteResponse)
    assert len((await one("Pids", None, task.PidsResponse)).processes) == 1


async def test_streams_are_copied_by_a_later_worker(place, library, daemon):
    made = Bundle(place, library, command=("/bin/cat",))
    for name in ("in", "out"):
        os.mkfifo(f"{place}/{name}")
    reading = os.open(f"{place}/out", os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(f"{place}/in", os.O_RDWR)
    one = await made.connect()
    await one.run(stdin=f"{place}/in", stdout=f"{place}/out")
    os.set_blocking(reading, True)
    for word in (b"first", b"second"):
        shim = await rested(one)
        os.write(writing, word)
        assert await asyncio.to_thread(os.read, reading, 100) == word
    os.close(writing)
    await rested(one)
    await one("CloseIO", task.CloseIORequest(id=made.id, stdin=True))
    assert (await one("Wait", None, task.WaitResponse)).exit_status == 0
    os.close(reading)
    await taken_down(one, shim)


async def test_a_paused_container_is_resumed_by_a_later_worker(one):
    await one.run()
    await one("Pause")
    await rested(one)
    await one("Resume")
    state = await one("State", None, task.StateResponse)
    assert task.STATUSES[state.status] == "running"


async def test_a_lack_of_memory_is_told_by_a_later_worker(place, library, daemon):
    host.require("memory")

    def limited(spec):
        spec["linux"].setdefault("resources", {})["memory"] = {"limit": 16 << 20, "swap": 16 << 20}

    command = ("/bin/sh", "-c", "sleep 4; /bin/busybox tail /dev/zero; sleep 1000")
    made = Bundle(place, library, command=command, change=limited)
    one = await made.connect()
    await one.run()
    shim = await rested(one)
    await until(lambda: len(daemon[0]) == 3)  # that the kernel killed one of it: it lives on
    assert daemon[0][-1][0] == "/tasks/oom"
    await one.kill()
    assert (await one("Wait", None, task.WaitResponse)).exit_status == 137
    await taken_down(one, shim)


async def test_what_waits_for_its_start_or_has_a_deadline_keeps_its_worker(one):
    await one.create()
    (worker,) = workers(shim_of(one).pid)
    await asyncio.sleep(3)
    assert workers(shim_of(one).pid) == [worker]
    await one("Start")
    waiting = asyncio.ensure_future(one("Wait", None, task.WaitResponse))  # within 20 s
    await asyncio.sleep(3)
    assert workers(shim_of(one).pid) == [worker]
    await one.kill()
    assert (await waiting).exit_status == 137


async def test_processes_of_containers_are_children_of_the_one_that_stays(one):
    init = await one.run()
    await one.exec("more", "/bin/sleep", "1000")
    more = (await one("Start", one.of("more"), task.PidResponse)).pid
    assert {parent(init), parent(more)} == {shim_of(one).pid}
    await rested(one)
    assert {parent(init), parent(more)} == {shim_of(one).pid}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_shim_that_rests(one, number):
    await one.run()
    shim = await rested(one)
    address = shim_of(one).address
    os.kill(shim, number)
    await until(lambda: not shim_of(one).alive())
    assert not os.path.exists(address.removeprefix("unix://"))


async def test_a_shim_that_rests_says_where_it_is_if_asked(one):
    await one.run()
    os.kill(await rested(one), signal.SIGUSR1)

    def said():
        with open(f"{one.bundle.path}/log") as file:
            return "loop.py" in file.read()

    await until(said)
    assert (await one("State", None, task.StateResponse)).pid


async def test_no_worker_outlives_its_shim(one):
    await one.run()
    shim = shim_of(one).pid
    (worker,) = workers(shim)
    waiting = asyncio.ensure_future(one("Wait", None, task.WaitResponse))  # it would not rest now
    await asyncio.sleep(0.1)
    os.kill(shim, signal.SIGKILL)
    await until(lambda: bundle.start_ticks(worker) is None)
    with pytest.raises(errors.Unavailable):
        await waiting


async def test_a_shim_ends_with_a_worker_that_is_killed(one):
    await one.run()
    shim = shim_of(one)
    (worker,) = workers(shim.pid)
    os.kill(worker, signal.SIGKILL)
    await until(lambda: not shim.alive())
    with open(f"{one.bundle.path}/log") as file:
        assert "killed by signal 9" in file.read()
