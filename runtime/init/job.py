"""What the plan of a container is made of, beside its spec: that can be sent to who makes it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

Hierarchies = Sequence[tuple[str, str, tuple[str, ...]]]
"""What /sys/fs/cgroup is made of: (name, directory of the host, aliases) each."""


class Filter(NamedTuple):
    """A compiled seccomp program and the flags to load it with."""

    program: bytes
    flags: int
    listens: bool = False
    """Whether an agent is asked about some calls: then it is loaded while the parent is there."""


class Identity(NamedTuple):
    """What a container is called, and where its files are."""

    container_id: str
    bundle: str


class Manner(NamedTuple):
    """How a container is made, where its spec says nothing about it."""

    keyring: bool = True
    """Whether it gets a session keyring of its own."""
    pivot: bool = True
    """Whether pivot_root is used: it cannot be where the host's root is its first ramdisk."""
    preserve: int = 0
    """How many descriptors from 3 on the command gets beside its streams."""
    name: str | None = None
    """What the session keyring of one more process is named by; without one, the cgroup."""
    park: str | None = None
    """The directory by whose FIFOs it is started; without one, whoever made it starts it."""
    sibling: bool = False
    """Whether it becomes a child of its maker's parent (CLONE_PARENT of clone(2)), which waits for it."""


SIBLING: Final = Manner(sibling=True)


class Job(NamedTuple):
    """What the plan of a container is made of, beside its spec."""

    rootfs: str
    hierarchies: Hierarchies
    seccomp: Filter | None
    who: Identity
    manner: Manner

    def pack(self) -> tuple[Any, ...]:
        """Return it as `marshal` takes it."""
        hierarchies = tuple(tuple(each) for each in self.hierarchies)
        seccomp = None if self.seccomp is None else tuple(self.seccomp)
        return self.rootfs, hierarchies, seccomp, tuple(self.who), tuple(self.manner)

    @classmethod
    def of(cls, packed: tuple[Any, ...]) -> "Job":
        """Return what was packed."""
        rootfs, hierarchies, seccomp, who, manner = packed
        program = None if seccomp is None else Filter(*seccomp)
        return cls(rootfs, hierarchies, program, Identity(*who), Manner(*manner))
