"""Tar streams out of a root and into one, beside what tar(1) makes and says of them; and hostile ones."""

import contextlib
import io
import os
import stat
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.inside import Inside
from collectors.root import Root
from inspector.errors import Failure
from inspector.layers import tarring
from inspector.layers.sources import Mounted


@pytest.fixture
def tree(tmp_path):
    """Make a directory with a bit of everything."""
    top = tmp_path / "root" / "srv"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_bytes(b"hello\n")
    (top / "sub" / "big").write_bytes(os.urandom(300_000))
    (top / "sub" / "run").write_text("#!/bin/sh\n")
    (top / "sub" / "run").chmod(0o4755)
    (top / "link").symlink_to("/etc/passwd")
    os.utime(top / "file", (1_700_000_000, 1_700_000_000))
    os.mkfifo(top / "fifo")
    return tmp_path / "root"


def inside(path):
    return Inside.of_directory(Root(), str(path))


def written(root, path, **more):
    out = io.BytesIO()
    with inside(root) as source:
        copied = tarring.write(Mounted(source), path, out, base=(0, 0), **more)
    return out.getvalue(), copied


def read(data, root, to="/", base=None):
    base = base or (os.getuid(), os.getgid()) if os.getuid() else base or (0, 0)
    with inside(root) as into:
        return tarring.read(io.BytesIO(data), into, to, base=base)


def made(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as stream:
        for name, kind, what in members:
            about = tarfile.TarInfo(name)
            about.type = kind
            if kind == tarfile.REGTYPE:
                about.size = len(what)
                stream.addfile(about, io.BytesIO(what))
            else:
                about.linkname = what
                stream.addfile(about)
    return out.getvalue()


def test_tar_unpacks_what_was_written(tree, tmp_path):
    data, copied = written(tree, "/srv")
    assert (copied.files, copied.directories, copied.links) == (3, 2, 1)
    assert copied.skipped == ["/srv/fifo"]
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "xp", "-C", there], input=data, check=True)
    for name in ("file", "sub/big", "sub/run"):
        assert (there / "srv" / name).read_bytes() == (tree / "srv" / name).read_bytes()
    assert stat.S_IMODE((there / "srv/sub/run").stat().st_mode) == 0o4755
    assert (there / "srv/file").stat().st_mtime == 1_700_000_000
    assert os.readlink(there / "srv" / "link") == "/etc/passwd"


def test_one_file_is_a_stream_of_one_entry(tree):
    data, _ = written(tree, "/srv/file")
    with tarfile.open(fileobj=io.BytesIO(data)) as stream:
        (only,) = stream.getmembers()
    assert (only.name, only.size) == ("file", 6)


def test_what_tar_writes_is_unpacked(tree, tmp_path):
    data = subprocess.run(
        ["tar", "c", "-C", tree, "srv/file", "srv/sub", "srv/link"], check=True, capture_output=True
    ).stdout
    there = tmp_path / "there"
    (there / "into").mkdir(parents=True)
    copied = read(data, there, "/into")
    assert (copied.files, copied.links) == (3, 1)
    assert (there / "into/srv/sub/big").read_bytes() == (tree / "srv/sub/big").read_bytes()
    assert stat.S_IMODE((there / "into/srv/sub/run").stat().st_mode) == 0o4755
    assert os.readlink(there / "into/srv/link") == "/etc/passwd"
    assert not [name for name in os.listdir(there / "into/srv") if name.startswith(".cinspect")]


def test_hard_links_stay_links(tmp_path):
    data = made(("a", tarfile.REGTYPE, b"one"), ("b", tarfile.LNKTYPE, "a"))
    read(data, tmp_path)
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/../out"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(Failure, match=r"\.\."):
        read(made((name, tarfile.REGTYPE, b"x")), root)
    assert os.listdir(tmp_path) == ["root"]


def test_a_link_leads_nowhere_out_of_the_container(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    for target in (str(outside), "../outside"):
        data = made(("way", tarfile.SYMTYPE, target), ("way/file", tarfile.REGTYPE, b"x"))
        with contextlib.suppress(Failure):
            read(data, root)
        assert os.listdir(outside) == []
        (root / "way").unlink()


def test_a_hard_link_to_a_file_outside_is_not_made(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    for name in (str(tmp_path / "secret"), "../secret"):
        with pytest.raises(Failure):
            read(made(("b", tarfile.LNKTYPE, name)), root)
    assert os.listdir(root) == []


@pytest.mark.root
def test_ids_are_the_containers_and_devices_are_not_made(tmp_path):
    about = tarfile.TarInfo("file")
    about.uid, about.gid = 5, 6
    device = tarfile.TarInfo("null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as stream:
        stream.addfile(about, io.BytesIO())
        stream.addfile(device)
    copied = read(out.getvalue(), tmp_path, base=(100_000, 200_000))
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (100_005, 200_006)
    assert copied.skipped == ["null"]
    assert os.listdir(tmp_path) == ["file"]
    back = io.BytesIO()
    with inside(tmp_path) as source:
        tarring.write(Mounted(source), "/file", back, base=(100_000, 200_000))
    with tarfile.open(fileobj=io.BytesIO(back.getvalue())) as stream:
        (member,) = stream.getmembers()
    assert (member.uid, member.gid) == (5, 6)


@given(st.binary(max_size=2000), st.integers(0, 2000))
@settings(max_examples=60)
def test_whatever_the_bytes_it_is_unpacked_or_refused(tmp_path_factory, junk, cut):
    root = tmp_path_factory.mktemp("root")
    whole = made(("a", tarfile.REGTYPE, b"hello"), ("d", tarfile.DIRTYPE, ""))
    with contextlib.suppress(Failure):
        read(whole[:cut] + junk, root)
    assert not [name for name in os.listdir(root) if name.startswith(".cinspect")]


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Failure, match="/nowhere"):
        read(made(("a", tarfile.REGTYPE, b"x")), tmp_path, "/nowhere")
