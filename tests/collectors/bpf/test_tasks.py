"""The iterator over tasks says what /proc does, and tells each kind of change from the others."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.bpf import tasks
from collectors.bpf.tasks import Tasks
from collectors.formats import pid_stat
from collectors.root import Root
from collectors.table import ACTIVE, YOUNG, Table
from tests.collectors.kernel import made

pytestmark = pytest.mark.root


def test_it_tells_the_same_processes_as_proc_and_when_each_began(reader: Tasks):
    def listed() -> set[int]:
        return {int(name) for name in os.listdir("/proc") if name.isdigit()}

    def hidden(pid: int) -> bool:
        """Return whether a security module shields it: then not even root may look at it in full."""
        try:
            os.readlink(f"/proc/{pid}/ns/pid")
        except PermissionError:
            return True
        except FileNotFoundError:
            return False
        return False

    before, told, after = listed(), reader.read(), listed()
    assert not [pid for pid in before & after if pid not in told and not hidden(pid)]
    assert list(told) == sorted(told)
    for pid in sorted(before & after & set(told)):
        try:
            stat = pid_stat.parse(Path(f"/proc/{pid}/stat").read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
        started = int.from_bytes(told[pid][tasks.START], "little") // 10_000_000
        assert started == stat.start_ticks, pid


def test_a_process_that_sleeps_is_told_of_alike(reader: Tasks):
    with made.crowd(30) as parent:
        one, other = reader.read(), reader.read()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        assert len(children) == 30
        assert all(one[int(pid)] == other[int(pid)] for pid in children)


OBEY = """
say("ready")
for line in sys.stdin:
    exec(line)
    say("done")
"""


def change(reader: Tasks, code: str) -> tuple[bytes, bytes]:
    """Return the tokens of a process before and after it did something."""
    command = [sys.executable, "-I", "-S", "-c", made.PRELUDE + OBEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        before = reader.read()[child.pid]
        child.stdin.write(code.encode() + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"
        after = reader.read()[child.pid]
        child.kill()
    return before, after


@pytest.mark.parametrize(
    "code",
    [
        "unshare(NEWUTS)",
        "unshare(NEWNET)",
        "unshare(NEWCGROUP)",
        "unshare(NEWIPC)",
        "unshare(NEWNS)",
        "unshare(NEWTIME)",
        "os.setuid(65534)",
        "open('/proc/self/comm', 'w').write('renamed')",
        f"os.execv({sys.executable!r}, ['x', '-S', '-c', 'import sys; print(\"done\", flush=True); sys.stdin.read()'])",
    ],
)
def test_what_a_process_becomes_is_told_as_another_kind(reader: Tasks, code: str):
    before, after = change(reader, code)
    assert before[tasks.START] == after[tasks.START]
    assert before[tasks.KIND] != after[tasks.KIND]
    assert tasks.ran(before, after)


def test_a_process_that_only_computes_is_of_the_same_kind_and_ran(reader: Tasks):
    before, after = change(reader, "sum(range(1000))")
    assert before[tasks.KIND] == after[tasks.KIND]
    assert before[tasks.PLACE] == after[tasks.PLACE]
    assert tasks.ran(before, after)


def test_a_program_and_a_name_are_told_apart(reader: Tasks):
    before, after = change(reader, "open('/proc/self/comm', 'w').write('renamed')")
    assert before[tasks.PROGRAM] == after[tasks.PROGRAM]


THREADS = """
import threading
def work():
    while True:
        sys.stdin.readline()
        sum(range(100000))
        say("done")
threading.Thread(target=work, daemon=True).start()
say("ready")
time.sleep(1000)
"""


def test_what_another_thread_than_the_first_ran_is_told(reader: Tasks):
    command = [sys.executable, "-I", "-c", made.PRELUDE + THREADS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        before = reader.read()[child.pid]
        child.stdin.write(b"go\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"
        after = reader.read()[child.pid]
        child.kill()
    assert tasks.ran(before, after)


def moved(act: Callable[[Path, int], None]) -> Path:
    """Make a cgroup and have something done with it."""
    top = Path("/sys/fs/cgroup")
    hierarchy = next(path for path in (top / "pids", top) if (path / "cgroup.procs").exists())
    directory = hierarchy / f"cinspect-test-tasks-{os.getpid()}"
    directory.mkdir()
    with made.process("say('ready')\nwait()") as (pid, _):
        try:
            act(directory, pid)
        finally:
            (hierarchy / "cgroup.procs").write_text(str(pid))
            directory.rmdir()
    return directory


def test_a_process_that_is_moved_while_it_sleeps_is_in_another_place(reader: Tasks):
    def act(directory: Path, pid: int) -> None:
        before = reader.read()[pid]
        (directory / "cgroup.procs").write_text(str(pid))
        after = reader.read()[pid]
        assert before[tasks.KIND] == after[tasks.KIND]
        assert before[tasks.PLACE] != after[tasks.PLACE]

    moved(act)


def test_a_recorded_tree_has_no_iterator(tmp_path: Path):
    assert tasks.connect(Root(str(tmp_path))) is None


def test_within_another_pid_namespace_there_is_none():
    code = (
        "from collectors.bpf import tasks; from collectors.root import Root;"
        "print(tasks.connect(Root()))"
    )
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == b"None\n"


def test_who_may_not_load_programs_goes_without():
    code = (
        "import os; os.setgid(65534); os.setuid(65534);"
        "from collectors.bpf import tasks; from collectors.root import Root;"
        "print(tasks.connect(Root()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import msgspec, ctypes, collectors.bpf.tasks, os; {code}"],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == b"None\n"


def test_walks_of_a_table_touch_what_ran_began_or_ended_and_no_other(reader: Tasks):
    del reader  # there is one: then the table has one too
    table, root = Table(), Root()
    table.view(root, "test")
    with made.crowd(20) as parent, made.process("say('ready')\nfor line in sys.stdin: say(line)"):
        for _ in range(YOUNG + ACTIVE + 2):
            since = table.walk
            table.view(root, "test")
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        crowd = {int(pid) for pid in children}
        assert len(crowd) == 20
        touched = table.touched(since)
        assert touched is not None
        assert not crowd & {one.pid for one in touched}
        os.kill(min(crowd), signal.SIGSTOP)
        os.kill(max(crowd), signal.SIGKILL)
        with made.process("say('ready')\nwait()") as (pid, _):
            entries = table.view(root, "test")
            touched = table.touched(since)
        assert touched is not None
        assert pid in {one.pid for one in touched}
        assert {one.pid for one in touched} & crowd <= {min(crowd), max(crowd)}
        assert min(crowd) in {one.pid for one in touched}
        assert [one.pid for one in entries] == sorted({one.pid for one in entries})
    assert table.touched(0) is None


def test_each_walk_by_the_iterator_finds_what_a_new_table_does(reader: Tasks):
    del reader
    table, root = Table(), Root()
    for _ in range(6):
        with made.process("say('ready')\nwait()") as (pid, _):
            told = {one.pid for one in table.view(root, "test")}
            after = {one.pid for one in Table(quick=False).view(root, "test")}
            assert pid in told
            assert len(told ^ after) < 10  # what else begins and ends here meanwhile
    assert pid not in {one.pid for one in table.view(root, "test")}
