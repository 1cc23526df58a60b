"""Reads the files of the live host's containers for the screens: each question in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from collectors.errors import CollectError
from collectors.inside import Inside, read
from collectors.kernel import layers
from collectors.overlay.records import Overlay, UpperReading
from collectors.overlay.weigh import Weight
from collectors.root import Root
from inspector.control import ActionFailed, TargetExists, Viewed, Weighed
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from inspector.layers import copying, places, report
from inspector.layers.copying import Rules
from inspector.layers.growth import Growth, growth
from inspector.layers.model import DeletedFile, PathReport, Waste

T = TypeVar("T")

_WALK_SECONDS: Final = 5.0
"""For a walk of an upper layer that is repeated as long as somebody looks."""
_REMEMBERED: Final = 8
"""Upper layers whose first walk is kept."""


class LiveFiles:
    """Reads files of this host's containers; implements `inspector.control.Files`."""

    def __init__(self, root: Root, *, read_only: bool = False) -> None:
        """Read below `root`; a read-only session saves nothing."""
        self._root = root
        self._read_only = read_only
        self._first: dict[str, UpperReading] = {}

    async def which(self, container: Container, path: str) -> PathReport:
        """Return every layer's version of a path."""
        return await _asked(
            container, lambda: report.which(self._root, self._overlay(container), path)
        )

    async def listing(self, container: Container, path: str) -> tuple[PathReport, ...]:
        """Return one directory's names over all layers, deleted ones too."""
        return await _asked(
            container, lambda: report.listing(self._root, self._overlay(container), path)
        )

    async def weigh(self, container: Container, tell: Callable[[Weighed], None]) -> Weighed:
        """Weigh all layers; `tell` hears now and then how far it is. Cancelling ends the walk."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()

        def on_the_way(waste: Waste) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(tell, Weighed(waste=waste, sizes={}))

        def work() -> Weighed:
            overlay = self._overlay(container)
            waste, weight = report.weigh(
                self._root, overlay, seconds=None, progress=on_the_way, stop=stop.is_set
            )
            return Weighed(waste=waste, sizes=_sizes(overlay, weight))

        try:
            return await _asked(container, work)
        finally:
            stop.set()

    async def growth(self, container: Container) -> Growth | None:
        """Walk the upper layer; return what was written since it was first walked, None the first time."""
        return await _asked(container, lambda: self._growth(container))

    def _growth(self, container: Container) -> Growth | None:
        overlay = self._overlay(container)
        if overlay.upperdir is None:
            raise Failure("it is mounted read-only: it has no upper layer that could grow")
        now = layers.scan(self._root, overlay, seconds=_WALK_SECONDS)
        first = self._first.setdefault(container.id, now)
        if first.upperdir != now.upperdir:
            first = self._first[container.id] = now
        while len(self._first) > _REMEMBERED:
            del self._first[next(iter(self._first))]
        return None if first is now else growth(first, now)

    async def deleted(self, container: Container) -> tuple[DeletedFile, ...]:
        """Return the deleted files that its processes have open."""
        return await _asked(container, lambda: report.open_deleted(self._root, container.pids))

    async def view(
        self, container: Container, path: str, *, layer: str | None, most_bytes: int
    ) -> Viewed:
        """Return the beginning of a regular file, as the container or one layer has it."""

        def work() -> Viewed:
            with places.opened(self._root, container, path, layer) as fd:
                size = os.fstat(fd).st_size
                data = read(fd, path, most_bytes + 1)
            return Viewed(
                path=path,
                layer=layer,
                data=data[:most_bytes],
                size_bytes=size,
                complete=len(data) <= most_bytes,
            )

        return await _asked(container, work)

    async def save(
        self, container: Container, path: str, to: str, *, layer: str | None, replace: bool
    ) -> int:
        """Copy a regular file to a path of the host, whole or not at all; return its bytes.

        Raises `TargetExists` where something is there and `replace` is false. Cancelling leaves nothing.
        """
        if self._read_only:
            raise ActionFailed("cinspect was started with --read-only: no file is written")
        stop = threading.Event()

        def work() -> int:
            rules = Rules(replace=replace, stop=stop.is_set)
            with (
                places.opened(self._root, container, path, layer) as fd,
                Inside.of_directory(Root(), "/") as host,
            ):
                return copying.save(fd, path, host, _whole(to), rules=rules).size_bytes

        try:
            return await _asked(container, work)
        except FileExistsError as error:
            raise TargetExists(f"{to}: there is a file of this name already") from error
        finally:
            stop.set()

    def _overlay(self, container: Container) -> Overlay:
        found = places.overlay_of(self._root, container)
        if found is None:
            driver = container.rootfs.driver if container.rootfs else "the host's"
            raise Failure(f"its root is {driver}, no overlay: it has no layers of its own")
        return found


async def _asked(container: Container, work: Callable[[], T]) -> T:
    """Do work in a thread; whatever it could not read is told with the container's name."""
    try:
        return await asyncio.to_thread(work)
    except (Failure, CollectError) as problem:
        said = str(problem)
        named = said if said.startswith(f"{container.name}:") else f"{container.name}: {said}"
        raise ActionFailed(named) from problem


def _sizes(overlay: Overlay, weight: Weight) -> dict[str, int]:
    upper = () if overlay.upperdir is None else (overlay.upperdir,)
    return {
        path: one.visible_bytes + one.hidden_bytes
        for path, one in zip((*upper, *overlay.lowerdirs), weight.layers, strict=True)
    }


def _whole(path: str) -> str:
    """Return a path of the host from its root on; a `/` at its end, which asks for a directory, stays."""
    return os.path.abspath(os.path.expanduser(path)) + ("/" if path.endswith("/") else "")
