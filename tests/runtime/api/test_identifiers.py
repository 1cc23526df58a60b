"""Ids, names, and what a user may type for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import identifiers
from runtime.errors import InvalidArgument, NotFound

PAIRS = [("abc" + "0" * 61, "web"), ("abd" + "0" * 61, "abc"), ("fff" + "1" * 61, "db")]


@pytest.mark.parametrize(
    ("typed", "index"),
    [("web", 0), ("abc", 1), ("abc0", 0), ("abd", 1), ("fff", 2), (PAIRS[0][0], 0)],
)
def test_an_id_a_name_or_the_start_of_an_id_finds_a_container(typed, index):
    assert identifiers.resolve(typed, PAIRS) == PAIRS[index][0]


@pytest.mark.parametrize("typed", ["", "ff", "nobody", "WEB", "abc1"])
def test_what_names_no_container_is_not_found(typed):
    with pytest.raises(NotFound, match="no container"):
        identifiers.resolve(typed, PAIRS)


def test_a_start_that_fits_several_ids_is_refused():
    pairs = [("abc" + "0" * 61, "a1"), ("abc" + "1" * 61, "a2")]
    with pytest.raises(InvalidArgument, match="2 containers"):
        identifiers.resolve("abc", pairs)


@pytest.mark.parametrize("name", ["a.b", "A-1_x", "00", "x" * 128])
def test_good_names_pass(name):
    assert identifiers.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "-a", ".a", "a/b", "a b", "ä1", "a\n", "..", "x" * 129, "ab\0"]
)
def test_bad_names_are_refused(name):
    with pytest.raises(InvalidArgument):
        identifiers.check_name(name)


@pytest.mark.parametrize("namespace", ["", "a/b", "..", "a..b", "x" * 77, "a\n"])
def test_bad_namespaces_are_refused(namespace):
    with pytest.raises(InvalidArgument):
        identifiers.check_namespace(namespace)


def test_new_ids_are_64_digits_and_differ():
    ids = {identifiers.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 64 and int(each, 16) >= 0 for each in ids)


@given(st.sets(st.text(max_size=5)))
def test_a_new_name_is_valid_and_free(taken):
    assert identifiers.check_name(identifiers.new_name(taken)) not in taken


def test_a_name_is_found_when_all_pairs_of_words_are_taken():
    every = {f"{a}_{b}" for a in identifiers._MANNERS for b in identifiers._VESSELS}
    assert identifiers.new_name(every) not in every
