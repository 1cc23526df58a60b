"""/proc/PID/cgroup (cgroups(7)): which cgroup of each hierarchy a process is in."""

from msgspec import Struct

from runtime.errors import FormatError
from runtime.formats import text


class CgroupEntry(Struct, frozen=True, gc=False):
    """One line of /proc/PID/cgroup; version 2's has hierarchy 0 and no controllers."""

    hierarchy: int
    controllers: tuple[str, ...]
    """As `("cpu", "cpuacct")` or `("name=systemd",)`."""
    path: str
    """As the reader's cgroup namespace shows it: `/..` begins one outside of it. A zombie's may end
    in ` (deleted)`, for its cgroup can be gone."""


def parse(data: bytes) -> tuple[CgroupEntry, ...]:
    """Return the entries in the file's order; a name cannot hold a line end, but a colon it can."""
    entries: list[CgroupEntry] = []
    for line in data.split(b"\n"):
        if not line:
            continue
        fields = line.split(b":", 2)
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].startswith(b"/"):
            raise FormatError(f"not a line of a process's cgroup file: {line[:80]!r}")
        controllers = text.decode(fields[1])
        entries.append(
            CgroupEntry(
                hierarchy=_number(fields[0]),
                controllers=tuple(controllers.split(",")) if controllers else (),
                path=text.decode(fields[2]),
            )
        )
    return tuple(entries)


def _number(field: bytes) -> int:
    if len(field) > 10:
        raise FormatError(f"not a hierarchy's number: {field[:80]!r}")
    return int(field)
