"""Talk to systemd over D-Bus, through libsystemd.

libsystemd is loaded by its soname, as libseccomp is: wherever systemd is there to be talked to, it
is there too, it is systemd's own client, and it authenticates from within a user namespace. It
takes 1 ms to load, needs no package, no event loop and no site-packages (the shim has none); of
Python's libraries, dbus-fast takes 26 ms to import and wants asyncio, jeepney takes 5 ms.
sd_bus_call(3), sd_bus_message_append_basic(3), sd_bus_process(3).
"""

import contextlib
import ctypes
import functools
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from runtime.errors import DeadlineExceeded, FailedPrecondition, Unavailable

_SONAME: Final = "libsystemd.so.0"
_PRIVATE: Final = b"unix:path=/run/systemd/private"
"""Where systemd listens itself, for root, before or without a bus."""
_CALL_SECONDS: Final = 30.0
_Number = ctypes.c_int32 | ctypes.c_uint32 | ctypes.c_uint64 | ctypes.c_int64 | ctypes.c_uint8
_NUMBERS: Final[Mapping[str, type[_Number]]] = {
    "b": ctypes.c_int32,
    "u": ctypes.c_uint32,
    "t": ctypes.c_uint64,
    "i": ctypes.c_int32,
    "x": ctypes.c_int64,
    "y": ctypes.c_uint8,
}
_STRINGS: Final = "sog"


class Address(NamedTuple):
    """An object of a service, and one of its interfaces."""

    service: str
    path: str
    interface: str


