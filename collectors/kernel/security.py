"""Reads each foreign mount namespace's LSM label: /proc/PID/attr/current."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems, Unsupported
from collectors.formats import ns_link
from collectors.members import Members
from collectors.root import Root
from runtime.errors import FormatError
from runtime.formats import text

_TURN: Final = 10
"""Walks after which a label is read again though its process did not run: a module's rules are replaced."""


class Label(Struct, frozen=True):
    """The label of the oldest process of a mount namespace."""

    namespace: int
    pid: int
    lsm: str | None
    """`None`: no LSM labels processes here."""


class SecurityReading(Struct, frozen=True):
    """Labels by mount namespace, the host's own left out."""

    labels: tuple[Label, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("security", SecurityReading)


def read(root: Root, who: Members | None = None) -> SecurityReading:
    """Read one label for each mount namespace that is not the reader's own, or else pid 1's."""
    return Reader(who).read(root)


class _Known(NamedTuple):
    """A namespace's processes, and the label of the oldest, which was read in a walk."""

    pids: Sequence[int]
    walk: int
    label: Label


class Reader:
    """Reads again and again: a process gets another label by running, or in its turn is looked at."""

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._known: dict[int, _Known] = {}

    def read(self, root: Root) -> SecurityReading:
        """Return the labels, as `read` does."""
        by_namespace, denied = self._who.of(root, "mnt")
        problems = Problems()
        for problem in denied:
            problems.add(problem)
        own = _own(root)
        found: dict[int, _Known] = {}
        for namespace, pids in sorted(by_namespace.items()):
            known = self._one(root, namespace, pids, problems) if namespace != own else None
            if known is not None:
                found[namespace] = known
        self._known = found
        return SecurityReading(tuple([one.label for one in found.values()]), problems.all())

    def _one(
        self, root: Root, namespace: int, pids: Sequence[int], problems: Problems
    ) -> _Known | None:
        known, walk = self._known.get(namespace), self._who.walk
        if (
            known is not None
            and known.pids == pids
            and (walk + known.label.pid) % _TURN
            and self._who.rested(known.label.pid, known.walk)
        ):
            return known
        oldest = _oldest(root, pids, self._who, problems)
        label = _label(root, namespace, oldest, problems) if oldest is not None else None
        return _Known(pids, walk, label) if label is not None else None


def _oldest(root: Root, pids: Sequence[int], who: Members, problems: Problems) -> int | None:
    """Return which of them started first; None when all of them went away."""
    oldest: tuple[int, int] | None = None
    for pid in pids:
        try:
            born = (who.started(root, pid), pid)
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
        except FormatError as error:
            problems.malformed(f"/proc/{pid}/stat", error)
        else:
            oldest = born if oldest is None else min(oldest, born)
    return oldest[1] if oldest else None


def _own(root: Root) -> int | None:
    for process in ("self", "1"):
        try:
            return ns_link.parse(root.link(f"proc/{process}/ns/mnt"))[1]
        except (CollectError, FormatError):
            continue
    return None


def _label(root: Root, namespace: int, pid: int, problems: Problems) -> Label | None:
    """Return the label; None when the process went away or may not be looked at."""
    try:
        data = root.read(f"proc/{pid}/attr/current")
    except (Missing, Gone):
        return None
    except Unsupported:  # no module that labels processes answers
        return Label(namespace, pid, None)
    except CollectError as error:
        problems.failed(error)
        return None
    # SELinux ends it with a zero byte, AppArmor with a line end.
    return Label(namespace, pid, text.decode(data.rstrip(b"\0\n")) or None)
