"""The command line and its bundles, for tests that attack it; and who attacks while it works."""

import contextlib
import ctypes
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import requirements
from tests.runtime.command.conftest import Runtime, refused, runtime

__all__ = ["Runtime", "refused", "runtime"]

RENAME_EXCHANGE = 2


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two names as fast as can be, until the end."""
    exchange = ctypes.CDLL(None).renameat2
    going = True

    def swap() -> None:
        names = os.fsencode(one), os.fsencode(other)
        while going:
            assert exchange(-100, names[0], -100, names[1], RENAME_EXCHANGE) == 0

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        yield
    finally:
        going = False
        racer.join()


@pytest.fixture
def race() -> Callable[[Path, Path], contextlib.AbstractContextManager[None]]:
    return swapping


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """Return a directory of the host, beside the container's root, in which nothing may change."""
    place = tmp_path / "host"
    (place / "sub").mkdir(parents=True)
    (place / "file").write_text("as it was")
    yield place
    assert sorted(each.name for each in place.rglob("*")) == ["file", "sub"]
    assert (place / "file").read_text() == "as it was"


def bare(made: Runtime, *arguments: str, without: tuple[str, ...], **changes) -> str:
    """Make a bundle that lacks the usual mounts on some destinations; return its directory."""
    bundle = made.bundle(*arguments, **changes)
    path = Path(bundle) / "config.json"
    spec = json.loads(path.read_text())
    added = changes.get("+mounts", [])
    spec["mounts"] = [
        each for each in spec["mounts"] if each in added or each["destination"] not in without
    ]
    path.write_text(json.dumps(spec))
    return bundle


@pytest.fixture
def strace() -> str:
    requirements.commands("strace")
    return shutil.which("strace") or ""
