"""What a test needs of the host: a skip with its reason, and in CI, where all is there, a failure."""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """End the test: the host lacks something. With CI set, that is a failure of the set-up."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not lack anything, but: {reason}", pytrace=False)
    pytest.skip(reason)


def commands(*names: str) -> None:
    """End the test unless each of these commands is installed."""
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        lacking(f"not installed: {', '.join(absent)} (try: make packages)")


def absent_here(reason: str) -> NoReturn:
    """Skip a test of something that this kind of host cannot have, however it is set up."""
    pytest.skip(reason)
