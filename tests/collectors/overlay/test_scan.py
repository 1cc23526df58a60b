"""The walk of an upper directory, on what the kernel's own overlayfs wrote there."""

import os
import subprocess
import threading

import pytest

from collectors.errors import Missing
from collectors.overlay.scan import layer_sizes, scan
from collectors.root import Root
from tests.collectors.overlay.made import make

pytestmark = pytest.mark.root


def kinds(layers, *options, limit=None):
    reading = scan(Root(), layers.overlay(*options), limit=limit)
    return {change.path: change.kind for change in reading.changes}


def by_path(layers, *options):
    return {change.path: change for change in scan(Root(), layers.overlay(*options)).changes}


def test_an_untouched_overlay_has_no_changes(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "file").write_text("x")
    with layers.mounted():
        pass
    reading = scan(Root(), layers.overlay())
    assert (reading.changes, reading.complete, reading.inodes) == ((), True, 1)


def test_a_new_file_is_added_and_a_new_directory_is_not_opaque(tmp_path):
    layers = make(tmp_path)
    with layers.mounted() as merged:
        (merged / "dir" / "below").mkdir(parents=True)
        (merged / "dir" / "below" / "file").write_text("hello")
    assert kinds(layers) == {"/dir": "added", "/dir/below": "added", "/dir/below/file": "added"}
    change = by_path(layers)["/dir/below/file"]
    assert (change.size_bytes, change.is_directory, change.layer) == (5, False, None)
    assert change.modified_at == pytest.approx((layers.upper / "dir/below/file").stat().st_mtime)


def test_a_written_file_is_modified_and_tells_which_layer_had_it(tmp_path):
    layers = make(tmp_path, lowers=3)
    (layers.lowers[1] / "file").write_text("old")
    (layers.lowers[2] / "file").write_text("older")
    with layers.mounted() as merged:
        (merged / "file").write_text("new contents")
    change = by_path(layers)["/file"]
    assert (change.kind, change.layer, change.size_bytes) == ("modified", 1, 12)


def test_a_file_written_with_as_many_bytes_is_modified_too(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "file").write_text("old")
    os.utime(layers.lowers[0] / "file", (1, 1))
    with layers.mounted() as merged:
        (merged / "file").write_text("new")
    assert kinds(layers) == {"/file": "modified"}


def test_a_file_whose_mode_alone_changed_is_copied_up(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "file").write_text("same")
    with layers.mounted() as merged:
        (merged / "file").chmod(0o600)
    assert kinds(layers) == {"/file": "copied_up"}


def test_a_deleted_file_and_a_deleted_directory_are_deleted(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "file").write_text("x")
    (layers.lowers[0] / "dir").mkdir()
    with layers.mounted() as merged:
        (merged / "file").unlink()
        (merged / "dir").rmdir()
    changes = by_path(layers)
    assert {path: change.kind for path, change in changes.items()} == {
        "/file": "deleted",
        "/dir": "deleted",
    }
    assert changes["/dir"].is_directory
    assert not changes["/file"].is_directory
    assert (changes["/file"].size_bytes, changes["/file"].modified_at) == (0, None)


def test_a_directory_made_anew_over_a_deleted_one_is_opaque_and_what_is_in_it_is_added(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "dir").mkdir()
    (layers.lowers[0] / "dir" / "same").write_text("old")
    with layers.mounted() as merged:
        (merged / "dir" / "same").unlink()
        (merged / "dir").rmdir()
        (merged / "dir").mkdir()
        (merged / "dir" / "same").write_text("new")
    assert kinds(layers) == {"/dir": "opaque", "/dir/same": "added"}


def test_a_whiteout_in_a_lower_layer_hides_what_lies_below_it(tmp_path):
    layers = make(tmp_path, lowers=3)
    os.mknod(layers.lowers[1] / "file", 0o20000, os.makedev(0, 0))
    (layers.lowers[2] / "file").write_text("x")
    with layers.mounted() as merged:
        assert not (merged / "file").exists()
        (merged / "file").write_text("y")
    change = by_path(layers)["/file"]
    assert (change.kind, change.layer) == ("added", None)


