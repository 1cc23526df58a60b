"""Runs the installed `cinspect`, as a person or a script would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

CINSPECT: Final = str(Path(sys.executable).with_name("cinspect"))
JSON = Any
"""What json.loads returns."""
T = TypeVar("T")


def cinspect(
    *arguments: str, environment: Mapping[str, str] | None = None, timeout_seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; return its status and what it wrote, whatever the status is."""
    return subprocess.run(
        (CINSPECT, *arguments),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=timeout_seconds,
    )


def succeed(
    *arguments: str, environment: Mapping[str, str] | None = None, timeout_seconds: float = 60
) -> str:
    """Run one command that must end well; return its standard output without the last newline."""
    done = cinspect(*arguments, environment=environment, timeout_seconds=timeout_seconds)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.removesuffix("\n")


def dump(*arguments: str, environment: Mapping[str, str] | None = None) -> JSON:
    """Take one frame and return it decoded."""
    return json.loads(succeed(*arguments, environment=environment))


def eventually(reading: Callable[[], T | None], *, seconds: float = 20) -> T:
    """Return the first reading that is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := reading()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {reading}"
        time.sleep(0.05)
    return value
