"""One cgroup's directory, open: reads such of its files as are there, a failed one costing itself only."""

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from collectors.cgroupfs.records import Hierarchy
from collectors.errors import CollectError, Gone, Missing, Problems
from collectors.formats import cpuset, scalar
from collectors.root import Directory, Root
from runtime.errors import FormatError
from runtime.formats import flat, text

T = TypeVar("T")


class Group:
    """An open cgroup. Every reader returns None for a file that is not there or could not be read.

    Which files there are was listed once, so that none is asked for in vain. When the cgroup was
    removed meanwhile they raise `Gone`, for half a cgroup is none.
    """

    __slots__ = ("_directory", "_files", "_problems", "_root", "children", "hierarchy", "path")

    def __init__(
        self, root: Root, hierarchy: Hierarchy, path: str, problems: Problems, directory: Directory
    ) -> None:
        self.hierarchy = hierarchy
        self.path = text.clean(path)
        self._root = root
        self._problems = problems
        self._directory = directory
        files, self.children = directory.entries()
        self._files = frozenset(files)

    @classmethod
    def open(cls, root: Root, hierarchy: Hierarchy, path: str, problems: Problems) -> Self:
        """Open one by its path below the mounted root; raise as `Root.directory` does."""
        name = f"{hierarchy.mountpoint}{path.rstrip('/')}"
        directory = root.directory(name, listed=True)
        try:
            return cls(root, hierarchy, path, problems, directory)
        except BaseException:
            os.close(directory.fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._directory.fd)

    def __contains__(self, file: str) -> bool:
        return file in self._files

    @property
    def inode(self) -> int:
        """The directory's: it tells a cgroup from a later one of the same path."""
        return self._directory.inode()

    def read(self, file: str, parse: Callable[[bytes], T]) -> T | None:
        """Return what a file says."""
        if file not in self._files:
            return None
        try:
            return parse(self._directory.read(file))
        except FormatError as error:
            self._problems.malformed(self._directory.path(file), error)
        except CollectError as error:
            self._check_alive()
            if not isinstance(error, Missing):  # a controller that was just taken away
                self._problems.failed(error)
        return None

    def number(self, file: str) -> int | None:
        """Return a file's number."""
        return self.read(file, scalar.number)

    def limit(self, file: str) -> int | None:
        """Return a limit, None for `max` too."""
        return self.read(file, scalar.limit)

    def flat(self, file: str) -> Mapping[str, int]:
        """Return a flat keyed file, empty where there is none."""
        return self.read(file, flat.parse) or {}

    def members(self) -> int | None:
        """Return how many processes are in it itself."""
        return self.read("cgroup.procs", lambda data: data.count(b"\n"))

    def cpus_or_nodes(self, *files: str) -> str | None:
        """Return the first list among the files that is there and not empty."""
        for file in files:
            if listed := self.read(file, cpuset.parse):
                return listed
        return None

    def _check_alive(self) -> None:
        """Raise `Gone` when the path does not lead here any more."""
        name = self._directory.name
        try:
            with self._root.directory(name) as now:
                same = now.inode() == self._directory.inode()
        except Missing as error:
            raise Gone(error.path, error.operation, error.message) from error
        if not same:
            raise Gone(self._directory.path(""), "open", "another cgroup has its path now")
