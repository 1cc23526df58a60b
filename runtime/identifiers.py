"""Ids and names of containers, and how one is found by what a user types."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final

from runtime.errors import InvalidArgument, NotFound

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*\Z")
_ID_LENGTH: Final = 64
_SHORTEST_PREFIX: Final = 3

_MANNERS: Final = (
    "amber", "brisk", "calm", "candid", "deft", "eager", "early", "fair", "fleet", "frank",
    "gentle", "glad", "hardy", "keen", "kind", "lively", "lucid", "merry", "mild", "neat",
    "nimble", "plain", "prime", "quick", "quiet", "ready", "sharp", "solid", "spry", "steady",
    "sunny", "swift", "tidy", "vivid", "warm", "wise",
)  # fmt: skip
_VESSELS: Final = (
    "barge", "barque", "brig", "canoe", "clipper", "coaster", "cog", "coracle", "cutter", "dhow",
    "dinghy", "dory", "ferry", "frigate", "galleon", "galley", "gondola", "hulk", "junk", "kayak",
    "ketch", "lighter", "longship", "lugger", "packet", "pinnace", "punt", "raft", "schooner",
    "skiff", "sloop", "tender", "trawler", "tug", "wherry", "yawl",
)  # fmt: skip


def new_id() -> str:
    """Return a new container id: 64 random hexadecimal digits."""
    return os.urandom(_ID_LENGTH // 2).hex()


def new_name(taken: Iterable[str]) -> str:
    """Return a name that two words make, with a number when those are taken."""
    known = set(taken)
    for _ in range(8):
        name = f"{_one_of(_MANNERS)}_{_one_of(_VESSELS)}"
        if name not in known:
            return name
    return f"{_one_of(_MANNERS)}_{_one_of(_VESSELS)}_{os.urandom(4).hex()}"


def _one_of(words: Sequence[str]) -> str:
    """Return any of some words; `secrets` has that too, and loads OpenSSL with it."""
    return words[int.from_bytes(os.urandom(4), "big") % len(words)]


def check_name(name: str) -> str:
    """Return a valid name, as Docker's rule has it, or raise `InvalidArgument`."""
    if not _NAME.match(name):
        raise InvalidArgument(
            f"{name!r} is no container name: two characters or more, letters and digits, "
            "after the first one _ . - too"
        )
    if len(name) > 128:
        raise InvalidArgument(f"a container name of {len(name)} characters is over 128")
    return name


def check_namespace(namespace: str) -> str:
    """Return a valid namespace (containerd's identifier rule), or raise `InvalidArgument`."""
    if len(namespace) > 76 or not _NAMESPACE.match(namespace):
        raise InvalidArgument(f"{namespace!r} is no namespace: letters and digits, joined by . _ -")
    return namespace


def resolve(reference: str, known: Iterable[tuple[str, str]]) -> str:
    """Return the id that `reference` names among `(id, name)` pairs.

    A whole id comes first, then a name, then a prefix of three digits or more. Raises `NotFound`,
    or `InvalidArgument` when a prefix fits several.
    """
    pairs = list(known)
    for container_id, _ in pairs:
        if container_id == reference:
            return container_id
    for container_id, name in pairs:
        if name == reference:
            return container_id
    found = [i for i, _ in pairs if len(reference) >= _SHORTEST_PREFIX and i.startswith(reference)]
    if len(found) > 1:
        raise InvalidArgument(f"{reference!r} is the start of {len(found)} containers' ids")
    if not found:
        raise NotFound(f"no container {reference!r}")
    return found[0]
