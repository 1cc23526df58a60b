"""What all tests share: signals that are heard, and a word where root is missing."""

import os
import signal

import pytest

from tests import requirements


def pytest_configure() -> None:
    """Hear SIGINT and SIGQUIT: what a shell starts in the background ignores them, and so would what tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip (in CI: fail) a test that mounts, clones or writes cgroups when this is not root."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        requirements.lacking("needs root")
