"""An embedded engine of the tests' own, and containers in it; all is removed at the end."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements, traces
from tests.live.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Return the command line of an engine with stores of its own."""
    if os.geteuid() != 0:
        requirements.lacking("containers need root")
    # An overlay's upper layer wants a real file system: /var has one on every host.
    directory = Path(tempfile.mkdtemp(prefix="cinspect-live-", dir="/var/tmp"))
    engine = Engine(directory / "data", directory / "state")
    with traces.none_left(directory.name):
        try:
            yield engine
        finally:
            for identifier in engine.cinspect("ps", "--all", "--quiet").stdout.split():
                engine.cinspect("rm", "--force", identifier)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
