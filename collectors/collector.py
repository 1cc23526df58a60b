"""What a collector is: something that takes one reading, off the event loop, in one thread hop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from collectors.root import Root

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """Names a reading and carries its type, so that a sample can be asked for it safely."""

    name: str
    type: type[T]


class Collector(Protocol[T_co]):
    """Takes one reading."""

    @property
    def name(self) -> str:
        """The key the reading is filed under."""
        ...

    async def collect(self) -> T_co:
        """Take the reading; raise `CollectError` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class FileCollector(Generic[T]):
    """Runs a blocking reader in one thread hop: one hop a reading, not one a file."""

    key: Key[T]
    reader: Callable[[Root], T]
    root: Root

    @property
    def name(self) -> str:
        """The key the reading is filed under."""
        return self.key.name

    async def collect(self) -> T:
        """Take the reading off the event loop."""
        return await asyncio.to_thread(self.reader, self.root)
