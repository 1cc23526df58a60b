"""What every snapshotter must do, and overlayfs's own traps."""

import os
import stat

import pytest

from runtime.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from runtime.linux import mounts
from runtime.metadata.store import Store
from runtime.snapshots.overlay import OverlaySnapshotter


@pytest.fixture(params=["plain", "co:lon", "com,ma", "back\\slash", "a b\tc", "ünï"])
def place(tmp_path, request):
    """A root and a lower directory whose names hold what mount options are made of."""
    base = tmp_path / request.param
    lower = base / "lower"
    lower.mkdir(parents=True)
    (lower / "below").write_text("lower")
    lower.chmod(0o751)
    return base


@pytest.fixture
def snapshotter(place):
    store = Store(str(place / "root" / "metadata.db"), namespace="default")
    yield OverlaySnapshotter(str(place / "root" / "snapshots"), store)
    store.close()


@pytest.fixture
def merged(place):
    """A function that mounts layers and returns the merged directory."""
    target = place / "merged"
    target.mkdir()

    def mount(layers):
        mounts.mount("overlay", str(target), fstype="overlay", data=",".join(layers.mount_options))
        return target

    yield mount
    while os.path.ismount(target):
        mounts.unmount(str(target))


@pytest.mark.root
def test_a_write_goes_to_the_upper_layer_and_the_lower_one_stays(place, snapshotter, merged):
    layers = snapshotter.prepare("key", [str(place / "lower")])
    root = merged(layers)
    assert (root / "below").read_text() == "lower"
    (root / "below").write_text("changed")
    (root / "new").write_text("new")
    assert (place / "lower" / "below").read_text() == "lower"
    assert sorted(os.listdir(layers.upperdir)) == ["below", "new"]
    assert stat.S_IMODE(root.stat().st_mode) == 0o751


@pytest.mark.root
def test_a_mounted_snapshot_is_not_removed(place, snapshotter, merged):
    layers = snapshotter.prepare("key", [str(place / "lower")])
    root = merged(layers)
    (root / "precious").touch()
    with pytest.raises(FailedPrecondition, match="is mounted"):
        snapshotter.remove("key")
    mounts.unmount(str(root))
    assert os.path.exists(os.path.join(layers.upperdir, "precious"))
    snapshotter.remove("key")
    assert os.listdir(place / "root" / "snapshots") == []


@pytest.mark.root
def test_the_first_lower_directory_is_the_topmost(place, snapshotter, merged):
    for number, name in enumerate(["top", "mid:dle"]):
        (place / name).mkdir()
        (place / name / "below").write_text(name)
        (place / name / f"only{number}").touch()
    root = merged(
        snapshotter.prepare("key", [str(place / each) for each in ("top", "mid:dle", "lower")])
    )
    assert (root / "below").read_text() == "top"
    assert sorted(os.listdir(root)) == ["below", "only0", "only1"]


def test_a_key_is_taken_once_and_free_again_after_its_removal(place, snapshotter):
    lower = [str(place / "lower")]
    first = snapshotter.prepare("key", lower)
    assert snapshotter.layers("key") == first
    assert snapshotter.all() == {"key": first}
    with pytest.raises(AlreadyExists):
        snapshotter.prepare("key", lower)
    assert os.path.isdir(first.upperdir)
    snapshotter.remove("key")
    assert snapshotter.prepare("key", lower).upperdir != first.upperdir


def test_an_unknown_key_is_not_found(snapshotter):
    for what in (snapshotter.layers, snapshotter.remove, snapshotter.usage):
        with pytest.raises(NotFound):
            what("nobody")


def test_a_lower_directory_that_is_none_is_named_and_leaves_nothing(place, snapshotter):
    with pytest.raises(NotFound, match="nothing-here"):
        snapshotter.prepare("key", [str(place / "nothing-here")])
    with pytest.raises(InvalidArgument, match="not a directory"):
        snapshotter.prepare("key", [str(place / "lower" / "below")])
    with pytest.raises(InvalidArgument, match="no lower"):
        snapshotter.prepare("key", [])
    assert snapshotter.all() == {}


def test_a_snapshot_that_cannot_be_made_leaves_no_record(place, snapshotter):
    (place / "root").mkdir(parents=True, exist_ok=True)
    (place / "root" / "snapshots").touch()
    with pytest.raises(Exception, match="snapshots"):
        snapshotter.prepare("key", [str(place / "lower")])
    assert snapshotter.all() == {}


def test_usage_counts_what_the_upper_layer_takes(place, snapshotter):
    layers = snapshotter.prepare("key", [str(place / "lower")])
    empty = snapshotter.usage("key")
    with open(os.path.join(layers.upperdir, "file"), "wb") as file:
        file.write(b"x" * 100_000)
    os.link(os.path.join(layers.upperdir, "file"), os.path.join(layers.upperdir, "link"))
    usage = snapshotter.usage("key")
    assert usage.inodes == empty.inodes + 1
    assert 100_000 <= usage.size_bytes - empty.size_bytes <= 120_000
