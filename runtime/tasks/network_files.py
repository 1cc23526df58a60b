"""/etc/hosts, /etc/hostname and /etc/resolv.conf as Docker has them: a container's own, bound over the root's.

They last as long as the container does, and so does what it writes into them.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from runtime.errors import RuntimeFailure
from runtime.shim import bundle
from runtime.types import Change, ContainerOptions

_PLACES: Final = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_KERNEL_PLACES: Final = frozenset({"proc", "sys", "dev"})
_LINKS: Final = 40
"""How many links a path may have (path_resolution(7))."""
_LARGEST: Final = 1 << 20
"""Bytes that are taken of a file of the host."""
_HOSTS: Final = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def mounts(options: ContainerOptions, *, directory: str, rootfs: str) -> list[dict[str, Any]]:
    """Return the entries of `mounts` that show the files of `directory` in a container.

    A file that has no place in the root, or where a volume is to be, is left out.
    """
    found: list[dict[str, Any]] = []
    for path in _PLACES:
        place = _place(rootfs, path)
        if place is None or any(_covers(each.target, path, place) for each in options.volumes):
            continue
        found.append(
            {
                "destination": place,
                "type": "bind",
                "source": os.path.join(directory, os.path.basename(path)),
                "options": ["bind", "rprivate", "ro" if options.read_only else "rw"],
            }
        )
    return found


def _covers(target: str, *places: str) -> bool:
    above = os.path.normpath(target)
    return any(place == above or place.startswith(f"{above}/") for place in places)


def _place(rootfs: str, path: str) -> str | None:
    """Return what a path comes to in a root, links followed as inside; it need not be there.

    None where no file could be: a directory is there, or links go round, or to the kernel's places.
    """
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    resolved = None
    try:
        resolved = _resolve(root, path)
        if resolved is None or resolved.split("/")[1] in _KERNEL_PLACES:
            return None
        found = _find(root, resolved)
    except FileNotFoundError:
        return resolved
    except OSError:
        return None
    finally:
        os.close(root)
    try:
        return resolved if stat.S_ISREG(os.fstat(found).st_mode) else None
    finally:
        os.close(found)


def _find(root: int, path: str) -> int:
    from runtime.init import paths  # noqa: PLC0415 - most clients make no container

    return paths.find(root, path, strict=True)


def _resolve(root: int, path: str) -> str | None:
    """Follow the links of a path, also one that leads to nothing yet; None if they are too many."""
    done: list[str] = []
    ahead = path.split("/")[::-1]
    links = 0
    while ahead:
        name = ahead.pop()
        if name == "..":
            del done[-1:]
        if name in {"", ".", ".."}:
            continue
        link = _link(root, "/".join(done), name)
        if link is None:
            done.append(name)
            continue
        links += 1
        if links > _LINKS:
            return None
        if link.startswith("/"):
            done.clear()
        ahead.extend(link.split("/")[::-1])
    return "/" + "/".join(done)


def _link(root: int, directory: str, name: str) -> str | None:
    """Return where a link leads; None if there is something else, or nothing."""
    try:
        parent = _find(root, directory)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            return None
        return os.readlink(name, dir_fd=parent)
    except FileNotFoundError:
        return None
    finally:
        os.close(parent)


def write(options: ContainerOptions, spec: Mapping[str, Any], *, directory: str) -> None:
    """Write the files, owned by the container's root."""
    mappings = bundle.section(dict(spec), "linux").get("uidMappings") or [{"hostID": 0}]
    owner = mappings[0]["hostID"]
    hostname: str = spec["hostname"]
    texts = {
        "hosts": hosts(options, hostname),
        "hostname": f"{hostname}\n".encode(),
        "resolv.conf": resolv_conf(options, _of_host("/etc/resolv.conf")),
    }
    for name, data in texts.items():
        with open(os.path.join(directory, name), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            if owner:
                os.fchown(file.fileno(), owner, owner)
            file.write(data)


def hosts(options: ContainerOptions, hostname: str) -> bytes:
    """Return hosts(5): the host's own in its network, otherwise what is on the loopback interface."""
    if options.network == "host":
        return _of_host("/etc/hosts")
    return f"{_HOSTS}127.0.0.1\t{hostname}\n".encode()


def resolv_conf(options: ContainerOptions, of_host: bytes) -> bytes:
    """Return resolv.conf(5): the host's; name servers on its loopback are in its network alone."""
    if options.network == "host":
        return of_host
    return b"".join(each for each in of_host.splitlines(keepends=True) if not _is_local(each))


def _is_local(line: bytes) -> bool:
    words = line.split()
    return (
        words[:1] == [b"nameserver"] and words[1:2] != [] and words[1].startswith((b"127.", b"::1"))
    )


def _of_host(path: str) -> bytes:
    """Return a file of the host; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return b""


def without(changes: Iterable[Change], *, spec_path: str, upperdir: str) -> tuple[Change, ...]:
    """Leave out of a container's changes the empty files that such mounts are upon.

    And the directories that are in the writable layer only for them.
    """
    try:
        entries: list[dict[str, Any]] = bundle.read_json(spec_path).get("mounts") or []
    except RuntimeFailure:
        return tuple(changes)
    directory = os.path.dirname(spec_path)
    ours = {
        each["destination"]
        for each in entries
        if os.path.dirname(each.get("source", "")) == directory
    }
    kept, left, above = list[Change](), list[str](), set[str]()
    # Backwards what is in a directory comes before the directory.
    for change in sorted(changes, key=lambda each: each.path, reverse=True):
        if change.path in ours and change.kind == "A" and _is_empty(upperdir + change.path):
            left.append(change.path)
        elif change.path in above or not any(each.startswith(f"{change.path}/") for each in left):
            kept.append(change)
            above.update(_parents(change.path))
    return tuple(reversed(kept))


def _parents(path: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != "/":
        yield path


def _is_empty(path: str) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and not found.st_size
