"""Understands what was typed: with a prefix in one way, without one in every way that fits."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from inspector.errors import WrongUsage
from inspector.owner.model import Kind, Question

_PREFIXES: Final[Mapping[str, Kind]] = {
    "pid": "pid",
    "veth": "interface",
    "if": "interface",
    "ip": "address",
    "port": "port",
    "conn": "connection",
    "path": "path",
    "fd": "fd",
    "inode": "inode",
    "cgroup": "cgroup",
    "ns": "namespace",
    "mount": "mount",
    "id": "container",
    "name": "container",
    "container": "container",
}
_TYPES: Final = frozenset({"mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"})
_LINK: Final = re.compile(r"([a-z]+):\[([0-9]{1,20})\]", re.ASCII)
_PORT: Final = re.compile(r"(?:(.+):)?([0-9]{1,5})(?:/(tcp|udp))?", re.ASCII)
_DESCRIPTOR: Final = re.compile(r"/proc/([0-9]+)/fd/([0-9]+)", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_MOST_PORT: Final = 65535

PREFIXES: Final = tuple(_PREFIXES)


def parse(what: str) -> tuple[Question, ...]:
    """Return the ways to understand it, the likeliest first; raise `WrongUsage` for what cannot be."""
    if not what or "\0" in what:
        raise WrongUsage("an empty name belongs to nobody: say a pid, a path, an interface…")
    link = _LINK.fullmatch(what)
    if link:
        if link[1] == "socket":
            return (Question("inode", link[2], explicit=True),)
        if link[1] not in _TYPES:
            raise WrongUsage(f"{what!r} is no namespace: the types are {', '.join(sorted(_TYPES))}")
        return (Question("namespace", link[2], explicit=True),)
    prefix, colon, value = what.partition(":")
    kind = _PREFIXES.get(prefix)
    if colon and kind is not None:
        _check(what, kind, value)
        return (Question(kind, value, explicit=True),)
    return _guesses(what)


def port(value: str) -> tuple[str | None, int, str | None]:
    """Return address, port and protocol of `8080`, `:8080`, `[::1]:80/tcp`; raise ValueError."""
    match = _PORT.fullmatch(value.removeprefix(":"))
    if match is None or int(match[2]) > _MOST_PORT:
        raise ValueError(value)
    address = match[1]
    if address is not None:
        address = str(ipaddress.ip_address(address.removeprefix("[").removesuffix("]")))
    return address, int(match[2]), match[3]


def connection(value: str) -> tuple[tuple[str, int], ...]:
    """Return the one or two ends of `10.0.0.2:40000->10.0.0.3:80`; raise ValueError."""
    ends = [port(end.strip()) for end in re.split(r"->|→|,|\s+", value.strip()) if end.strip()]
    if not 1 <= len(ends) <= 2 or any(address is None for address, _, _ in ends):
        raise ValueError(value)
    return tuple((address or "", number) for address, number, _ in ends)


def descriptor(value: str) -> tuple[int, int]:
    """Return pid and number of `123/4`; raise ValueError."""
    pid, slash, number = value.partition("/")
    if not slash:
        raise ValueError(value)
    return _digits(pid), _digits(number)


def inside(value: str) -> tuple[int, str | None]:
    """Return the pid, and the container within which it is one: `123`, `7@web`; raise ValueError."""
    number, at, container = value.partition("@")
    if at and not container:
        raise ValueError(value)
    return _digits(number), container or None


def _digits(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError(value)
    return int(value)


def _check(what: str, kind: Kind, value: str) -> None:
    check = _FORMS.get(kind)
    form = _SAY[kind]
    if not value:
        raise WrongUsage(f"nothing stands behind the colon of {what!r}: say {form}")
    if check is None:
        return
    try:
        check(value)
    except ValueError:
        raise WrongUsage(f"not a {kind}: {what!r} (say {form})") from None


def _guesses(what: str) -> tuple[Question, ...]:
    if what.startswith(("/", "./", "../")) or what in {".", ".."}:
        match = _DESCRIPTOR.fullmatch(what)
        if match:
            return (Question("fd", f"{match[1]}/{match[2]}"),)
        paths: tuple[Kind, ...] = ("path", "cgroup")
        if what.startswith("/sys/fs/cgroup/"):
            paths = ("cgroup", "path")
        return tuple(Question(kind, what) for kind in paths)
    if _NUMBER.fullmatch(what):
        kinds: list[Kind] = ["pid", "namespace", "container", "cgroup", "inode", "mount"]
        if int(what) <= _MOST_PORT:
            kinds.insert(1, "port")
        return tuple(Question(kind, what) for kind in kinds)
    found: list[Question] = []
    for kind, form in _UNPREFIXED:
        try:
            form(what)
        except ValueError:
            continue
        found.append(Question(kind, what))
    if found:
        return tuple(found)
    return (
        Question("container", what),
        Question("interface", what.partition("@")[0]),
        Question("path", what),
    )


def _inside_one(value: str) -> None:
    if inside(value)[1] is None:
        raise ValueError(value)


_UNPREFIXED: Final[tuple[tuple[Kind, Callable[[str], object]], ...]] = (
    ("pid", _inside_one),
    ("address", ipaddress.ip_address),
    ("connection", connection),
    ("port", port),
)
_FORMS: Final[Mapping[Kind, Callable[[str], object]]] = {
    "pid": inside,
    "address": ipaddress.ip_address,
    "port": port,
    "connection": connection,
    "fd": descriptor,
    "inode": _digits,
    "namespace": _digits,
    "mount": _digits,
}
_SAY: Final[Mapping[Kind, str]] = {
    "pid": "pid:123, or pid:7@CONTAINER for a pid inside",
    "interface": "if:NAME or veth:NAME",
    "address": "ip:10.0.0.2",
    "port": "port:8080, port:8080/udp, port:127.0.0.1:8080",
    "connection": "conn:10.0.0.2:40000 or conn:10.0.0.2:40000->10.0.0.3:80",
    "path": "path:/some/where",
    "fd": "fd:PID/NUMBER",
    "inode": "inode:123",
    "cgroup": "cgroup:/path, or its id",
    "namespace": "ns:4026532256",
    "mount": "mount:123",
    "container": "id:NAME",
}
