"""The modules of a command in one file, beside their `.pyc`s: a start opens one file for a hundred.

What the interpreter does for each module, looking through directories and opening two files, takes
longer than to run it. A packed module is the one whose source is there: it is taken by the time and
the size of that, as a `.pyc` is (PEP 552), and what is missing or stale is loaded in the usual way,
after which the file is written anew. Where it cannot be written nothing is lost but time.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any, TypeAlias

    Loader: TypeAlias = Any  # what has `get_code` (importlib.abc.InspectLoader)
    Entry: TypeAlias = tuple[int, int, int, int, bool]
    """Where the code begins, its length, the source's time and size, whether it is a package."""

_LENGTH = 8
_PACKAGE = "runtime"
_OTHERS = ("struct", "tty")
"""Those of the standard library that most commands load."""


class Pack:
    """Finds and loads modules that are in a file, and writes that file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._data = memoryview(b"")
        self._index: dict[str, Entry] = {}
        self._sets: dict[str, list[str]] = {}
        self._taken: dict[str, str] = {}
        self._order: list[str] = []
        self._early = frozenset(sys.modules)
        self._root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self._library = os.path.dirname(str(os.__file__))

    def read(self) -> None:
        """Take what is in the file; one that is missing, damaged or of another Python is empty."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            data = os.read(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        size = int.from_bytes(data[:_LENGTH], "little")
        try:
            magic, length, index, sets = marshal.loads(data[_LENGTH : _LENGTH + size])  # noqa: S302 - our own
        except (EOFError, TypeError, ValueError):
            return
        code = memoryview(data)[_LENGTH + size :]
        if magic == MAGIC_NUMBER and length == len(code):
            self._data, self._index, self._sets = code, index, sets

    # What the import system calls (importlib.abc.MetaPathFinder and Loader)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module whose source is as it was when it was packed."""
        entry = self._index.get(name)
        if entry is None:
            return None
        source = self._source(name, package=entry[4])
        try:
            if _stamp(source) != entry[2:4]:
                return None
        except OSError:
            return None
        self._taken[name] = source
        spec = ModuleSpec(name, self, origin=source)  # type: ignore[arg-type]  # has the methods that are called
        if entry[4]:
            spec.submodule_search_locations = [os.path.dirname(source)]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """Have it made as others are."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        name = module.__name__
        module.__file__ = self._taken[name]
        exec(self.get_code(name), vars(module))  # noqa: S102 - it is how a loader runs a module
        self._order.append(name)

    def get_code(self, name: str) -> CodeType:
        """Return a module's code."""
        start, size, *_ = self._index[name]
        code: CodeType = marshal.loads(self._data[start : start + size])  # noqa: S302 - as a .pyc
        return code

    def _source(self, name: str, *, package: bool) -> str:
        top = self._root if name.partition(".")[0] == _PACKAGE else self._library
        return f"{top}/{name.replace('.', '/')}{'/__init__.py' if package else '.py'}"

    def load(self, words: Sequence[str]) -> None:
        """Load what the command among some words has loaded before, each after those it imports.

        So it finds all of them there, and nothing is left to the import system. From the first on
        that is not as it was, it is.
        """
        command = next((word for word in words if word in self._sets), "")
        for name in self._sets.get(command, ()):
            if name in sys.modules:
                continue
            spec = self.find_spec(name)
            if spec is None:
                return
            parent, _, last = name.rpartition(".")
            __import__(parent)
            module = type(sys)(name)
            module.__spec__, module.__package__ = spec, spec.parent
            module.__loader__ = self  # type: ignore[assignment]  # it loads what it found itself
            if spec.submodule_search_locations is not None:
                module.__path__ = spec.submodule_search_locations
            sys.modules[name] = module
            try:
                self.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            setattr(sys.modules[parent], last, module)

    # Writing

    def complete(self, command: str) -> None:
        """Write the file anew where it lacks modules that were loaded, or what a command loads.

        Raises OSError if that cannot be.
        """
        loaded = {name: loader for name in sys.modules if (loader := self._other_loader(name))}
        known = not command or command in self._sets
        if (not loaded and known) or sys.dont_write_bytecode:
            return
        if loaded:  # in which order is only seen when all come from here
            self._sets.pop(command, None)
        elif not known:
            self._sets[command] = [name for name in self._order if name.startswith(_PACKAGE)]
        kept = {
            name: (entry, self._data[entry[0] : entry[0] + entry[1]])
            for name, entry in self._index.items()
            if name not in loaded and os.path.exists(self._source(name, package=entry[4]))
        }
        for name, loader in loaded.items():
            package = hasattr(sys.modules[name], "__path__")
            source = self._source(name, package=package)
            before = _stamp(source)
            code = memoryview(marshal.dumps(loader.get_code(name)))
            if _stamp(source) == before:
                kept[name] = (0, len(code), *before, package), code
        self._write(kept)

    def _other_loader(self, name: str) -> Loader | None:
        """Return the loader of a module that is to be packed and was not loaded from here."""
        ours = name.startswith(f"{_PACKAGE}.") or name in _OTHERS
        if not ours or name in self._early:
            return None
        spec = getattr(sys.modules[name], "__spec__", None)
        loader = getattr(spec, "loader", None)
        if loader is self or not str(getattr(spec, "origin", "")).endswith(".py"):
            return None
        return loader

    def _write(self, parts: dict[str, tuple[Entry, memoryview]]) -> None:
        """Replace the file in one step."""
        index: dict[str, Entry] = {}
        start = 0
        for name, (entry, code) in parts.items():
            index[name] = (start, *entry[1:])
            start += len(code)
        head = marshal.dumps((MAGIC_NUMBER, start, index, self._sets))
        temporary = f"{self._path}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, 0o644)
        try:
            with open(descriptor, "wb") as file:
                file.write(len(head).to_bytes(_LENGTH, "little") + head)
                file.writelines(code for _, code in parts.values())
            os.rename(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise


def _stamp(source: str) -> tuple[int, int]:
    """Return what tells one version of a file from another: its time in nanoseconds, and its size."""
    status = os.stat(source)
    return status.st_mtime_ns, status.st_size


def install(name: str) -> Pack:
    """Load modules from the pack of a command from now on; `complete` is to be called at its end."""
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__pycache__")
    pack = Pack(f"{directory}/{name}.{sys.implementation.cache_tag}.pack")
    pack.read()
    sys.meta_path.insert(0, pack)
    return pack