def test_an_opaque_directory_in_a_lower_layer_hides_what_lies_below_it(tmp_path):
    layers = make(tmp_path, lowers=2)
    for lower in layers.lowers:
        (lower / "dir").mkdir()
    os.setxattr(layers.lowers[0] / "dir", "trusted.overlay.opaque", b"y")
    (layers.lowers[1] / "dir" / "file").write_text("x")
    with layers.mounted() as merged:
        assert not (merged / "dir" / "file").exists()
        (merged / "dir" / "file").write_text("y")
    changes = by_path(layers)
    assert (changes["/dir"].kind, changes["/dir"].layer) == ("modified", 0)
    assert changes["/dir/file"].kind == "added"


def test_a_file_in_a_lower_layer_hides_a_directory_below_it(tmp_path):
    layers = make(tmp_path, lowers=2)
    (layers.lowers[0] / "name").write_text("a file")
    (layers.lowers[1] / "name").mkdir()
    (layers.lowers[1] / "name" / "below").write_text("x")
    with layers.mounted() as merged:
        (merged / "name").unlink()
        (merged / "name").mkdir()
        (merged / "name" / "below").write_text("y")
    changes = by_path(layers)
    assert (changes["/name"].kind, changes["/name"].layer) == ("modified", 0)
    assert changes["/name/below"].kind == "added"


def test_a_renamed_directory_is_redirected_and_compared_with_where_it_was(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "old" / "below").mkdir(parents=True)
    (layers.lowers[0] / "old" / "below" / "file").write_text("x")
    with layers.mounted("redirect_dir=on") as merged:
        (merged / "old").rename(merged / "new")
        (merged / "new" / "below" / "file").write_text("other")
    changes = by_path(layers)
    assert changes["/new"].kind == "redirected"
    assert changes["/new"].layer == 0
    assert changes["/old"].kind == "deleted"
    assert changes["/new/below/file"].kind == "modified"


def test_a_directory_moved_elsewhere_is_compared_with_where_it_was(tmp_path):
    layers = make(tmp_path, lowers=2)
    (layers.lowers[1] / "a" / "b").mkdir(parents=True)
    (layers.lowers[1] / "c").mkdir(parents=True)
    (layers.lowers[1] / "a" / "b" / "file").write_text("x")
    with layers.mounted("redirect_dir=on") as merged:
        (merged / "a" / "b").rename(merged / "c" / "d")
        (merged / "c" / "d" / "file").write_text("other")
    assert os.getxattr(layers.upper / "c" / "d", "trusted.overlay.redirect") == b"/a/b"
    changes = by_path(layers)
    assert (changes["/c/d"].kind, changes["/c/d"].layer) == ("redirected", 1)
    assert (changes["/c/d/file"].kind, changes["/c/d/file"].layer) == ("modified", 1)


def test_a_redirect_in_a_lower_layer_is_followed_as_well(tmp_path):
    first = make(tmp_path / "first")
    (first.lowers[0] / "a" / "b").mkdir(parents=True)
    (first.lowers[0] / "a" / "b" / "file").write_text("x")
    with first.mounted("redirect_dir=on") as merged:
        (merged / "a" / "b").rename(merged / "moved")
    second = make(tmp_path / "second", lowers=0)
    second = type(second)(
        second.base, (first.upper, first.lowers[0]), second.upper, second.work, second.merged
    )
    with second.mounted("redirect_dir=on") as merged:
        (merged / "moved" / "file").write_text("other")
    change = by_path(second)["/moved/file"]
    assert (change.kind, change.layer) == ("modified", 1)


def test_a_file_with_only_its_metadata_in_the_upper_layer_is_metacopy(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "file").write_bytes(b"x" * 100_000)
    with layers.mounted("metacopy=on") as merged:
        (merged / "file").chmod(0o600)
    reading = scan(Root(), layers.overlay("metacopy=on"))
    (change,) = reading.changes
    assert (change.kind, change.size_bytes) == ("metacopy", 100_000)
    assert reading.size_bytes < 100_000


