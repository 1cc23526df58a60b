"""Writes into containers that do not run, by the engine that owns them: it alone keeps them from starting."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from collectors.errors import CollectError
from collectors.inside import Inside
from inspector.controls import actions, docker_actions
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from inspector.layers import copying, tarring
from inspector.layers.copying import Copied
from inspector.layers.sources import Mounted, is_directory
from inspector.layers.tarring import Naming
from runtime.api import Runtime


@contextmanager
def embedded(engine: Runtime, container: Container) -> Generator[Inside]:
    """Open the files and volumes of a stopped container of the embedded engine, and close the engine.

    Raises `RuntimeFailure`, as for one that has been started meanwhile.
    """
    # What is between is no task of the loop's: whoever interrupts it ends it at once.
    with asyncio.Runner() as loop, ExitStack() as after:
        after.callback(lambda: loop.run(engine.close()))
        root = engine.root(container.id)
        fd = loop.run(root.__aenter__())
        after.callback(lambda: loop.run(root.__aexit__(None, None, None)))
        with Inside(os.dup(fd), container.name) as inside:
            yield inside


def sockets(container: Container, *, root: str, state: str) -> Sequence[str]:
    """Return those of the engine that a stopped container is to be written through; raise `Failure`."""
    if container.engine not in docker_actions.ENGINES:
        raise Failure(
            f"{container.name}: it does not run ({container.status}), and what "
            f"{container.engine or 'no engine'} has stopped is not written to: start it first"
        )
    return actions.addresses(container, root=root, state=state)


def copy(
    sockets: Sequence[str], container: Container, host: Inside, path: str, to: str, *, follow: bool
) -> Copied:
    """Have Docker or Podman put a file, a link or a directory of the host into a container of theirs.

    All is read before they get any of it; it becomes root's. Raises `Failure`, or `ActionFailed`.
    """
    source = Mounted(host)
    try:
        found = source.look(path, follow=follow or path.endswith("/."))
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error
    with copying.held(found.fd):
        directory = is_directory(found)
    address, there = _where(sockets, container, to)
    above, name = copying.destination(path, to, there=there, directory=directory)
    if above != to and _where(sockets, container, above)[1] != "directory":
        raise Failure(f"{above}: there is no such directory")  # Podman would make it
    naming = Naming(name=name or "", owner=(0, 0))
    return _put(
        address,
        container,
        above,
        lambda spool: tarring.write(source, path, spool, follow=follow, naming=naming),
    )


def stream(sockets: Sequence[str], container: Container, tar: BinaryIO, to: str) -> Copied:
    """Have them put what a tar stream has into a directory of the container; raise as `copy` does."""
    address, there = _where(sockets, container, to)
    if there != "directory":
        raise Failure(f"{to}: there is no such directory")

    def fill(spool: BinaryIO) -> Copied:
        shutil.copyfileobj(tar, spool)
        spool.seek(0)
        return tarring.count(spool)

    return _put(address, container, to, fill)


def _where(
    sockets: Sequence[str], container: Container, to: str
) -> tuple[str, docker_actions.Kind | None]:
    found = asyncio.run(docker_actions.kind(sockets, container.id, to))
    if found is None:
        raise Failure(
            f"{container.name}: it does not run ({container.status}), and no engine that could "
            "write to it answers"
        )
    return found


def _put(
    address: str, container: Container, above: str, fill: Callable[[BinaryIO], Copied]
) -> Copied:
    with tempfile.TemporaryFile() as spool:
        copied = fill(spool)
        spool.seek(0)
        asyncio.run(docker_actions.extract(address, container.id, above, spool))
    return copied
