"""Files that were deleted and are still open, of real processes."""

import os
import subprocess
import sys

import pytest

from collectors.overlay.deleted import deleted
from collectors.root import Root

SCRIPT = """
import os, sys
path = sys.argv[1]
file = open(path, "wb"); file.write(b"x" * 50000); file.flush(); os.unlink(path)
copy = os.dup(file.fileno())
memory = os.memfd_create("scratch"); os.write(memory, b"y" * 100)
kept = open(path + " (deleted)", "wb")
print("ready", flush=True); sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path / "log\n\x1b[2J")]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL  # pytest's own stderr is a deleted file
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=null) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def test_a_deleted_file_is_told_once_with_all_who_hold_it(holder, tmp_path):
    reading = deleted(Root(), [holder])
    file, memory = reading.files
    assert reading.complete
    assert (file.path, file.kind, file.size_bytes) == (
        str(tmp_path / "log\n\x1b[2J"),
        "file",
        50000,
    )
    assert file.disk_bytes >= 50000
    assert [one.pid for one in file.holders] == [holder, holder]
    assert len({one.fd for one in file.holders}) == 2
    assert (memory.kind, memory.size_bytes, memory.path) == ("memory", 100, "/memfd:scratch")


def test_a_file_that_only_is_called_deleted_is_not(holder, tmp_path):
    assert (tmp_path / "log\n\x1b[2J (deleted)").exists()
    assert len(deleted(Root(), [holder]).files) == 2


def test_a_process_that_is_gone_is_left_out(holder):
    reading = deleted(Root(), [2**22 + 1, holder])
    assert (len(reading.files), reading.problems) == (2, ())


def test_the_budget_ends_the_search_and_says_so(holder):
    assert not deleted(Root(), [holder], limit=2).complete


def test_the_search_leaves_no_descriptor(holder):
    before = sorted(os.listdir("/proc/self/fd"))
    deleted(Root(), [holder])
    deleted(Root(), [holder], limit=1)
    assert sorted(os.listdir("/proc/self/fd")) == before
