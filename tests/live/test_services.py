"""systemd's services with namespaces of their own: named where namespaces are listed, no containers."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import command, requirements

pytestmark = [pytest.mark.root]


@pytest.fixture
def service() -> Iterator[tuple[str, int]]:
    """Return a service with a /tmp and a network of its own, and its process."""
    if not Path("/run/systemd/system").is_dir():
        requirements.absent_here("systemd is not this host's first process")
    name = f"cinspect-{uuid4().hex[:8]}.service"
    properties = ("--property=PrivateTmp=yes", "--property=PrivateNetwork=yes")
    subprocess.run(
        ("systemd-run", "--quiet", f"--unit={name}", *properties, "sleep", "1000"), check=True
    )
    try:
        said = subprocess.run(
            ("systemctl", "show", "--value", "--property=MainPID", name),
            check=True,
            capture_output=True,
            text=True,
        )
        yield name, int(said.stdout)
    finally:
        subprocess.run(("systemctl", "stop", name), check=True)


def test_its_namespaces_name_it_and_it_is_no_container(service: tuple[str, int]) -> None:
    name, pid = service
    frame = command.dump("dump", "--section", "namespaces", "--section", "containers")
    own = {one["type"] for one in frame["namespaces"] if name in one["services"]}
    assert {"mnt", "net"} <= own
    # A machine of the tests is a container itself, and shown as the one that all runs in.
    assert [one["id"] for one in frame["containers"] if pid in one["pids"]] in ([], ["self"])
