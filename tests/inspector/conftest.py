"""What tests of the inspector share: a blocking call on the event loop fails the test."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls_on_the_loop() -> Iterator[None]:
    """Fail a test whose event loop reads a file, sleeps or waits for a socket itself."""
    with blockbuster_ctx():
        yield
