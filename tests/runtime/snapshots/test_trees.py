"""A tree is removed whole, and nothing outside of it is ever touched."""

import os
import socket
import threading

import pytest

from runtime.errors import Internal
from runtime.snapshots import trees


def test_a_tree_of_every_kind_of_file_is_removed(tmp_path):
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").touch()
    os.mkfifo(top / "fifo")
    (top / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "s"))
    os.mkdir(os.fsencode(top) + b"/\xff\xfe")
    trees.remove(str(top))
    assert os.listdir(tmp_path) == []


def test_links_that_lead_out_are_removed_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    top = tmp_path / "top"
    (top / "deep").mkdir(parents=True)
    (top / "deep" / "link").symlink_to(outside)
    (top / "link").symlink_to(outside)
    trees.remove(str(top))
    assert (outside / "precious").exists()
    link = tmp_path / "toplink"
    link.symlink_to(outside)
    trees.remove(str(link))
    assert not link.exists()
    assert (outside / "precious").exists()


def test_a_tree_deeper_than_a_path_may_be_long_is_removed(tmp_path):
    deep = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("top", dir_fd=deep)
    here = os.open("top", os.O_RDONLY, dir_fd=deep)
    for _ in range(400):
        os.mkdir("x" * 100, dir_fd=here)
        below = os.open("x" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.close(deep)
    trees.remove(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_removing_what_is_not_there_is_no_error(tmp_path):
    trees.remove(str(tmp_path / "nothing"))
    trees.remove(str(tmp_path / "no" / "parent"))


def test_a_directory_swapped_for_a_link_meanwhile_leads_nowhere(tmp_path):
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub" / "precious").touch()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            try:
                os.rename(tmp_path / "top" / "victim", tmp_path / "top" / "aside")
                os.symlink(outside, tmp_path / "top" / "victim")
                os.unlink(tmp_path / "top" / "victim")
                os.rename(tmp_path / "top" / "aside", tmp_path / "top" / "victim")
            except OSError:
                continue

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        for _ in range(150):
            for name in ("victim", "other"):
                os.makedirs(tmp_path / "top" / name / "sub", exist_ok=True)
                (tmp_path / "top" / name / "sub" / "file").touch()
            try:
                trees.remove(str(tmp_path / "top"))
            except (Internal, OSError):
                continue
    except FileNotFoundError:
        pass
    finally:
        stop.set()
        racer.join()
    assert (outside / "sub" / "precious").exists()


@pytest.mark.root
def test_what_cannot_be_removed_is_named(tmp_path):
    from runtime.linux import mounts

    (tmp_path / "top" / "held").mkdir(parents=True)
    mounts.mount("tmpfs", str(tmp_path / "top" / "held"), fstype="tmpfs")
    try:
        with pytest.raises(Internal, match=r"cannot remove .*top"):
            trees.remove(str(tmp_path / "top"))
    finally:
        mounts.unmount(str(tmp_path / "top" / "held"))
