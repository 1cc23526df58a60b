"""Paths of a container are found and made inside its root, whatever links are in it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import InvalidArgument
from runtime.init import paths


@pytest.fixture
def root(tmp_path: Path):
    (tmp_path / "root").mkdir()
    descriptor = os.open(tmp_path / "root", os.O_PATH)
    yield descriptor
    os.close(descriptor)


def made(root: int, path: str, *, directory: bool = True, strict: bool = False) -> str:
    descriptor = paths.make(root, path, directory=directory, strict=strict)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_missing_directories_are_made(root: int, tmp_path: Path):
    assert made(root, "/a/b/c") == str(tmp_path / "root/a/b/c")
    assert (tmp_path / "root/a/b/c").is_dir()


def test_a_missing_file_is_made_in_made_directories(root: int, tmp_path: Path):
    made(root, "/a/file", directory=False)
    assert stat.S_ISREG((tmp_path / "root/a/file").stat().st_mode)


def test_dots_do_not_climb_out(root: int, tmp_path: Path):
    assert made(root, "/../../../x") == str(tmp_path / "root/x")


def test_an_absolute_link_starts_at_the_root(root: int, tmp_path: Path):
    (tmp_path / "root/link").symlink_to("/")
    assert made(root, "/link/x") == str(tmp_path / "root/x")
    assert not (tmp_path / "x").exists()


def test_a_climbing_link_stays_inside(root: int, tmp_path: Path):
    (tmp_path / "root/link").symlink_to("../../../..")
    assert made(root, "/link/x") == str(tmp_path / "root/x")


def test_a_dangling_link_is_an_error_and_makes_nothing_outside(root: int, tmp_path: Path):
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="link"):
        made(root, "/link/x")
    assert not (tmp_path / "outside").exists()


def test_strict_refuses_any_link(root: int, tmp_path: Path):
    (tmp_path / "root/real").mkdir()
    (tmp_path / "root/link").symlink_to("real")
    assert made(root, "/link") == str(tmp_path / "root/real")
    with pytest.raises(OSError, match="link"):
        made(root, "/link", strict=True)


def test_a_file_in_place_of_a_directory_is_named(root: int, tmp_path: Path):
    (tmp_path / "root/f").write_text("")
    with pytest.raises(InvalidArgument, match="f: is not a directory"):
        made(root, "/f")


def test_nothing_leaks(root: int, tmp_path: Path):
    before = len(os.listdir("/proc/self/fd"))
    made(root, "/a/b/c/d")
    (tmp_path / "root/link").symlink_to("/nowhere")
    for _ in range(3):
        with pytest.raises(OSError, match="link"):
            made(root, "/link/x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_null_device_that_is_a_file_is_refused(root: int, tmp_path: Path):
    (tmp_path / "root/dev").mkdir()
    (tmp_path / "root/dev/null").write_text("")
    with pytest.raises(InvalidArgument, match="/dev/null: is not the device 1:3"):
        paths.null_device(root)


def test_a_link_with_dots_is_followed_while_others_rename(root: int, tmp_path: Path):
    # openat2(2) is unsure of each `..` that a rename anywhere on the host comes in between.
    (tmp_path / "root/a").mkdir()
    (tmp_path / "root/link").symlink_to("a/.." + "/../a/.." * 20)
    (tmp_path / "one").mkdir()
    script = "import os\nwhile 1: os.rename('one', 'two'); os.rename('two', 'one')"
    renaming = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    try:
        while not (tmp_path / "two").exists():
            assert renaming.poll() is None
        for _ in range(2000):
            os.close(paths.find(root, "/link/a"))
    finally:
        renaming.kill()
        renaming.wait()
