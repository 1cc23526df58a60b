"""What is visible and what is hidden of real overlays, to the byte, and against a model that tries everything."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import Missing
from collectors.overlay.weigh import Weighing
from collectors.root import Root
from tests.collectors.overlay.made import Layers, make

pytestmark = pytest.mark.root


def weigh(layers, *options):
    with Weighing(Root(), layers.overlay(*options)) as weighing:
        assert weighing.advance()
        return weighing.reading()


def put(path: Path, size: int, fill: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fill * size)
    return path


def hidden(weight):
    return {
        (one.layer, one.path): (one.why, one.hidden_by, one.size_bytes) for one in weight.wasted
    }


def test_layers_that_hide_nothing_are_fully_efficient(tmp_path):
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[0] / "a", 10)
    put(layers.lowers[1] / "dir/b", 20)
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes, weight.efficiency) == (30, 0, 1.0)
    assert [layer.visible_bytes for layer in weight.layers] == [0, 10, 20]


def test_layers_without_a_byte_have_no_efficiency(tmp_path):
    assert weigh(make(tmp_path)).efficiency is None


def test_every_version_but_the_uppermost_is_wasted_and_the_needed_one_is_not(tmp_path):
    layers = make(tmp_path, lowers=3)
    for lower, size in zip(layers.lowers, (100, 30, 7), strict=True):
        put(lower / "file", size)
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes) == (100, 37)
    assert weight.efficiency == pytest.approx(100 / 137)
    assert hidden(weight) == {(2, "/file"): ("replaced", 1, 30), (3, "/file"): ("replaced", 1, 7)}


def test_what_a_whiteout_deletes_is_wasted_with_all_that_is_in_it(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "cache/a", 1000)
    put(layers.lowers[0] / "cache/deep/b", 24)
    put(layers.lowers[0] / "file", 5)
    with layers.mounted() as merged:
        subprocess.run(["rm", "-r", merged / "cache", merged / "file"], check=True)
    weight = weigh(layers)
    assert weight.visible_bytes == 0
    assert weight.by_reason == {"deleted": 1029, "replaced": 0, "opaque": 0}
    assert hidden(weight)[1, "/cache"] == ("deleted", 0, 1024)
    assert (weight.wasted[0].files, weight.wasted[0].is_directory) == (2, True)


def test_what_an_opaque_directory_covers_is_wasted(tmp_path):
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[1] / "dir/old", 500)
    put(layers.lowers[0] / "dir/older", 60)
    with layers.mounted() as merged:
        subprocess.run(["rm", "-r", merged / "dir"], check=True)
        put(merged / "dir/new", 9)
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.by_reason["opaque"]) == (9, 560)


def test_a_copy_up_for_nothing_is_told_apart_from_a_changed_one(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "same", 5000)
    put(layers.lowers[0] / "changed", 5000)
    with layers.mounted() as merged:
        (merged / "same").chmod(0o600)
        (merged / "changed").write_bytes(b"y" * 5000)
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes, weight.same_bytes) == (10000, 10000, 5000)


def test_a_metadata_copy_wastes_nothing_the_contents_below_are_still_read(tmp_path):
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[1] / "file", 100_000)
    with layers.mounted("metacopy=on") as merged:
        (merged / "file").chmod(0o600)
    weight = weigh(layers, "metacopy=on")
    assert (weight.visible_bytes, weight.hidden_bytes) == (100_000, 0)


def test_a_metadata_copy_that_was_renamed_still_reads_the_contents_under_the_old_name(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "a/old", 100_000)
    put(layers.lowers[0] / "b/other", 30)
    with layers.mounted("metacopy=on,redirect_dir=on") as merged:
        (merged / "a/old").chmod(0o600)
        (merged / "a/old").rename(merged / "b/new")
        assert (merged / "b/new").stat().st_size == 100_000
    weight = weigh(layers, "metacopy=on", "redirect_dir=on")
    assert (weight.visible_bytes, weight.hidden_bytes) == (100_030, 0)


def test_a_directory_that_was_renamed_is_seen_where_it_went(tmp_path):
    layers = make(tmp_path)
    put(layers.lowers[0] / "old/kept", 700)
    put(layers.lowers[0] / "old/gone", 30)
    with layers.mounted("redirect_dir=on") as merged:
        (merged / "old").rename(merged / "new")
        (merged / "new/gone").unlink()
    weight = weigh(layers, "redirect_dir=on")
    assert (weight.visible_bytes, weight.hidden_bytes) == (700, 30)


def test_a_file_with_two_names_is_counted_once_and_seen_by_either(tmp_path):
    layers = make(tmp_path)
    first = put(layers.lowers[0] / "z/first", 4000)
    (layers.lowers[0] / "a").mkdir()
    (layers.lowers[0] / "a/second").hardlink_to(first)
    assert weigh(layers).visible_bytes == 4000
    with layers.mounted() as merged:
        (merged / "a/second").unlink()
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes, weight.wasted) == (4000, 0, ())
    with layers.mounted() as merged:
        (merged / "z/first").unlink()
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes) == (0, 4000)
    assert len(weight.wasted) == 1


def test_holes_are_no_contents(tmp_path):
    layers = make(tmp_path)
    with (layers.lowers[0] / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert weigh(layers).visible_bytes <= 4096


def test_hostile_entries_are_no_contents_and_stop_nothing(tmp_path):
    layers = make(tmp_path, lowers=2)
    below = os.fsencode(layers.lowers[1])
    for name in (b"n" * 255, b"a\nb", b"\x1b[2J", b"\xff\xfe"):
        os.mkdir(below + b"/" + name)
        Path(os.fsdecode(below + b"/" + name)).joinpath("file").write_bytes(b"12345")
    os.mkfifo(below + b"/fifo")
    os.mknod(below + b"/zero", 0o20666, os.makedev(1, 5))
    (layers.lowers[1] / "loop").symlink_to("loop")
    (layers.lowers[1] / "up").symlink_to("../..")
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.hidden_bytes, weight.complete) == (20, 0, True)


def test_a_walk_goes_on_where_it_was_stopped_and_ends_with_the_same_numbers(tmp_path):
    layers = make(tmp_path, lowers=2)
    for index in range(40):
        put(layers.lowers[1] / f"d{index % 7}/f{index}", index)
        put(layers.lowers[0] / f"d{index % 5}/f{index}", 3)
    whole = weigh(layers)
    with Weighing(Root(), layers.overlay()) as weighing:
        seen = []
        while not weighing.advance(entries=7):
            reading = weighing.reading()
            assert not reading.complete
            seen.append(reading.visible_bytes + reading.hidden_bytes)
        assert weighing.reading() == whole
        assert len(seen) > 5
        assert seen == sorted(seen)
        assert weighing.advance()


def test_who_wants_it_to_stop_is_asked_and_heard(tmp_path):
    layers = make(tmp_path)
    for index in range(500):
        (layers.lowers[0] / f"f{index}").touch()
    with Weighing(Root(), layers.overlay()) as weighing:
        assert not weighing.advance(stop=lambda: True)
        assert weighing.reading().entries < 100
        assert weighing.advance(stop=lambda: False)


def test_a_walk_that_is_closed_leaves_no_descriptor(tmp_path):
    layers = make(tmp_path, lowers=3)
    for lower in layers.lowers:
        put(lower / "a/b/c", 1)
    before = sorted(os.listdir("/proc/self/fd"))
    with Weighing(Root(), layers.overlay()) as weighing:
        weighing.advance(entries=1)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_layer_that_is_missing_makes_the_numbers_lower_bounds(tmp_path):
    layers = make(tmp_path, lowers=2)
    put(layers.lowers[0] / "a", 5)
    layers.lowers[1].rmdir()
    weight = weigh(layers)
    assert (weight.visible_bytes, weight.complete) == (5, False)


def test_no_layer_at_all_is_missing(tmp_path):
    layers = make(tmp_path)
    layers.lowers[0].rmdir()
    layers.upper.rmdir()
    with pytest.raises(Missing):
        Weighing(Root(), layers.overlay())


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
THINGS = st.one_of(
    st.integers(1, 9).map(lambda size: ("file", size)),
    st.just(("whiteout", 0)),
    st.just(("opaque", 0)),
    st.just(("directory", 0)),
)
STACKS = st.lists(st.lists(st.tuples(PATHS, THINGS), max_size=6), min_size=1, max_size=4)


def build(layer: Path, things) -> None:
    for path, (kind, size) in things:
        try:
            build_one(layer / path, kind, size)
        except (FileExistsError, NotADirectoryError):
            continue


def build_one(where: Path, kind: str, size: int) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        with where.open("xb") as file:
            file.write(b"x" * size)
    elif kind == "whiteout":
        os.mknod(where, 0o20000, os.makedev(0, 0))
    else:
        where.mkdir(exist_ok=True)
    if kind == "opaque":
        os.setxattr(where, "trusted.overlay.opaque", b"y")


def all_bytes(directory: Path) -> int:
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STACKS)
def test_what_is_visible_is_what_the_kernel_shows_and_the_rest_is_hidden(stack):
    with tempfile.TemporaryDirectory(prefix="l-weigh-") as base:
        layers: Layers = make(Path(base), lowers=len(stack))
        for lower, things in zip(layers.lowers, stack, strict=True):
            build(lower, things)
        with layers.mounted() as merged:
            shown = all_bytes(merged)
        whole = sum(map(all_bytes, layers.lowers))
        weight = weigh(layers)
        assert (weight.visible_bytes, weight.hidden_bytes) == (shown, whole - shown)
        assert sum(weight.by_reason.values()) == weight.hidden_bytes
        assert sum(one.size_bytes for one in weight.wasted) == weight.hidden_bytes


def test_how_far_a_walk_is_only_grows_and_ends_at_the_whole(tmp_path):
    layers = make(tmp_path, lowers=2)
    for name in ("a/b/c", "a/d", "e", "f/g"):
        put(layers.lowers[0] / name / "file", 10)
    put(layers.lowers[1] / "a/b/below/file", 10)
    ratios = []
    with Weighing(Root(), layers.overlay()) as weighing:
        while not weighing.advance(entries=1):
            ratios.append(weighing.reading().walked_ratio)
        ratios.append(weighing.reading().walked_ratio)
    assert ratios == sorted(ratios)
    assert ratios[0] == 0
    assert ratios[-1] == 1
    assert len({ratio for ratio in ratios if 0 < ratio < 1}) > 3
