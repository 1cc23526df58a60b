"""Messages between the parts of the interface."""

from dataclasses import dataclass

from textual.message import Message

from inspector.frame import Frame


@dataclass
class FrameReady(Message):
    """A new frame; a newer one replaces one that is still waiting."""

    frame: Frame

    def can_replace(self, message: Message) -> bool:
        """Drop a frame that nobody has seen yet."""
        return isinstance(message, FrameReady)


@dataclass
class SourceFailed(Message):
    """The source of frames gave up."""

    reason: str


@dataclass
class SourceEnded(Message):
    """The source has no more frames: a recording came to its end."""
