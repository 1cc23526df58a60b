"""How an upper directory grew between two walks: canned ones, real ones, and very large ones."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collectors.overlay.records import FileChange, UpperReading
from collectors.overlay.scan import scan
from collectors.root import Root
from inspector.layers.growth import growth
from tests.collectors.overlay import made


def walked(*changes, at=0.0, size=0, complete=True):
    return UpperReading(
        upperdir="/upper",
        size_bytes=size,
        inodes=len(changes),
        changes=tuple(sorted(changes, key=lambda one: one.path)),
        complete=complete,
        walked_at=at,
    )


def file(path, size, *, modified=1.0):
    return FileChange(path, "added", size, False, None, modified)


def directory(path):
    return FileChange(path, "added", 4096, True, None, 1.0)


def whiteout(path):
    return FileChange(path, "deleted", 0, False, 0, None)


def told(found):
    return [(one.path, one.what, one.grown_bytes, one.written_bytes) for one in found.paths]


def test_the_path_with_the_most_bytes_written_comes_first():
    before = walked(file("/log", 1000), file("/same", 7), size=4096)
    after = walked(
        file("/log", 9000, modified=2.0), file("/new", 500), file("/same", 7), at=2.0, size=12288
    )
    found = growth(before, after)
    assert told(found) == [("/log", "grew", 8000, 8000), ("/new", "new", 500, 500)]
    assert (found.new, found.grew, found.rewritten, found.shrank, found.gone) == (1, 1, 0, 0, 0)
    assert (found.seconds, found.grown_bytes, found.bytes_per_second) == (2.0, 8192, 4096.0)
    assert found.written_bytes == 8500


def test_a_file_written_over_in_place_is_rewritten_and_one_cut_short_shrank():
    before = walked(file("/db", 100), file("/log", 100))
    after = walked(file("/db", 100, modified=2.0), file("/log", 10, modified=2.0), at=1.0)
    assert told(growth(before, after)) == [
        ("/db", "rewritten", 0, 0),
        ("/log", "shrank", -90, 0),
    ]


def test_a_whiteout_in_a_files_place_means_that_it_is_gone():
    found = growth(walked(file("/etc/x", 50)), walked(whiteout("/etc/x"), at=1.0))
    assert told(found) == [("/etc/x", "gone", -50, 0)]
    assert growth(walked(whiteout("/etc/x")), walked(whiteout("/etc/x"), at=1.0)).paths == ()


def test_a_file_that_comes_back_over_a_whiteout_is_new():
    found = growth(walked(whiteout("/etc/x")), walked(file("/etc/x", 5), at=1.0))
    assert told(found) == [("/etc/x", "new", 5, 5)]


def test_directories_tell_where_the_bytes_went_without_those_that_only_lead_there():
    after = walked(
        directory("/var"),
        directory("/var/cache"),
        file("/var/cache/a", 10),
        file("/var/cache/b", 20),
        file("/srv/x", 5),
        at=1.0,
    )
    found = growth(walked(), after)
    assert [(one.path, one.written_bytes, one.files) for one in found.directories] == [
        ("/", 35, 3),
        ("/var/cache", 30, 2),
        ("/srv", 5, 1),
    ]


def test_a_walk_that_was_cut_short_tells_of_no_path_that_only_one_met():
    before = walked(file("/a", 1), file("/b", 1), complete=False)
    after = walked(file("/a", 3), file("/c", 9), at=1.0)
    found = growth(before, after)
    assert told(found) == [("/a", "grew", 2, 2)]
    assert not found.complete
    assert found.bytes_per_second is None


def test_walks_of_two_directories_are_not_compared():
    with pytest.raises(ValueError, match="two directories"):
        growth(walked(), structs.replace(walked(), upperdir="/other"))


sizes = st.dictionaries(
    st.text(alphabet="ab/\udc80", min_size=1, max_size=4).map("/{}".format), st.integers(0, 9)
)


@given(sizes, sizes, st.integers(0, 5))
def test_what_grew_adds_up_to_the_difference_whatever_the_paths(one, other, top):
    before = walked(*(file(path, size) for path, size in one.items()))
    after = walked(*(file(path, size) for path, size in other.items()), at=1.0)
    whole = growth(before, after, top=1000)
    assert sum(each.grown_bytes for each in whole.paths) == sum(other.values()) - sum(one.values())
    assert whole.new == len(other.keys() - one.keys())
    assert whole.gone == len(one.keys() - other.keys())
    assert growth(before, after, top=top).paths == whole.paths[:top]
    assert growth(before, before).paths == ()


def test_half_a_million_files_are_compared_in_seconds_and_a_few_are_told():
    before = walked(*(file(f"/data/{n % 997}/{n}", n) for n in range(500_000)))
    after = walked(*(file(f"/data/{n % 997}/{n}", n + n % 2) for n in range(500_000)), at=1.0)
    began = time.process_time()
    found = growth(before, after)
    assert time.process_time() - began < 15
    assert found.grew == 250_000
    assert len(found.paths) == len(found.directories) == 20


@pytest.mark.root
def test_what_is_written_through_a_real_overlay_is_found(tmp_path):
    layers = made.make(tmp_path)
    (layers.lowers[0] / "etc").mkdir()
    (layers.lowers[0] / "etc" / "old").write_bytes(b"x" * 300)
    with layers.mounted() as merged:
        (merged / "log").write_bytes(b"a" * 1000)
        (merged / "once").write_bytes(b"a")
        before = scan(Root(), layers.overlay())
        with (merged / "log").open("ab") as log:
            log.write(b"b" * 50_000)
        os.truncate(merged / "etc" / "old", 200)
        (merged / "once").unlink()
        after = scan(Root(), layers.overlay())
    found = growth(before, after)
    assert told(found) == [
        ("/log", "grew", 50_000, 50_000),
        ("/etc/old", "new", 200, 200),
        ("/etc", "new", 0, 0),
        ("/once", "gone", -1, 0),
    ]
    assert found.grown_bytes >= 49_152
