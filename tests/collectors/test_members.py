"""Who is in which namespace: races with processes that go, and pids that are used again."""

import time

import pytest

from collectors.errors import CollectError, Gone
from collectors.members import Members, ask, members
from collectors.root import Root


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
