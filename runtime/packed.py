"""The modules of a command in one file, beside their `.pyc`s, in the order in which they are run.

What the interpreter does for each module, looking through directories and opening two files, takes
longer than to run it. So what a command has loaded is kept in one file, and its next run loads all of
that before it is asked for. The file is taken as long as every source is what it was, by time and
size, as a `.pyc` is (PEP 552); if one is not, or a run loads more, it is written anew. Where that
cannot be nothing is lost but time.
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, PathFinder, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import TypeAlias

    Stamp: TypeAlias = tuple[int, int]
    Entry: TypeAlias = tuple[str, bool, Stamp, CodeType]
    """A module's name, whether it is a package, its source's time and size, its code."""

_PACKAGE = "runtime."
_OTHERS = ("struct", "tty")
"""Those of the standard library that most commands load."""
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARY = os.path.dirname(str(os.__file__))


class Pack:
    """What a command has loaded in earlier runs, and what it has loaded beyond that in this one."""

    def __init__(self, words: "Sequence[str]") -> None:
        """Read the file of the command that is among some words, if there is one."""
        self._entries: list[Entry] = []
        self._count = 0
        """How many of those were loaded."""
        self.found: list[Entry] = []
        """What was loaded in the usual way, each after those it imports."""
        for word in words:
            if word.isalpha() and (data := _read(_path(word))) is not None:
                self._entries = _entries(data)
                return

    def load(self, last: str = "") -> None:
        """Load what is in the file, up to a module or all, each after those it imports."""
        modules = sys.modules
        for name, package, _, code in self._entries[self._count :]:
            parent, _, child = name.rpartition(".")
            if parent and parent not in modules:
                return
            self._count += 1
            if name in modules:
                continue
            module: ModuleType = type(sys)(name)
            modules[name] = module
            module.__file__ = source = _source(name, package=package)
            module.__spec__ = ModuleSpec(name, None, origin=source, is_package=package)
            if package:
                module.__path__ = [os.path.dirname(source)]
            try:
                exec(code, vars(module))  # noqa: S102 - it is how a module is run
            except BaseException:
                del modules[name]
                raise
            if parent:
                setattr(modules[parent], child, module)
            if name == last:
                return

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Find a module as usual, and have it noted (importlib.abc.MetaPathFinder)."""
        if not name.startswith(_PACKAGE) and name not in _OTHERS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(self, name, spec.loader.path)
        return spec

    def complete(self, command: str) -> None:
        """Write the file of a command anew if it has loaded what is not there, where that can be."""
        if command and self.found and not sys.dont_write_bytecode:
            try:  # noqa: SIM105 - contextlib takes longer to load than all that is here
                _write(_path(command), self._entries[: self._count] + self.found)
            except OSError:
                pass


class _Loader(SourceFileLoader):
    """Runs a module, and notes that it did."""

    def __init__(self, pack: Pack, name: str, path: str) -> None:
        super().__init__(name, path)
        self._found = pack.found

    def exec_module(self, module: "ModuleType") -> None:
        """Run it; one that fails is not noted."""
        name = module.__name__
        stamp = _stamp(self.path)
        code = self.get_code(name)
        if code is None:
            raise ImportError(f"{name} has no code")
        exec(code, vars(module))  # noqa: S102 - it is how a module is run
        self._found.append((name, self.is_package(name), stamp, code))


def install(words: "Sequence[str]") -> Pack:
    """Return the pack of the command that is among some words.

    `complete` is to be called at its end. The packages that it is loaded from are loaded already.
    """
    pack = Pack(words)
    sys.meta_path.insert(0, pack)
    return pack


def _path(command: str) -> str:
    tag = sys.implementation.cache_tag
    return f"{_ROOT}/runtime/__pycache__/command-{command}.{tag}.pack"


def _source(name: str, *, package: bool) -> str:
    top = _ROOT if name.startswith(_PACKAGE) else _LIBRARY
    return f"{top}/{name.replace('.', '/')}{'/__init__' if package else ''}.py"


def _stamp(source: str) -> "Stamp":
    """Return what tells one version of a file from another: its time in nanoseconds, and its size."""
    status = os.stat(source)
    return status.st_mtime_ns, status.st_size


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _entries(data: bytes) -> "list[Entry]":
    """Return what is in a file; nothing if it is damaged, another Python's, or out of date."""
    if data[: len(MAGIC_NUMBER)] != MAGIC_NUMBER:
        return []
    try:
        entries = marshal.loads(memoryview(data)[len(MAGIC_NUMBER) :])  # noqa: S302 - our own
        for name, package, stamp, _ in entries:
            if _stamp(_source(name, package=package)) != stamp:
                return []
    except (EOFError, OSError, TypeError, ValueError):
        return []
    return list(entries)


def _write(path: str, entries: "list[Entry]") -> None:
    """Replace a file in one step."""
    data = MAGIC_NUMBER + marshal.dumps(entries)
    temporary = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o644)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