def test_user_attributes_count_where_the_overlay_uses_them(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "dir").mkdir()
    (layers.lowers[0] / "dir" / "file").write_text("old")
    with layers.mounted("userxattr") as merged:
        (merged / "dir" / "file").unlink()
        (merged / "dir").rmdir()
        (merged / "dir").mkdir()
    assert kinds(layers, "userxattr") == {"/dir": "opaque"}
    assert kinds(layers) == {"/dir": "modified"}


def test_a_whiteout_by_attribute_deletes_in_a_marked_directory_only(tmp_path):
    layers = make(tmp_path, lowers=2)
    for name in ("marked", "plain"):
        for lower in layers.lowers:
            (lower / name).mkdir()
        (layers.lowers[1] / name / "file").write_text("x")
        (layers.lowers[0] / name / "file").write_text("")
        os.setxattr(layers.lowers[0] / name / "file", "trusted.overlay.whiteout", b"y")
    os.setxattr(layers.lowers[0], "trusted.overlay.opaque", b"x")
    os.setxattr(layers.lowers[0] / "marked", "trusted.overlay.opaque", b"x")
    with layers.mounted() as merged:
        assert not (merged / "marked" / "file").exists()
        (merged / "marked" / "file").write_text("y")
    (layers.upper / "plain").mkdir(exist_ok=True)
    (layers.upper / "plain" / "file").write_text("y")
    changes = by_path(layers)
    assert (changes["/marked/file"].kind, changes["/marked/file"].layer) == ("added", None)
    assert (changes["/plain/file"].kind, changes["/plain/file"].layer) == ("modified", 0)


def test_a_symlink_is_told_and_never_followed(tmp_path):
    layers = make(tmp_path)
    (layers.upper / "to-etc").symlink_to("/etc")
    (layers.upper / "loop").symlink_to("loop")
    assert kinds(layers) == {"/to-etc": "added", "/loop": "added"}


def test_a_lower_symlink_is_not_followed_to_compare(tmp_path):
    layers = make(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (layers.lowers[0] / "name").symlink_to(tmp_path / "outside")
    (layers.upper / "name").mkdir()
    (layers.upper / "name" / "file").write_text("x")
    assert by_path(layers)["/name/file"].layer is None


def test_a_hard_linked_file_counts_once(tmp_path):
    layers = make(tmp_path)
    (layers.upper / "one").write_bytes(b"x" * 40_000)
    (layers.upper / "two").hardlink_to(layers.upper / "one")
    reading = scan(Root(), layers.overlay())
    assert reading.inodes == 2
    assert len(reading.changes) == 2
    du = subprocess.run(
        ["du", "--summarize", "--block-size=1", layers.upper], capture_output=True, check=True
    )
    assert reading.size_bytes == int(du.stdout.split()[0])


@pytest.mark.parametrize(
    "name", [b"a\nb", b"a\\b", b"\x1b[2J", b"n" * 255, b"\xff\xfe", "é".encode() * 100, b"%s {x}"]
)
def test_any_file_name_comes_back_byte_for_byte(tmp_path, name):
    layers = make(tmp_path)
    below = os.fsencode(layers.upper) + b"/" + name
    os.mkdir(below)
    os.close(os.open(below + b"/" + name, os.O_CREAT))
    paths = {os.fsencode(path) for path in kinds(layers)}
    assert paths == {b"/" + name, b"/" + name + b"/" + name}


def test_a_path_longer_than_path_max_is_walked(tmp_path):
    layers = make(tmp_path)
    fd = os.open(layers.upper, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    try:
        reading = scan(Root(), layers.overlay())
        assert len(reading.changes) == 30
        assert reading.complete
    finally:
        subprocess.run(["rm", "-rf", layers.upper], check=True)


def test_the_budget_ends_a_walk_and_says_so(tmp_path):
    layers = make(tmp_path)
    for index in range(50):
        (layers.upper / f"file{index}").write_text("")
    reading = scan(Root(), layers.overlay(), limit=20)
    assert (len(reading.changes), reading.complete) == (20, False)
    assert scan(Root(), layers.overlay(), limit=50).complete


def test_no_time_left_ends_a_walk(tmp_path):
    layers = make(tmp_path)
    for index in range(200):
        (layers.upper / f"file{index}").write_text("")
    reading = scan(Root(), layers.overlay(), seconds=0.0)
    assert not reading.complete
    assert len(reading.changes) < 200


def test_another_mount_below_the_upper_directory_is_not_walked(tmp_path):
    layers = make(tmp_path)
    (layers.upper / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers.upper / "mnt"], check=True)
    try:
        (layers.upper / "mnt" / "file").write_text("")
        assert "/mnt/file" not in kinds(layers)
    finally:
        subprocess.run(["umount", layers.upper / "mnt"], check=True)


def test_a_lower_directory_with_another_mount_on_it_is_as_the_overlay_sees_it(tmp_path):
    layers = make(tmp_path)
    (layers.lowers[0] / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers.lowers[0] / "mnt"], check=True)
    try:
        (layers.lowers[0] / "mnt" / "file").write_text("of the tmpfs")
        with layers.mounted() as merged:
            (merged / "mnt" / "file").write_text("y")
        changes = by_path(layers)
        assert (changes["/mnt"].kind, changes["/mnt"].layer) == ("copied_up", 0)
        assert changes["/mnt/file"].kind == "added"
    finally:
        subprocess.run(["umount", layers.lowers[0] / "mnt"], check=True)


