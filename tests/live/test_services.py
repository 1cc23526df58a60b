"""systemd's services with namespaces of their own: named where namespaces are listed, no containers."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from tests import command, requirements

pytestmark = [pytest.mark.root]

SETTINGS: Final[Mapping[tuple[str, ...], set[str]]] = {
    ("PrivateTmp=yes", "PrivateNetwork=yes"): {"mnt", "net"},
    ("PrivateTmp=yes",): {"mnt"},
    ("PrivateMounts=yes",): {"mnt"},
    ("PrivateNetwork=yes",): {"net"},
    ("PrivateUsers=yes",): {"user"},
    ("DynamicUser=yes",): {"mnt"},
    ("PrivateIPC=yes",): {"ipc"},
    ("ProtectHostname=yes",): {"uts"},
    (
        *("PrivateUsers=yes", "PrivateMounts=yes", "PrivateNetwork=yes", "PrivateTmp=yes"),
        *("DynamicUser=yes", "PrivateIPC=yes", "ProtectHostname=yes", "NoNewPrivileges=yes"),
        *("CapabilityBoundingSet=", "ProtectSystem=strict", "PrivateDevices=yes"),
    ): {"user", "mnt", "net", "ipc", "uts"},
}
"""What a service can ask for (systemd.exec(5)), and the namespaces that it then has of its own."""


@pytest.fixture(params=SETTINGS, ids="+".join)
def service(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, set[str]]]:
    """Return a service with such a setting, its process, and its own kinds of namespaces."""
    if not Path("/run/systemd/system").is_dir():
        requirements.absent_here("systemd is not this host's first process")
    settings: tuple[str, ...] = request.param
    name = f"cinspect-{uuid4().hex[:8]}.service"
    properties = (f"--property={setting}" for setting in settings)
    subprocess.run(
        ("systemd-run", "--quiet", f"--unit={name}", *properties, "sleep", "1000"), check=True
    )
    try:
        # The process is systemd's own program until its namespaces are made.
        pid = command.eventually(lambda: sleeping(name))
        yield name, pid, SETTINGS[settings]
    finally:
        subprocess.run(("systemctl", "stop", name), check=True)


def sleeping(name: str) -> int | None:
    """Return a service's process once it runs what it was made for."""
    said = subprocess.run(
        ("systemctl", "show", "--value", "--property=MainPID", name),
        check=True,
        capture_output=True,
        text=True,
    )
    pid = int(said.stdout)
    return pid if pid and Path(f"/proc/{pid}/comm").read_text() == "sleep\n" else None


def test_its_namespaces_name_it_and_it_is_no_container(
    service: tuple[str, int, set[str]],
) -> None:
    name, pid, kinds = service
    frame = command.dump("dump", "--section", "namespaces", "--section", "containers")
    own = {one["type"] for one in frame["namespaces"] if name in one["services"]}
    assert kinds <= own
    # A machine of the tests is a container itself, and shown as the one that all runs in.
    assert [one["id"] for one in frame["containers"] if pid in one["pids"]] in ([], ["self"])
