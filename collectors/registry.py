"""Every collector and every engine adapter: adding one is a line here."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from collectors.addresses import Address, addresses
from collectors.collector import Collector, FileCollector
from collectors.engine import Engine
from collectors.engines.containerd import ContainerdEngine
from collectors.engines.docker import DockerEngine
from collectors.engines.embedded import EmbeddedEngine
from collectors.engines.podman import PodmanEngine
from collectors.engines.runc_state import StateDirectory, StateEngine
from collectors.engines.unusable import Unusable
from collectors.kernel import (
    cgroups,
    host,
    layers,
    mounts,
    namespaces,
    network,
    processes,
    security,
    sockets,
)
from collectors.members import Members, MountTables
from collectors.root import Root
from collectors.table import Table


def collectors(root: Root) -> Sequence[Collector[object]]:
    """Return one of each collector."""
    table = Table()
    tables = MountTables(table)
    who = Members(table=table, tables=tables)
    return (
        FileCollector(host.KEY, host.read, root),
        FileCollector(processes.KEY, processes.Reader(table).read, root),
        FileCollector(namespaces.KEY, namespaces.Reader(table, tables).read, root),
        FileCollector(cgroups.KEY, cgroups.read, root),
        FileCollector(mounts.KEY, partial(mounts.read, who=who), root),
        FileCollector(layers.KEY, layers.Reader(who).read, root),
        FileCollector(network.KEY, partial(network.read, who=who), root),
        FileCollector(network.LINKS, network.LinkReader(who).read, root),
        FileCollector(sockets.KEY, sockets.SocketReader(who).read, root),
        FileCollector(security.KEY, partial(security.read, who=who), root),
    )


def engines(*, engine_root: str, engine_state: str) -> Sequence[Engine]:
    """Return one of each engine adapter; the two directories are the embedded engine's own."""
    found: list[Engine] = [EmbeddedEngine(root=engine_root, state=engine_state)]
    for make, where in _sockets(os.environ):
        found += [
            make(one.path, name=one.name) if one.usable else Unusable(one.name, one.path)
            for one in where
        ]
    return (*found, *_state_directories(os.environ))


def _sockets(
    environment: Mapping[str, str],
) -> Iterator[tuple[Callable[..., Engine], Sequence[Address]]]:
    yield (
        DockerEngine,
        addresses(
            "docker",
            variable="DOCKER_HOST",
            usual="/var/run/docker.sock",
            rootless="docker.sock",
            environment=environment,
        ),
    )
    yield (
        PodmanEngine,
        addresses(
            "podman",
            variable="CONTAINER_HOST",
            usual="/run/podman/podman.sock",
            rootless="podman/podman.sock",
            environment=environment,
        ),
    )
    yield (
        ContainerdEngine,
        addresses(
            "containerd",
            variable="CONTAINERD_ADDRESS",
            usual="/run/containerd/containerd.sock",
            rootless="",
            environment=environment,
        ),
    )


def _state_directories(environment: Mapping[str, str]) -> Iterator[Engine]:
    """Yield the runtimes without a daemon, by where they and their callers keep state."""
    runc = [StateDirectory("/run/runc"), StateDirectory("/run/docker/runtime-runc/moby", "moby")]
    crun = [StateDirectory("/run/crun")]
    own = environment.get("XDG_RUNTIME_DIR")
    if own:
        runc.append(StateDirectory(f"{own}/runc"))
        crun.append(StateDirectory(f"{own}/crun"))
    yield StateEngine("runc", runc, parents=("/run/containerd/runc",))
    yield StateEngine("crun", crun)
