"""Stand-ins for what is slow to load of the standard library, for processes that live for a moment.

`typing`, `re`, `enum` and what they bring take longer to load than a container takes to start, and
most of them serve the reader of a program, not its run. A stand-in has the few names that this
package uses; whoever asks for another one gets the real module, from then on.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]  # has no stubs
import _socket
import _struct
import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]  # has no stubs

from runtime import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType, TracebackType
    from typing import Any, TypeAlias

    Value: TypeAlias = Any
    Names: TypeAlias = dict[str, Value]


def install() -> None:
    """Put the stand-ins in the place of modules that are not loaded yet."""
    import _collections_abc  # noqa: PLC0415 - the real one, by its own name

    _stand_in("typing", _typing())
    _stand_in("contextlib", {"contextmanager": contextmanager, "suppress": suppress})
    _stand_in("re", {"compile": Pattern, "ASCII": 256})
    _stand_in("signal", dict(vars(_signal)))
    _stand_in("socket", _sockets())
    _stand_in("json", _json())
    _stand_in("ctypes", native.names())
    _stand_in("hashlib", {"sha256": sha256})
    _stand_in("collections", {"abc": _collections_abc})
    sys.modules.setdefault("collections.abc", _collections_abc)


def _stand_in(name: str, names: Names) -> None:
    """Have a module of some names, which asks the real one for all others."""
    if not names or name in sys.modules:
        return
    module = type(sys)(name)
    for key, value in names.items():
        if not key.startswith("__"):
            setattr(module, key, value)

    def ask(attribute: str) -> Value:
        if attribute in {"__spec__", "__path__"} and name not in _PACKAGES:
            raise AttributeError(attribute)
        return getattr(real(name), attribute)

    vars(module)["__getattr__"] = ask
    sys.modules[name] = module
    _ours[name] = module


_PACKAGES = {"collections", "ctypes", "json", "re"}
_ours: dict[str, ModuleType] = {}


def real(name: str) -> ModuleType:
    """Load the module that is stood in for, and leave it in its place."""
    ours = _ours.pop(name, None)
    if ours is not None and sys.modules.get(name) is ours:
        del sys.modules[name]
        try:
            loaded = __import__(name)
        except BaseException:
            sys.modules[name] = _ours[name] = ours
            raise
        if name == "collections":  # a part that is there is not put into its package by an import
            vars(loaded)["abc"] = sys.modules["collections.abc"]
    return sys.modules[name]


# typing


class Form:
    """A special form of `typing`: it may be written wherever a type may, and says nothing."""

    __slots__ = ()

    def __getitem__(self, _of: object) -> Form:
        return self

    def __or__(self, _other: object) -> Form:
        return self

    __ror__ = __or__

    def __call__(self, *_arguments: object, **_named: object) -> Form:
        return self


def _typing() -> Names:
    names: Names = {"NamedTuple": NamedTuple, "Protocol": object, "TYPE_CHECKING": False}
    for name in ("Any", "Final", "Literal", "NoReturn", "Self", "TypeAlias", "TypeVar"):
        names[name] = Form()
    return names | {"cast": _cast}


def _cast(_kind: object, value: Value) -> Value:
    return value


class _Record(type):
    """Makes a class of named fields out of annotations, as `typing.NamedTuple` does."""

    def __new__(cls, name: str, bases: tuple[type, ...], space: Names) -> _Record:
        if bases == (tuple,) or bases[0] is not NamedTuple:
            return super().__new__(cls, name, bases, {**space, "__slots__": ()})
        # From Python 3.14 on they are the result of a function, asked for values (PEP 649).
        annotate = space.get("__annotate_func__") or space.get("__annotate__")
        fields = tuple(annotate(1) if annotate else space.get("__annotations__", ()))
        space["_field_defaults"] = {key: space[key] for key in fields if key in space}
        space["_fields"] = space["__match_args__"] = fields
        for index, key in enumerate(fields):
            space[key] = _tuplegetter(index, None)
        return super().__new__(cls, name, bases, {**space, "__slots__": ()})


class NamedTuple(tuple["Value", ...], metaclass=_Record):
    """A tuple whose items have names."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: Names = {}  # noqa: RUF012 - never changed

    def __new__(cls, *values: Value, **named: Value) -> NamedTuple:
        """Take values in order, by name, or from the defaults; raises TypeError as any call does."""
        missing = cls._fields[len(values) :]
        if missing or named:
            given = cls._field_defaults | named if named else cls._field_defaults
            try:
                values += tuple([given[key] for key in missing])
            except KeyError as error:
                raise TypeError(f"{cls.__name__}() lacks the argument {error}") from None
            if not named.keys() <= set(missing):
                raise TypeError(f"{cls.__name__}() got an argument that it does not take")
        if len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__}() takes {len(cls._fields)} arguments")
        return super().__new__(cls, values)

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in pairs)})"

    def _replace(self, **changed: Value) -> NamedTuple:
        return type(self)(**(self._asdict() | changed))

    def _asdict(self) -> Names:
        return dict(zip(self._fields, self, strict=True))

    @classmethod
    def _make(cls, values: Iterable[Value]) -> NamedTuple:
        return cls(*values)


