"""Finds where engines listen: the environment, the usual sockets, and those of users."""

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct


class Address(Struct, frozen=True):
    """Where one engine may be asked."""

    name: str
    """Unique: `docker`, `docker-rootless-1000`, `docker-env`."""
    path: str
    """A socket's path; or, where the environment names no unix socket, what it names."""
    usable: bool = True
    """False: not a unix socket."""


def addresses(
    engine: str,
    *,
    usual: str,
    environment: Mapping[str, str],
    variable: str = "",
    rootless: str = "",
    users: str = "/run/user",
) -> tuple[Address, ...]:
    """Return an engine's addresses, each path once, the system's own first.

    `variable` is the environment's word for it, `usual` the system's socket, `rootless` the socket
    below a user's runtime directory ("" for none of either). Users' sockets are looked for where they belong
    to that user: somebody else's would only be a lie about containers.
    """
    found = [Address(engine, usual)]
    said = environment.get(variable)
    if said:
        path = _unix_path(said)
        found.append(Address(f"{engine}-env", said if path is None else path, path is not None))
    if rootless:
        found += [
            Address(f"{engine}-rootless-{uid}", path) for uid, path in _of_users(users, rootless)
        ]
        own = environment.get("XDG_RUNTIME_DIR")
        if own:
            found.append(Address(f"{engine}-rootless", f"{own.rstrip('/')}/{rootless}"))
    seen: dict[str, Address] = {}
    for address in found:
        seen.setdefault(address.path, address)
    return tuple(seen.values())


def _unix_path(said: str) -> str | None:
    if said.startswith("/"):
        return said
    scheme, separator, path = said.partition("://")
    return path if separator and scheme == "unix" and path.startswith("/") else None


def _of_users(users: str, rootless: str) -> Iterator[tuple[int, str]]:
    try:
        names = sorted(name for name in os.listdir(users) if name.isdecimal())
    except OSError:
        return
    for name in names:
        path = f"{users}/{name}/{rootless}"
        try:
            if os.lstat(path).st_uid == int(name):
                yield int(name), path
        except OSError:
            continue
