"""An overlay's directories out of its options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.overlay import options


def test_layers_are_parted_by_colons_uppermost_first():
    found = options.directories(
        ("rw", "lowerdir=/a:/b:c", "upperdir=/u", "workdir=/w", "index=off")
    )
    assert found.lowerdirs == ("/a", "/b", "c")
    assert (found.upperdir, found.workdir) == ("/u", "/w")
    assert found.others == ("rw", "index=off")


def test_an_escaped_colon_is_part_of_a_name():
    assert options.directories((r"lowerdir=/a\:b:/c\\:/d\,e",)).lowerdirs == (
        "/a:b",
        "/c\\",
        "/d,e",
    )


def test_data_only_layers_follow_two_colons():
    found = options.directories(("lowerdir=/a:/b::/data1::/data2",))
    assert (found.lowerdirs, found.datadirs) == (("/a", "/b"), ("/data1", "/data2"))


def test_layers_given_one_by_one_have_no_escapes():
    found = options.directories((r"lowerdir+=/a\:b", "lowerdir+=/c:d", "datadir+=/e"))
    assert (found.lowerdirs, found.datadirs) == ((r"/a\:b", "/c:d"), ("/e",))


def test_a_read_only_overlay_has_no_upper_directory():
    found = options.directories(("ro", "lowerdir=/a:/b"))
    assert (found.upperdir, found.workdir) == (None, None)


@pytest.mark.parametrize("value", ["", ":", "::", "\\", ":/a", "/a:", "/a\\"])
def test_odd_values_end_and_name_no_empty_layer(value):
    layers, data = options.split(value)
    assert all([*layers, *data])


@given(st.lists(st.text(min_size=1), min_size=1))
def test_escaped_names_come_back(names):
    escaped = (name.replace("\\", "\\\\").replace(":", "\\:") for name in names)
    assert options.split(":".join(escaped)) == (names, [])
