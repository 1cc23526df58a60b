"""What is asked, and the answer: owners with the chain that led to them."""

from typing import Literal

from msgspec import Struct

Kind = Literal[
    "pid",
    "interface",
    "address",
    "port",
    "connection",
    "path",
    "fd",
    "inode",
    "cgroup",
    "namespace",
    "mount",
    "container",
]


class Question(Struct, frozen=True):
    """One way to understand what was typed."""

    kind: Kind
    value: str
    """What stands behind the prefix: `8080/udp`, `123@web`, `/var/lib/x`."""
    explicit: bool = False
    """Whether the user said which kind it is."""


class Owner(Struct, frozen=True):
    """A container."""

    id: str
    name: str
    engine: str | None
    status: str


class Answer(Struct, frozen=True, kw_only=True):
    """What one way of understanding it led to: it is there, and it is somebody's or nobody's."""

    kind: Kind
    subject: str
    """In words, as `pid 4242`."""
    owners: tuple[Owner, ...]
    chain: tuple[str, ...]
    """Plain sentences, each a step from the subject towards its owner."""
    instead: str | None = None
    """What it is when no container owns it, as `a process of the host (ssh.service)`."""


class Miss(Struct, frozen=True):
    """One way of understanding it that led nowhere."""

    kind: Kind
    reason: str


class Report(Struct, frozen=True, kw_only=True):
    """All that is known of one WHAT."""

    what: str
    owners: tuple[Owner, ...]
    """Of all answers, each once; more than one where it is shared, or can be understood in two ways."""
    answers: tuple[Answer, ...]
    tried: tuple[Miss, ...]
    missing: tuple[str, ...] = ()
    """What could not be looked at, so that an owner may have been missed."""
