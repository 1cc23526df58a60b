"""What all tests share: those that need root say so when they have none."""

import os

import pytest

from tests import requirements


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip (in CI: fail) a test that mounts, clones or writes cgroups when this is not root."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        requirements.lacking("needs root")
