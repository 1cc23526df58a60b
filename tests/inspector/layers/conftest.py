"""A container of the embedded engine with a known past, and the command that looks at it."""

import pytest

from tests.inspector.cli_engine.conftest import cinspect as cinspect  # noqa: PLC0414 - a fixture

SCRIPT = (
    "mkdir /tmp/made; echo hello > /tmp/made/file; chmod 700 /etc/passwd; rm /etc/issue; "
    "ln -s /tmp/made/file /tmp/link; printf 'a\\033[2Jb\\n' > /tmp/escape; mkfifo /tmp/fifo; "
    "head -c 70000 /dev/zero > /tmp/log; exec 5>>/tmp/log; rm /tmp/log; echo ready; exec sleep 1000"
)


@pytest.fixture
def box(cinspect):
    """Start it; return the command to look with."""
    import time

    cinspect.detached("--name", "box", "@host", "sh", "-c", SCRIPT)
    deadline = time.monotonic() + 20
    while "ready" not in cinspect.ok("logs", "box"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return cinspect