def test_an_upper_directory_that_is_not_there_is_missing(tmp_path):
    layers = make(tmp_path)
    layers.upper.rmdir()
    with pytest.raises(Missing, match=str(layers.upper)):
        scan(Root(), layers.overlay())


def test_a_lower_layer_that_is_not_there_makes_the_answer_incomplete(tmp_path):
    layers = make(tmp_path, lowers=2)
    layers.lowers[1].rmdir()
    assert not scan(Root(), layers.overlay()).complete


def test_descriptors_are_all_closed_again(tmp_path):
    layers = make(tmp_path, lowers=4)
    for directory in (*layers.lowers, layers.upper):
        (directory / "a" / "b").mkdir(parents=True)
    scan(Root(), layers.overlay())
    before = sorted(os.listdir("/proc/self/fd"))
    scan(Root(), layers.overlay())
    scan(Root(), layers.overlay(), limit=1)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_directories_that_come_and_go_meanwhile_break_nothing(tmp_path):
    layers = make(tmp_path)
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            for index in range(30):
                path = layers.upper / f"d{index}"
                (path / "below").mkdir(parents=True, exist_ok=True)
                (path / "below" / "file").write_text("x")
            for index in range(30):
                subprocess.run(["rm", "-rf", layers.upper / f"d{index}"], check=False)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(100):
            scan(Root(), layers.overlay())
    finally:
        stop.set()
        thread.join()


def test_a_layers_size_is_what_du_says(tmp_path):
    layers = make(tmp_path, lowers=2)
    (layers.lowers[0] / "big").write_bytes(b"x" * 123_456)
    (layers.lowers[0] / "dir").mkdir()
    (layers.lowers[0] / "dir" / "link").hardlink_to(layers.lowers[0] / "big")
    paths = [str(lower) for lower in layers.lowers]
    sizes = layer_sizes(Root(), paths)
    for size in sizes:
        du = subprocess.run(
            ["du", "--summarize", "--block-size=1", size.path], capture_output=True, check=True
        )
        assert size.size_bytes == int(du.stdout.split()[0])
    assert [size.complete for size in sizes] == [True, True]


def test_the_budget_of_layer_sizes_is_for_all_of_them(tmp_path):
    layers = make(tmp_path, lowers=2)
    for lower in layers.lowers:
        for index in range(10):
            (lower / f"file{index}").write_text("")
    sizes = layer_sizes(Root(), [str(lower) for lower in layers.lowers], limit=15)
    assert [size.complete for size in sizes] == [True, False]
    assert [size.inodes for size in sizes] == [11, 6]
