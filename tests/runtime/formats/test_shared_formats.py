"""The kernel's general formats: flat keyed, nested keyed, id maps, and text from somebody else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import FormatError
from runtime.formats import flat, idmap, nested, text


def test_flat_keyed_lines_are_numbers_by_key():
    assert flat.parse(b"usage_usec 12\nnr_periods 0\nx -1\n") == {
        "usage_usec": 12,
        "nr_periods": 0,
        "x": -1,
    }
    assert flat.parse(b"") == {}


@pytest.mark.parametrize("data", [b"a\n", b"a 1 2\n", b"a b\n", b"a 1\n\nb 2\n", b"\xff 1\n"])
def test_a_line_that_is_no_pair_is_shown_in_the_error(data: bytes):
    with pytest.raises(FormatError, match="not a flat keyed file"):
        flat.parse(data)


def test_the_error_shows_the_bad_line_and_not_the_good_ones():
    with pytest.raises(FormatError, match=r"b'broken'") as caught:
        flat.parse(b"fine 1\nbroken\n")
    assert "fine" not in str(caught.value)


def test_nested_keys_keep_their_values_as_text():
    assert nested.parse(b"8:0 rbps=max wbps=1048576\n8:16 \n") == {
        "8:0": {"rbps": "max", "wbps": "1048576"},
        "8:16": {},
    }


@pytest.mark.parametrize("data", [b"a=1\n", b"8:0 =1\n", b"8:0 rbps=\n", b"8:0 rbps=\xff\n"])
def test_a_nested_line_that_is_none_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        nested.parse(data)


def test_an_id_map_has_a_range_a_line():
    data = b"         0     100000      65536\n     65536          0          1\n"
    assert idmap.parse(data) == ((0, 100000, 65536), (65536, 0, 1))
    assert idmap.parse(b"") == ()


@pytest.mark.parametrize("data", [b"0 0\n", b"0 0 1 2\n", b"a b c\n"])
def test_a_line_that_is_no_range_is_an_error(data: bytes):
    with pytest.raises(FormatError):
        idmap.parse(data)


@given(data=st.binary())
def test_any_bytes_become_text_that_json_takes(data: bytes):
    assert json.loads(json.dumps(text.decode(data)).encode("utf-8")) == text.decode(data)


@given(data=st.binary(max_size=30))
def test_a_name_from_the_os_module_becomes_the_same_text(data: bytes):
    assert text.clean(data.decode("utf-8", "surrogateescape")) == text.decode(data)


def test_two_names_that_differ_stay_different():
    assert text.decode(b"a\xff") != text.decode(b"a\xfe")
