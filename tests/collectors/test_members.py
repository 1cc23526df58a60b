"""Who is in which namespace: races with processes that go, and pids that are used again."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from collectors.errors import CollectError, Gone
from collectors.kernel import filesystems, layers, mounts, namespaces
from collectors.members import Members, MountTables, ask, members
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel import made


def process(base, pid, inode):
    (base / "proc" / str(pid) / "ns").mkdir(parents=True)
    (base / "proc" / str(pid) / "ns" / "mnt").symlink_to(f"mnt:[{inode}]")


@pytest.fixture
def root(tmp_path):
    for pid, inode in ((5, 100), (30, 100), (7, 100), (8, 200)):
        process(tmp_path, pid, inode)
    return Root(str(tmp_path))


def test_pids_are_told_by_namespace_in_ascending_order(root):
    assert members(root, "mnt") == ({100: [5, 7, 30], 200: [8]}, ())


def test_the_first_that_answers_is_told_with_its_answer(root):
    assert ask(root, "mnt", 100, pids=[5, 7], question=str) == (5, "5")


def test_an_answer_of_a_process_that_left_the_namespace_does_not_count(root, tmp_path):
    def question(pid):
        if pid == 5:
            link = tmp_path / "proc" / "5" / "ns" / "mnt"
            link.unlink()
            link.symlink_to("mnt:[300]")
        return pid

    assert ask(root, "mnt", 100, pids=[5, 7], question=question) == (7, 7)


def test_when_all_went_away_that_is_said(root):
    with pytest.raises(Gone):
        ask(root, "mnt", 100, pids=[98, 99], question=str)


def test_after_some_refusals_no_other_process_is_asked(root):
    asked = []

    def refuse(pid):
        asked.append(pid)
        raise CollectError(f"/proc/{pid}/mountinfo", "open", "no")

    with pytest.raises(CollectError, match="no"):
        ask(root, "mnt", 100, pids=range(1, 100), question=refuse)
    assert len(asked) == 8


def test_a_walk_is_told_again_for_a_moment_only(root, tmp_path):
    who = Members(0.2)
    first = who.of(root, "mnt")
    process(tmp_path, 9, 300)
    assert who.of(root, "mnt") is first
    time.sleep(0.25)
    assert who.of(root, "mnt")[0][300] == [9]


def test_without_a_time_every_question_is_a_walk(root, tmp_path):
    who = Members()
    who.of(root, "mnt")
    process(tmp_path, 9, 300)
    assert who.of(root, "mnt")[0][300] == [9]


IN_TIME = """
unshare(NEWNS)
mount(None, b"/", None, 0x44000, None)  # MS_PRIVATE | MS_REC
say("ready")
for line in sys.stdin:
    mount(b"told", b"/tmp", b"tmpfs", 0, None)
    say("mounted")
"""


@contextmanager
def mounting():
    """Keep a process in a mount namespace of its own; yield its pid and how to have it mount something."""
    command = [sys.executable, "-I", "-S", "-c", made.PRELUDE + IN_TIME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:

        def tell():
            child.stdin.write(b"\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"mounted\n"

        try:
            assert child.stdout.readline() == b"ready\n"
            yield child.pid, tell
        finally:
            child.stdin.close()


@pytest.mark.root
@pytest.mark.parametrize("quick", [False, True], ids=["proc", "iterator"])
def test_what_is_mounted_is_looked_for_once_in_a_walk_and_the_same_object_until_it_changes(quick):
    root, table = Root(), Table(quick=quick)
    tables = MountTables(table)
    spaces, who = namespaces.Reader(table, tables), Members(table=table, tables=tables)
    with mounting() as (pid, tell):
        inode = made.inode(pid, "mnt")

        def mounted():
            spaces.read(root)
            return who.mounted(root)

        seen = [mounted() for _ in range(3)]
        before = root.reads.files
        again = who.mounted(root)
        assert again is seen[-1]
        assert root.reads.files == before
        tell()
        after = mounted()
        assert after is not again
        assert [one.source for one in after.namespaces[inode][1]].count("told") == 1
        assert "told" not in [one.source for one in again.namespaces[inode][1]]


@pytest.mark.root
def test_a_steady_frame_reads_no_file_for_what_is_mounted():
    root, table = Root(), Table()
    tables = MountTables(table)
    spaces, who = namespaces.Reader(table, tables), Members(table=table, tables=tables)
    readers = mounts.Reader(who), filesystems.Reader(who), layers.Reader(who)
    with mounting(), mounting():
        many = []
        for _ in range(8):
            spaces.read(root)
            before = root.reads.files
            for reader in readers:
                reader.read(root)
            many.append(root.reads.files - before)
    assert min(many[1:]) < many[0] / 4
