"""Reads each foreign mount namespace's LSM label: /proc/PID/attr/current."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


class Label(Struct, frozen=True):
    """The label of the oldest process of a mount namespace."""

    namespace: int
    pid: int
    lsm: str | None
    """`None`: no LSM labels processes here."""


class SecurityReading(Struct, frozen=True):
    """Labels by mount namespace, the host's own left out."""

    labels: tuple[Label, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("security", SecurityReading)


def read(root: Root) -> SecurityReading:
    """Read one label for each mount namespace."""
    raise NotImplementedError(root)
