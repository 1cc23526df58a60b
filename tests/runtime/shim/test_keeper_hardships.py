"""What a shim that rests may meet: a terminal, two containers at once, a fork that is refused.

And a process that has ended before its streams could be connected.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from runtime.init.launch import Launched
from runtime.proto import task
from runtime.shim.loop import Loop
from runtime.shim.process import Process
from tests import requirements, traces
from tests.live import host
from tests.runtime.shim.contract import Bundle, until, workers
from tests.runtime.shim.test_keeper import ask, rested, shim_of, taken_down

pytestmark = [pytest.mark.root, pytest.mark.timeout(90)]


def with_terminal(spec):
    spec["process"]["terminal"] = True


class Terminal:
    """A client's ends of the FIFOs that a terminal's bytes go through."""

    def __init__(self, place):
        for name in ("in", "out"):
            os.mkfifo(f"{place}/{name}")
        self.places = {"stdin": f"{place}/in", "stdout": f"{place}/out"}
        self.reading = os.open(f"{place}/out", os.O_RDWR | os.O_NONBLOCK)
        self.writing = os.open(f"{place}/in", os.O_RDWR)
        self.told = b""

    def type(self, text):
        os.write(self.writing, text)

    async def shows(self, text):
        """Wait until the terminal has shown a text since the last that was waited for."""
        async with asyncio.timeout(20):
            while text not in self.told:
                try:
                    self.told += os.read(self.reading, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.02)
        self.told = self.told.partition(text)[2]

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


async def test_a_terminal_is_served_by_a_later_worker(place, library, daemon):
    command = ("/bin/sh",)
    made = Bundle(place, library, command=command, change=with_terminal)
    terminal = Terminal(place)
    one = await made.connect()
    await one.run(terminal=True, **terminal.places)
    await terminal.shows(b"# ")
    shim = await rested(one)
    terminal.type(b"echo $((6 * 7))\n")
    await terminal.shows(b"\n42\r\n")
    for size in ((91, 33), (120, 40)):
        await rested(one)
        request = task.ResizePtyRequest(id=made.id, width=size[0], height=size[1])
        await one("ResizePty", request)
        terminal.type(b"/bin/busybox stty size\n")
        await terminal.shows(b"\n%d %d\r\n" % (size[1], size[0]))
    # Its output comes though nobody asks for anything.
    terminal.type(b"(sleep 4; echo so late) &\n")
    await rested(one)
    await terminal.shows(b"so late\r\n")
    await rested(one)
    terminal.type(b"exit 9\n")
    assert (await one("Wait", None, task.WaitResponse)).exit_status == 9
    terminal.close()
    await taken_down(one, shim)


async def test_a_terminals_client_comes_again_while_the_shim_rests(place, library, daemon):
    """As `ctr task attach` does: the FIFOs are opened anew by somebody else."""
    made = Bundle(place, library, command=("/bin/sh",), change=with_terminal)
    terminal = Terminal(place)
    one = await made.connect()
    await one.run(terminal=True, **terminal.places)
    await terminal.shows(b"# ")
    shim = await rested(one)
    terminal.close()
    await asyncio.sleep(0.2)
    for path in terminal.places.values():
        assert os.path.exists(path)
    again = Terminal.__new__(Terminal)
    again.reading = os.open(terminal.places["stdout"], os.O_RDWR | os.O_NONBLOCK)
    again.writing = os.open(terminal.places["stdin"], os.O_RDWR)
    again.told = b""
    again.type(b"echo $((6 * 7))\n")
    await again.shows(b"42\r\n")
    again.type(b"exit 9\n")
    assert (await one("Wait", None, task.WaitResponse)).exit_status == 9
    again.close()
    await taken_down(one, shim)


async def test_two_containers_of_a_group_rest_together_and_end_apart(place, library, daemon):
    def grouped(spec):
        spec["annotations"] = {"io.kubernetes.cri.sandbox-id": f"pod-{os.path.basename(place)}"}

    first = Bundle(place, library, "a", change=grouped)
    second = Bundle(
        place, library, "b", command=("/bin/sh", "-c", "sleep 6; exit 5"), change=grouped
    )
    address = first.start()
    assert second.start() == address
    one, two = await first.connect(address), await second.connect(address)
    await one.run()
    await two.run()
    await one.exec("more", "/bin/sleep", "1000")
    await one("Start", one.of("more"))
    waiting = [
        asyncio.ensure_future(ask(each, "Wait", None, task.WaitResponse)) for each in (one, two)
    ]
    shim = shim_of(one).pid
    await until(lambda: not workers(shim))
    assert (await waiting[1]).exit_status == 5
    await two("Delete", None, task.DeleteResponse)
    await until(lambda: not workers(shim))
    assert not waiting[0].done()
    assert len((await one("Pids", None, task.PidsResponse)).processes) == 2
    await until(lambda: not workers(shim))
    await one.kill()
    assert (await waiting[0]).exit_status == 137

    def ends():
        return sorted(value.id for topic, value in daemon[0] if topic == "/tasks/exit")

    await until(lambda: len(ends()) == 3)  # it is told after who waits is answered
    assert ends() == sorted(("more", first.id, second.id))
    await two("Shutdown", task.ShutdownRequest(id=second.id))
    await two.client.close()
    await taken_down(one, shim)


def test_why_streams_could_not_be_connected_is_told_though_the_process_has_ended(tmp_path):
    child = os.fork()
    if not child:
        os._exit(0)
    pidfd = os.pidfd_open(child)
    os.waitpid(child, 0)
    os.mkfifo(tmp_path / "out")
    console = os.open(tmp_path / "no-terminal", os.O_CREAT | os.O_RDWR)
    launched = Launched(child, pidfd, console=console, sync=None)
    one = Process(
        exec_id="", terminal=True, stdin="", stdout=str(tmp_path / "out"), stderr="", spec={}
    )
    with pytest.raises(PermissionError):  # of epoll_ctl(2): a regular file cannot be waited for
        one.launch(Loop(), lambda _: launched, log=None, hold=False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pidfd)


@pytest.fixture
def crowded():
    """Return a function that lets a process have no children any more, until it is called with 0."""
    host.require("pids")
    root = Path("/sys/fs/cgroup") if host.UNIFIED else Path("/sys/fs/cgroup/pids")
    group = root / f"cinspect-crowded-{os.getpid()}"
    if host.UNIFIED:
        (root / "cgroup.subtree_control").write_text("+pids")
    group.mkdir()
    if not (group / "pids.max").exists():
        requirements.absent_here("no controller of cgroup v2 can be enabled here")

    def crowd(pid):
        if not pid:
            (group / "pids.max").write_text("max")
            return
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text("1")

    yield crowd
    (group / "pids.max").write_text("max")
    traces.remove_cgroup(str(group))


async def test_a_fork_that_is_refused_is_told_and_tried_again(place, library, daemon, crowded):
    made = Bundle(place, library, command=("/bin/sh", "-c", "sleep 5; exit 6"))
    log = os.open(f"{made.path}/log", os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600)
    one = await made.connect()
    await one.run()
    waiting = asyncio.ensure_future(ask(one, "Wait", None, task.WaitResponse))
    shim = await rested(one)
    crowded(shim)
    asking = asyncio.ensure_future(ask(one, "State", None, task.StateResponse))
    await asyncio.sleep(6)  # and meanwhile the container ends
    assert not asking.done()
    assert not waiting.done()
    assert os.path.exists(f"/proc/{shim}/exe")
    assert b"cannot fork: " in os.pread(log, 1 << 20, 0)
    crowded(0)
    assert task.STATUSES[(await asking).status] == "stopped"
    assert (await waiting).exit_status == 6
    await until(lambda: [topic for topic, _ in daemon[0]][-1] == "/tasks/exit")
    os.close(log)
    await taken_down(one, shim)


async def test_a_shim_that_may_not_fork_ends_by_a_signal_all_the_same(one, crowded):
    await one.run()
    shim = await rested(one)
    crowded(shim)
    asking = asyncio.ensure_future(ask(one, "State", None, task.StateResponse))
    await asyncio.sleep(0.5)
    os.kill(shim, signal.SIGKILL)
    with pytest.raises(Exception, match=r"shim|connection|closed"):
        await asking
    crowded(0)
