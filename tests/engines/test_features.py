"""What docs/features.md claims: its commands are run, as they stand there, upon real containers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import features, requirements
from tests.command import CINSPECT
from tests.engines import daemons
from tests.engines.daemons import Engine
from tests.engines.test_podman import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]

ROWS = features.FOUND
SHOWN = {
    "1": "cinspect-feature-docker",
    "2": "cinspect-feature-podman",
    "3": "cinspect-engines-",
    "6": "cinspect-feature-task",
    "7": "namespaces differ",
    "8": "containerd",
    "11": "cinspect-feature-stopped",
    "12": "cinspect-feature-docker",
    "46": "Imported from",
}
"""What of the tests' own containers a row's command prints; other rows' may be absent here."""


@pytest.fixture(scope="module")
def environment(
    docker: Engine, podman: Engine, containerd: Engine, containerd_image: str
) -> Iterator[dict[str, str]]:
    """Return how to reach an engine of each kind with a container in it."""
    requirements.commands("jq")
    name, fifos = "cinspect-feature-task", f"{containerd.scratch}/fifos"
    sleep = (daemons.IMAGE, "sleep", "1000")
    try:
        docker("run", "-d", "--name", "cinspect-feature-docker", "--network", "none", *sleep)
        docker("create", "--name", "cinspect-feature-stopped", "--network", "none", *sleep)
        podman(
            *("run", "-d", "--name", "cinspect-feature-podman", "--network", "none"),
            *LIMITS,
            *sleep,
        )
        containerd("run", "-d", "--fifo-dir", fifos, containerd_image, name, "sleep", "1000")
        yield {
            **os.environ,
            **docker.environment,
            **podman.environment,
            **containerd.environment,
            "PATH": f"{Path(CINSPECT).parent}:{os.environ['PATH']}",
        }
    finally:
        docker("rm", "-f", "cinspect-feature-docker", "cinspect-feature-stopped", check=False)
        podman("rm", "-f", "-t", "0", "cinspect-feature-podman", check=False)
        containerd("tasks", "rm", "--force", name, check=False)
        containerd("containers", "rm", name, check=False)


def test_there_are_rows() -> None:
    assert len(ROWS) == 14
    assert set(SHOWN) <= set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_rows_command_shows_what_the_row_claims(row: str, environment: dict[str, str]) -> None:
    done = features.shown(ROWS[row], environment)
    assert done.returncode == 0, done.stderr
    assert SHOWN.get(row, "") in done.stdout
