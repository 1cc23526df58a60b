"""Which engines are looked for, and where: each kind with its sockets and directories, a line each."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from collectors.addresses import Address, addresses
from collectors.engine import Engine
from collectors.engines import flatpak, lxc, podman_storage
from collectors.engines.containerd import ContainerdEngine
from collectors.engines.cri import CriEngine
from collectors.engines.docker import DockerEngine
from collectors.engines.flatpak import FlatpakEngine
from collectors.engines.lxc import LxcEngine
from collectors.engines.machines import MachinesEngine
from collectors.engines.podman import PodmanEngine
from collectors.engines.podman_storage import StorageEngine
from collectors.engines.runc_state import StateDirectory, StateEngine
from collectors.engines.unusable import Unusable

_Kind = tuple[Callable[..., Engine], Callable[..., Sequence[Address]]]

# The order counts: of two that tell the same container, what the first says of it is shown.
_KINDS: Sequence[_Kind] = (
    (
        DockerEngine,
        partial(
            addresses,
            "docker",
            variable="DOCKER_HOST",
            usual="/var/run/docker.sock",
            rootless="docker.sock",
        ),
    ),
    (
        PodmanEngine,
        partial(
            addresses,
            "podman",
            variable="CONTAINER_HOST",
            usual="/run/podman/podman.sock",
            rootless="podman/podman.sock",
        ),
    ),
    (
        CriEngine,
        partial(
            addresses,
            "cri",
            variable="CONTAINER_RUNTIME_ENDPOINT",
            usual="/run/containerd/containerd.sock",
        ),
    ),
    (CriEngine, partial(addresses, "cri-o", usual="/run/crio/crio.sock")),
    (
        ContainerdEngine,
        partial(
            addresses,
            "containerd",
            variable="CONTAINERD_ADDRESS",
            usual="/run/containerd/containerd.sock",
        ),
    ),
)
_DISTRIBUTIONS: Mapping[str, str] = {
    "k3s": "/run/k3s/containerd/containerd.sock",
    "microk8s": "/var/snap/microk8s/common/run/containerd.sock",
    "k0s": "/run/k0s/containerd.sock",
}
"""Kubernetes's that bring a containerd of their own, at a place of their own."""


def sockets(environment: Mapping[str, str], *, listen: bool = False) -> Iterator[Engine]:
    """Yield the engines that are asked over a socket, whether or not one is there.

    With `listen` they are asked again and again: those that keep no events are followed at once.
    """
    for engine in _sockets(environment):
        if isinstance(engine, ContainerdEngine | CriEngine):
            engine.listens = listen
        yield engine


def _sockets(environment: Mapping[str, str]) -> Iterator[Engine]:
    for make, where in _KINDS:
        for one in where(environment=environment):
            yield make(one.path, name=one.name) if one.usable else Unusable(one.name, one.path)
    for name, path in _DISTRIBUTIONS.items():
        if os.path.exists(path):
            yield CriEngine(path, name=f"cri-{name}")
            yield ContainerdEngine(path, name=f"containerd-{name}")


def directories(environment: Mapping[str, str]) -> Iterator[Engine]:
    """Yield those without a daemon, by where they and their callers keep state."""
    runc = [StateDirectory("/run/runc"), StateDirectory("/run/docker/runtime-runc/moby", "moby")]
    crun = [StateDirectory("/run/crun")]
    own = environment.get("XDG_RUNTIME_DIR")
    if own:
        runc.append(StateDirectory(f"{own}/runc"))
        crun.append(StateDirectory(f"{own}/crun"))
    yield StateEngine("runc", runc, parents=("/run/containerd/runc",))
    yield StateEngine("crun", crun)
    yield StorageEngine(tuple(podman_storage.storages(environment)))
    yield LxcEngine(tuple(lxc.places(environment)))
    yield MachinesEngine()
    yield FlatpakEngine(tuple(flatpak.places(environment)))
