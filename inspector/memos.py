"""What was derived for the frame before, so that what would come out the same is taken again."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Memo(Generic[T]):
    """The results of one function, each with the inputs that it was made from.

    Two that compare equal give the same result, for the functions are pure; most inputs are the
    same objects as before, for which comparing costs next to nothing. What a frame did not ask for
    is forgotten with it, so that a memo never holds more than two frames have.
    """

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[tuple[object, ...], T]] = {}
        self._now: dict[Hashable, tuple[tuple[object, ...], T]] = {}
        self.made = 0
        """How many were made anew in this frame."""

    def begin(self) -> None:
        """Begin a frame."""
        self._before, self._now = self._now, {}
        self.made = 0

    def keep(self) -> None:
        """Keep all that the frame before had, for who did not need to ask for it."""
        self._now = self._before | self._now

    def again(self, key: Hashable) -> None:
        """Keep one of the frame before, for who knows that its inputs are as they were."""
        self._now[key] = self._before[key]

    def of(self, key: Hashable, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` would, which depends on nothing but the inputs."""
        kept = self._now.get(key) or self._before.get(key)
        if kept is None or kept[0] != inputs:
            kept = (inputs, make())
            self.made += 1
        self._now[key] = kept
        return kept[1]


class Memos:
    """Every function's memo, by name. Without one before it a frame is derived from nothing.

    It never changes what comes out, only whether it is the same object as in the frame before.
    """

    def __init__(self) -> None:
        self._memos: dict[str, Memo[Any]] = {}
        self._ones: dict[type, Any] = {}
        self.frame = 0
        """How many frames have begun: what was kept in the one before is known by it."""

    def begin(self) -> None:
        """Begin a frame."""
        self.frame += 1
        for memo in self._memos.values():
            memo.begin()

    def memo(self, name: str, kind: type[T]) -> Memo[T]:  # noqa: ARG002 - it carries the type
        """Return the memo of a function that returns this type."""
        memo = self._memos.get(name)
        if memo is None:
            memo = self._memos[name] = Memo()
        return cast("Memo[T]", memo)

    def one(self, kind: type[T]) -> T:
        """Return the one object of a class that is kept as long as this is, made when first asked."""
        if kind not in self._ones:
            self._ones[kind] = kind()
        return cast("T", self._ones[kind])

    @property
    def made(self) -> dict[str, int]:
        """How many results of each function were made anew in this frame, those with none left out."""
        return {name: memo.made for name, memo in self._memos.items() if memo.made}
