"""How an image was made: the history of an OCI image's configuration, and Docker's form of it."""

from collections.abc import Iterable

from msgspec import Struct

from collectors.decoding import instant, moment
from collectors.engine import ImageStep

_STEPS_MAX = 1000
"""An overlay has 500 layers at most; what makes none is as often again."""


class Step(Struct):
    """One entry of `history` in an image's configuration; Podman tells the same."""

    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False


class DockerStep(Struct, rename="pascal"):
    """One entry of Docker's `/images/ID/history`, which has the last step first."""

    created: int | None = None
    created_by: str | None = None
    comment: str | None = None


def steps(history: Iterable[Step]) -> tuple[ImageStep, ...]:
    """Return the steps of a configuration, in its order."""
    return tuple(
        ImageStep(moment(one.created), one.created_by or "", one.comment or "", one.empty_layer)
        for one in history
    )[:_STEPS_MAX]


def docker_steps(history: Iterable[DockerStep]) -> tuple[ImageStep, ...]:
    """Return the steps that Docker tells, the first one first."""
    told = tuple(
        ImageStep(instant(one.created or 0), one.created_by or "", one.comment or "", None)
        for one in history
    )
    return told[::-1][:_STEPS_MAX]
