"""Trees as rows: what has a parent is shown below it, with lines that say so, in a table as any other."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Branch(Generic[T]):
    """An item and where it hangs."""

    key: str
    item: T
    prefix: str
    """The lines left of it: `│  ├─ `."""
    children: int
    folded: bool

    @property
    def mark(self) -> str:
        """What says that something is below it, open or folded."""
        if not self.children:
            return ""
        return "▸ " if self.folded else "▾ "


def flatten(
    items: Sequence[T],
    key: Callable[[T], str],
    parent: Callable[[T], str | None],
    folded: Collection[str] = (),
) -> list[Branch[T]]:
    """Return the items depth first in the order they came; one whose parent is not here is a root.

    A parent that is its own descendant would be a loop: such items become roots.
    """
    by_key = {key(item): item for item in items}
    below: dict[str | None, list[str]] = {}
    for name, item in by_key.items():
        above = parent(item)
        below.setdefault(above if above in by_key and above != name else None, []).append(name)
    rows: list[Branch[T]] = []
    seen: set[str] = set()

    def walk(start: str) -> None:
        stack = [(start, "", "")]
        while stack:
            name, prefix, inner = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            kids = below.get(name, [])
            rows.append(Branch(name, by_key[name], prefix, len(kids), name in folded))
            if name in folded:
                seen.update(_all_below(name, below))
                continue
            for place, kid in reversed(list(enumerate(kids))):
                last = place == len(kids) - 1
                stack.append(
                    (kid, inner + ("└─ " if last else "├─ "), inner + ("   " if last else "│  "))
                )

    for root in below.get(None, []):
        walk(root)
    for name in by_key:
        if name not in seen:
            walk(name)
    return rows


def _all_below(name: str, below: dict[str | None, list[str]]) -> set[str]:
    found: set[str] = set()
    left = list(below.get(name, []))
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left.extend(below.get(one, []))
    return found
