"""What fuse-overlayfs leaves in its layers is understood as what it showed when it was mounted."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import requirements
from tests.collectors.overlay.made import Layers, make
from tests.collectors.overlay.test_merged import kernels, read_whole
from tests.collectors.overlay.test_scan import kinds

pytestmark = pytest.mark.root


@contextmanager
def mounted(layers: Layers) -> Iterator[Path]:
    requirements.commands("fuse-overlayfs")
    subprocess.run(
        ("fuse-overlayfs", "-o", layers.option(), str(layers.merged)),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield layers.merged
    finally:
        subprocess.run(("umount", layers.merged), check=True)


def changed(merged: Path) -> None:
    """Delete a file and a directory, and make another directory in the place of a third one."""
    (merged / "gone").unlink()
    shutil.rmtree(merged / "all-gone")
    shutil.rmtree(merged / "again")
    (merged / "again/sub").mkdir(parents=True)
    (merged / "again/new").write_text("new")


def timeless(found: dict[str, tuple[tuple[int, ...], object]]) -> dict[str, object]:
    """Leave the times out: the kernel shows its own of what was written through FUSE just now."""
    return {path: (about[:-1], inside) for path, (about, inside) in found.items()}


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    made = make(tmp_path)
    lower = made.lowers[0]
    for name in ("gone", "all-gone/file", "again/old", "kept"):
        (lower / name).parent.mkdir(exist_ok=True)
        (lower / name).write_text(name)
    return made


@pytest.fixture
def shown(layers: Layers) -> dict[str, object]:
    """Return what the mount shows, of what was changed through it."""
    with mounted(layers) as merged:
        changed(merged)
        found = timeless(kernels(merged))
    assert (layers.upper / "again/.wh..wh..opq").is_file()
    return found


def test_its_layers_are_read_as_it_merges_them(layers: Layers, shown: dict[str, object]) -> None:
    assert timeless(read_whole(layers)) == shown
    assert {"/again/new", "/again/sub", "/kept"} <= shown.keys()


def test_its_changes_are_told_without_its_own_files(
    layers: Layers, shown: dict[str, object]
) -> None:
    assert kinds(layers) == {
        "/gone": "deleted",
        "/all-gone": "deleted",
        "/again": "opaque",
        "/again/new": "added",
        "/again/sub": "added",
    }


def test_a_users_opaque_directory_is_known_by_the_attribute_that_a_user_may_set(
    layers: Layers, shown: dict[str, object]
) -> None:
    """As seen of fuse-overlayfs 1.10 in a user namespace, which has no trusted attributes."""
    os.removexattr(layers.upper / "again", "trusted.overlay.opaque")
    os.setxattr(layers.upper / "again", "user.fuseoverlayfs.opaque", b"y")
    assert timeless(read_whole(layers, "userxattr")) == shown
    assert kinds(layers, "userxattr")["/again"] == "opaque"


def test_a_file_of_such_a_name_that_has_something_in_it_is_a_file(layers: Layers) -> None:
    (layers.upper / ".wh..wh..opq").write_text("hidden")
    assert kinds(layers) == {"/.wh..wh..opq": "added"}
    assert stat.S_ISREG(os.stat(layers.upper / ".wh..wh..opq").st_mode)
