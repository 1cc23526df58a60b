"""Where frames come from: the live host, a recording, a canned file; readers cannot tell."""

from collections.abc import AsyncIterator
from typing import Protocol

from inspector.frame import Frame


class FrameSource(Protocol):
    """Yields frames, newest last; a slow reader misses some, and none is queued for it."""

    def frames(self) -> AsyncIterator[Frame]:
        """Yield a frame at each interval until it is closed."""
        ...

    @property
    def interval(self) -> float:
        """Seconds between two frames."""
        ...