MANAGER: Final = Address(
    "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
)
_BUS: Final = Address("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class Refused(FailedPrecondition):
    """The peer answered with an error, whose D-Bus name tells which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name.rpartition(".")[2]
        """The last part: `UnitExists`, `NoSuchUnit`, `AccessDenied`."""


def elements(signature: str) -> list[str]:
    """Return the complete types that a signature is made of (D-Bus spec, "Type System")."""
    found: list[str] = []
    start = depth = 0
    for index, code in enumerate(signature):
        depth += (code in "({") - (code in ")}")
        if depth == 0 and code != "a":
            found.append(signature[start : index + 1])
            start = index + 1
    if depth or start != len(signature):
        raise ValueError(f"not a D-Bus signature: {signature!r}")
    return found


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(_SONAME, use_errno=False)
    except OSError:
        raise Unavailable(f"{_SONAME} is not installed: systemd cannot be asked") from None


def _check(result: int, what: str) -> int:
    if result < 0:
        raise Unavailable(f"systemd: {what}: {os.strerror(-result)}")
    return result


class Bus:
    """A connection to systemd: the host's, or a user's own."""

    __slots__ = ("_handle", "_library", "_subscribed")

    def __init__(self, *, user: bool) -> None:
        """Connect; raises `Unavailable` if nobody listens."""
        self._library = _library()
        self._handle = ctypes.c_void_p()
        self._subscribed = False
        open_it = self._library.sd_bus_open_user if user else self._library.sd_bus_open_system
        result = open_it(ctypes.byref(self._handle))
        if result < 0 and not user and os.geteuid() == 0:
            result = self._open_private()
        which = "the user's session" if user else "the system"
        _check(result, f"connect to the bus of {which}")

    def _open_private(self) -> int:
        library = self._library
        result = int(library.sd_bus_new(ctypes.byref(self._handle)))
        if result >= 0:
            result = int(library.sd_bus_set_address(self._handle, _PRIVATE))
        return int(library.sd_bus_start(self._handle)) if result >= 0 else result

    def close(self) -> None:
        """Send what is left, and disconnect."""
        close = self._library.sd_bus_flush_close_unref
        close.restype = ctypes.c_void_p
        close(self._handle)
        self._handle = ctypes.c_void_p()

    def call(
        self, to: Address, member: str, signature: str = "", *values: object, returns: str = ""
    ) -> str:
        """Call a method; return the text that begins its reply if `returns` gives its type.

        That is `s`, `o`, or `vs` for one in a variant. A variant's value is a pair of its signature
        and the value. Raises `Refused`, `Unavailable`.
        """
        library, message = self._library, ctypes.c_void_p()
        names = [each.encode() for each in (to.service, to.path, to.interface, member)]
        _check(
            library.sd_bus_message_new_method_call(
                self._handle, ctypes.byref(message), *map(ctypes.c_char_p, names)
            ),
            member,
        )
        try:
            for kind, value in zip(elements(signature), values, strict=True):
                self._append(message, kind, value)
            with self._sent(message, member) as reply:
                return str(self._read(reply, returns)) if returns else ""
        finally:
            _unref(library, message)

    @contextlib.contextmanager
    def _sent(self, message: ctypes.c_void_p, member: str) -> Generator[ctypes.c_void_p]:
        reply = ctypes.c_void_p()
        error = (ctypes.c_char_p * 3)()  # struct sd_bus_error: name, message, whether to free them
        usec = ctypes.c_uint64(int(_CALL_SECONDS * 1e6))
        result = self._library.sd_bus_call(
            self._handle, message, usec, ctypes.byref(error), ctypes.byref(reply)
        )
        try:
            if name := error[0]:
                raise Refused(
                    name.decode(errors="replace"), (error[1] or b"").decode(errors="replace")
                )
            _check(result, member)
            yield reply
        finally:
            self._library.sd_bus_error_free(ctypes.byref(error))
            _unref(self._library, reply)

    def _append(self, message: ctypes.c_void_p, kind: str, value: object) -> None:
        library = self._library
        code = ctypes.c_char(kind[0].encode())
        if kind in _NUMBERS:
            number = _NUMBERS[kind](cast("int", value))
            _check(library.sd_bus_message_append_basic(message, code, ctypes.byref(number)), kind)
        elif kind in _STRINGS:
            text = ctypes.c_char_p(os.fsencode(cast("str", value)))
            _check(library.sd_bus_message_append_basic(message, code, text), kind)
        elif kind == "v":
            inner, held = cast("tuple[str, object]", value)
            self._container(message, "v", inner, (held,))
        elif kind == "ay":
            data = ctypes.c_char_p(cast("bytes", value))
            size = ctypes.c_size_t(len(cast("bytes", value)))
            byte = ctypes.c_char(b"y")
            _check(library.sd_bus_message_append_array(message, byte, data, size), kind)
        elif kind.startswith("a"):
            several = cast("Sequence[object]", value)
            self._container(message, "a", kind[1:], several, kinds=[kind[1:]] * len(several))
        else:  # a structure: its letter is `r`
            parts = cast("Sequence[object]", value)
            self._container(message, "r", kind[1:-1], parts)

    def _container(
        self,
        message: ctypes.c_void_p,
        code: str,
        contents: str,
        values: Sequence[object],
        *,
        kinds: Sequence[str] | None = None,
    ) -> None:
        opened = self._library.sd_bus_message_open_container(
            message, ctypes.c_char(code.encode()), ctypes.c_char_p(contents.encode())
        )
        _check(opened, contents)
        for kind, value in zip(elements(contents) if kinds is None else kinds, values, strict=True):
            self._append(message, kind, value)
        _check(self._library.sd_bus_message_close_container(message), contents)

    def _read(self, message: ctypes.c_void_p, kind: str) -> object:
        """Return the next value of a message: a string, a number, or a variant of one."""
        library = self._library
        if kind[0] == "v":
            code, contents = ctypes.c_char(b"v"), ctypes.c_char_p(kind[1:].encode())
            _check(library.sd_bus_message_enter_container(message, code, contents), kind)
            return self._read(message, kind[1:])
        target: ctypes.c_char_p | _Number
        target = ctypes.c_char_p() if kind in _STRINGS else _NUMBERS[kind]()
        code = ctypes.c_char(kind.encode())
        _check(library.sd_bus_message_read_basic(message, code, ctypes.byref(target)), kind)
        value = target.value
        return os.fsdecode(value) if isinstance(value, bytes) else value

    def _subscribe(self) -> None:
        """Have systemd tell how its jobs end."""
        if self._subscribed:
            return
        rule = (
            f"type='signal',sender='{MANAGER.service}',interface='{MANAGER.interface}',"
            "member='JobRemoved'"
        )
        # Without a bus in between there is nobody to ask, and all is told.
        with contextlib.suppress(Refused):
            self.call(_BUS, "AddMatch", "s", rule)
        self.call(MANAGER, "Subscribe")
        self._subscribed = True

    def wait_for_job(self, start: Callable[[], str], *, seconds: float) -> str:
        """Start a job and return how it ended: `done`, `failed`, `timeout` and so on.

        `start` returns the job's path. Raises `DeadlineExceeded`.
        """
        self._subscribe()
        job = start()
        deadline = time.monotonic() + seconds
        while True:
            message = ctypes.c_void_p()
            progress = self._library.sd_bus_process(self._handle, ctypes.byref(message))
            _check(progress, "wait for a job")
            try:
                if message.value and (result := self._result_of(message, job)) is not None:
                    return result
            finally:
                _unref(self._library, message)
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(f"systemd has not finished {job} in {seconds:.0f} s")
            if not progress:
                usec = ctypes.c_uint64(int(left * 1e6))
                _check(self._library.sd_bus_wait(self._handle, usec), "wait for a job")

    def _result_of(self, message: ctypes.c_void_p, job: str) -> str | None:
        """Return a job's result if the message is the signal of its end: (u id, o job, s s)."""
        interface = ctypes.c_char_p(MANAGER.interface.encode())
        member = ctypes.c_char_p(b"JobRemoved")
        if self._library.sd_bus_message_is_signal(message, interface, member) <= 0:
            return None
        _, path, _, result = (self._read(message, kind) for kind in "uoss")
        return str(result) if path == job else None


def _unref(library: ctypes.CDLL, message: ctypes.c_void_p) -> None:
    library.sd_bus_message_unref.restype = ctypes.c_void_p
    library.sd_bus_message_unref(message)
