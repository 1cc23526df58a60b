"""docs/runtime.md tells the truth: each property of the specification has a line, and a test."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.command import features
from runtime.oci import shapes

REPOSITORY = Path(__file__).parents[3]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs/runtime.md").read_text().splitlines()
    if re.match(r"\| (`|[0-9])", line)
]
STATES = {"done", "refused", "not done"}
TEST = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def leaves(shape: object, path: str = "") -> Iterator[str]:
    """Yield what the properties of a shape are called, as `linux.devices[].path`."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield from leaves(inner, f"{path}.{name.removesuffix('!')}".strip("."))
    elif isinstance(shape, list) and isinstance(shape[0], dict):
        yield from leaves(shape[0], f"{path}[]")
    elif isinstance(shape, shapes.MapOf):
        yield from leaves(shape.value, f"{path}.*")
    else:
        yield path


def keys(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and path != "annotations":
        for name, inner in value.items():
            yield from keys(inner, f"{path}.{name}".strip("."))
    else:
        yield path


def properties() -> dict[str, list[str]]:
    return {row[0].strip("`"): row for row in ROWS if len(row) == 3 and row[0].startswith("`")}


def test_each_property_of_a_config_has_one_line():
    listed = [name for name in properties() if not name.startswith("features.")]
    assert sorted(listed) == sorted(leaves(shapes.CONFIG))


def test_each_feature_has_one_line():
    listed = [name for name in properties() if name.startswith("features.")]
    assert sorted(listed) == sorted(f"features.{key}" for key in keys(features.describe()))


def test_each_line_says_what_is_done():
    for name, (_, state, shown) in properties().items():
        assert state.split(":")[0] in STATES, name
        assert TEST.search(shown) or state.startswith("not done"), name


def test_each_demand_of_security_has_one_line():
    numbers = [int(row[0]) for row in ROWS if row[0].isdigit()]
    assert numbers == list(range(1, 55))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_what_is_said_to_show_it_is_there(row):
    for path, name in TEST.findall(row[-1]):
        file = REPOSITORY / "tests" / path
        assert re.search(rf"def {name}\(", file.read_text()), f"{path}::{name}"


def test_the_demands_of_security_are_shown_by_tests():
    for row in ROWS:
        if row[0].isdigit():
            assert TEST.search(row[-1]), row


def test_the_features_are_plain_json():
    assert json.loads(json.dumps(features.describe())) == features.describe()
