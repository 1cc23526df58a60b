"""Puts together what several engines say of one container, as Docker and the containerd below it."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import structs

from collectors.engine import EngineContainer

_RANK: Final = (
    "cinspect",
    "docker",
    "podman",
    "cri-o",
    "cri",
    "kubernetes",
    "containerd",
    "lxc",
    "systemd-nspawn",
    "crun",
    "runc",
)
"""Who is asked first: the engine that people speak with, before the one that it uses."""
RUNTIMES: Final = frozenset({"runc", "crun", "youki"})
"""What engines start containers with: their state names one whose engine does not answer."""
_SHORT: Final = 12
"""Digits of an id cut short that are still taken for it."""
_ALIKE: Final = 64
"""Containers of one id that a further one is compared with: an engine can list one without end."""


def combine(containers: Iterable[EngineContainer]) -> list[EngineContainer]:
    """Return one record a container; what the first engine did not say is filled from the next."""
    merged: list[EngineContainer] = []
    by_id: dict[str, list[int]] = {}
    # What root's engines say first: a user's can say anything.
    for container in sorted(containers, key=lambda one: (one.said_by is not None, _rank(one))):
        places = by_id.setdefault(container.id, [])
        same = next((at for at in places[:_ALIKE] if _same(merged[at], container)), None)
        if same is None:
            places.append(len(merged))
            merged.append(container)
        else:
            merged[same] = _fill(merged[same], container)
    return merged


def matches(name: str, container: EngineContainer) -> bool:
    """Return whether an id from a cgroup or a command line is this container's: whole or cut short."""
    if name == container.id:
        return True
    shorter, longer = sorted((name, container.id), key=len)
    return is_random(shorter) and longer.startswith(shorter)


def is_random(name: str) -> bool:
    """Return whether an id was drawn at random, so that no two containers have it."""
    return len(name) >= _SHORT and _hexadecimal(name)


def short(name: str) -> str:
    """Return a long id as people write it; any other name as it is."""
    return name[:_SHORT] if len(name) >= 32 and _hexadecimal(name) else name


def unique(names: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return each (id, engine namespace) as an id that no other has, the namespace before it if needed."""
    counts: dict[str, int] = {}
    for name, _ in names:
        counts[name] = counts.get(name, 0) + 1
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    result: list[str] = []
    for name, namespace in names:
        chosen = f"{namespace}/{name}" if counts[name] > 1 and namespace else name
        number = numbers.get(name, 2)
        while chosen in taken:
            chosen, number = f"{name}~{number}", number + 1
        numbers[name] = number
        taken.add(chosen)
        result.append(chosen)
    return result


def _rank(container: EngineContainer) -> int:
    return _RANK.index(container.engine) if container.engine in _RANK else len(_RANK)


def _same(one: EngineContainer, other: EngineContainer) -> bool:
    """Return whether two records with one id are one container.

    A hexadecimal id was drawn at random; one that a person chose, as `c1`, may be there twice, but
    not in one namespace of the engine that had a runtime start it.
    """
    if one.said_by != other.said_by:
        return False
    if one.engine == other.engine and one.engine_namespace != other.engine_namespace:
        return False
    if other.engine in RUNTIMES and one.engine_namespace == other.engine_namespace is not None:
        return True
    if len(one.id) == 64 and _hexadecimal(one.id):
        return True
    return one.pid is not None and one.pid == other.pid


def _fill(first: EngineContainer, second: EngineContainer) -> EngineContainer:
    changes: dict[str, object] = {}
    for name in EngineContainer.__struct_fields__:
        mine, theirs = getattr(first, name), getattr(second, name)
        if (mine is None or mine in ({}, ())) and theirs not in (None, {}, ()):
            changes[name] = theirs
    changes.pop("error", None)
    if second.engine in RUNTIMES:
        changes.pop("engine_namespace", None)
        # Theirs are the spec's annotations: an engine that keeps labels has said all that there are.
        if first.engine not in RUNTIMES:
            changes.pop("labels", None)
    return structs.replace(first, **changes) if changes else first


def _hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
