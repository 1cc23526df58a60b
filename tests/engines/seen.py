"""What `cinspect dump` says of one container of an engine."""

from collections.abc import Mapping
from typing import Any

from tests import command

HIDDEN = {
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    "CONTAINER_HOST": "unix:///nonexistent/podman.sock",
    "CONTAINERD_ADDRESS": "/nonexistent/containerd.sock",
}
"""An environment in which no engine of the tests answers: what is left is the kernel's word."""


def containers(environment: Mapping[str, str] | None = None) -> list[Any]:
    """Return every container that a dump shows."""
    arguments = ("dump", "--section", "containers")
    found: list[Any] = command.dump(*arguments, environment={**HIDDEN, **(environment or {})})[
        "containers"
    ]
    return found


def container(identifier: str, environment: Mapping[str, str] | None = None) -> Any:
    """Return the one container of this id; fail if it is absent, or there twice."""
    found = [one for one in containers(environment) if one["id"] == identifier]
    assert len(found) == 1, f"{identifier}: {len(found)} containers"
    return found[0]