# contextlib


class suppress:  # noqa: N801 - it stands in for one of that name
    """Go on after a block that raised one of some exceptions."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, _error: object, _traceback: object
    ) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


class _Generated:
    """A context that is a generator's one `yield`."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Iterator[Value]) -> None:
        self._generator: Value = generator

    def __enter__(self) -> Value:
        return next(self._generator)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        try:
            if error is None:
                next(self._generator)
            else:
                self._generator.throw(error)
        except StopIteration as stop:
            return error is not None and stop is not error
        except BaseException as raised:
            # What a generator lets out of a StopIteration is a RuntimeError (PEP 479).
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                return False
            raise
        raise RuntimeError("the generator of a context yielded twice")


def contextmanager(function: Callable[..., Iterator[Value]]) -> Callable[..., _Generated]:
    """Make contexts of a generator function."""

    def make(*arguments: Value, **named: Value) -> _Generated:
        return _Generated(function(*arguments, **named))

    make.__name__, make.__doc__ = function.__name__, function.__doc__
    return make


# re


class Pattern:
    """A regular expression that is compiled when it is first asked for something."""

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Value:
        compiled: Value = real("re").compile(*self._source)
        value = getattr(compiled, name)
        setattr(self, name, value)
        return value


# socket


class Socket(_socket.socket):
    """A socket that its block closes."""

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def accept(self) -> tuple[Socket, Value]:
        """Return a connection and its other end's address."""
        ours: Value = self
        descriptor, address = ours._accept()  # noqa: SLF001 - the real one has no other way
        return Socket(fileno=descriptor), address


def socketpair(family: int, kind: int, protocol: int = 0) -> tuple[Socket, Socket]:
    """Return two connected sockets."""
    first, second = _socket.socketpair(family, kind, protocol)
    return Socket(fileno=first.detach()), Socket(fileno=second.detach())


def send_fds(target: Socket, data: Iterable[bytes], descriptors: Iterable[int]) -> int:
    """Send bytes with copies of descriptors (unix(7), SCM_RIGHTS)."""
    numbers = list(descriptors)
    packed = _struct.pack(f"{len(numbers)}i", *numbers)
    return target.sendmsg(data, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def recv_fds(
    source: Socket, size: int, most: int, flags: int = 0
) -> tuple[bytes, list[int], int, Value]:
    """Receive bytes and up to some descriptors."""
    room = _socket.CMSG_LEN(most * 4)
    data, ancillary, told, address = source.recvmsg(size, room, flags)
    found: list[int] = []
    for level, kind, packed in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            count = len(packed) // 4
            found.extend(_struct.unpack(f"{count}i", packed[: count * 4]))
    return data, found, told, address


def _sockets() -> Names:
    return {
        **vars(_socket),
        "socket": Socket,
        "socketpair": socketpair,
        "send_fds": send_fds,
        "recv_fds": recv_fds,
    }


# json


class _Manner:
    """How the decoder's scanner is to go about."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_SPACE = " \t\n\r"


class Json:
    """What decodes and encodes with the interpreter's own parts; the real one finds the words."""

    def __init__(self, parts: Value) -> None:
        self._scan = parts.make_scanner(_Manner)
        self._parts = parts

    def loads(self, data: Value, **others: Value) -> Value:
        """Decode a text, or bytes of UTF-8."""
        if not others and (isinstance(data, str) or b"\0" not in data[:4]):
            try:
                text = data if isinstance(data, str) else data.decode()
                value, end = self._scan(text, len(text) - len(text.lstrip(_SPACE)))
            except (StopIteration, ValueError, SystemError):
                pass  # the last is how the scanner fails where `json.decoder` is not loaded
            else:
                if not text[end:].strip(_SPACE):
                    return value
        return real("json").loads(data, **others)

    def load(self, file: Value) -> Value:
        """Decode a file."""
        return self.loads(file.read())

    def dumps(
        self,
        value: object,
        *,
        separators: tuple[str, str] = (", ", ": "),
        sort_keys: bool = False,
        **others: Value,
    ) -> str:
        """Encode as ASCII."""
        if others or not isinstance(value, dict | list | tuple):
            return str(
                real("json").dumps(value, separators=separators, sort_keys=sort_keys, **others)
            )
        ascii_only = self._parts.encode_basestring_ascii
        between, after_key = separators
        how: Value = ({}, _refuse, ascii_only, None, after_key, between, sort_keys, False, True)
        return "".join(self._parts.make_encoder(*how)(value, 0))


def _json() -> Names:
    try:
        parts = __import__("_json")
        ours = Json(parts)
    except (ImportError, AttributeError, TypeError):  # another interpreter, or a later one
        return {}
    return {"loads": ours.loads, "dumps": ours.dumps, "load": ours.load}


def _refuse(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# hashlib


def sha256(data: bytes = b"") -> Value:
    """Return a hash by the interpreter's own part: the real module would load OpenSSL."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on, and before
        try:
            return __import__(name).sha256(data)
        except ImportError:
            continue
    return real("hashlib").sha256(data)
