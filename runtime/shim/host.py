"""What the containers of a shim have in common."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.bundle import Home
    from runtime.shim.container import Container
    from runtime.shim.loop import Loop
    from runtime.shim.publisher import Publisher
    from runtime.shim.reaper import Reaper

DEFAULT_CACHE = "/run/cinspect/seccomp"
"""Where compiled seccomp filters are kept when no client of ours says where."""


class Host:
    """What a container needs of the shim that it is in."""

    __slots__ = ("home", "loop", "on_exit", "pid", "publisher", "reaper", "seccomp_cache")

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        *,
        pid: int,
        publisher: Publisher,
        home: Home | None,
        on_exit: Callable[[Container], None],
    ) -> None:
        self.loop = loop
        self.reaper = reaper
        self.pid = pid
        """The shim's, as the world knows it."""
        self.publisher = publisher
        self.home = home
        """None below containerd."""
        self.on_exit = on_exit
        """Called when a container's init has ended and all were told."""
        self.seccomp_cache = DEFAULT_CACHE if home is None else home.seccomp_cache
