"""Reads each foreign mount namespace's LSM label: /proc/PID/attr/current."""

from msgspec import Struct

from collectors import procfs
from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems, Unsupported
from collectors.formats import ns_link, pid_stat
from collectors.root import Root
from runtime.errors import FormatError
from runtime.formats import text


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


def read(root: Root) -> SecurityReading:
    """Read one label for each mount namespace that is not the reader's own, or else pid 1's."""
    problems = Problems()
    own = _own(root)
    oldest: dict[int, tuple[int, int]] = {}
    for pid, directory in procfs.opened(root, problems):
        try:
            namespace = ns_link.parse(directory.link("ns/mnt"))[1]
            if namespace == own:
                continue
            born = (pid_stat.start_ticks(directory.read("stat")), pid)
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
        except FormatError as error:
            problems.malformed(directory.path("stat"), error)
        else:
            oldest[namespace] = min(oldest.get(namespace, born), born)
    labels = (
        _label(root, namespace, pid, problems) for namespace, (_, pid) in sorted(oldest.items())
    )
    return SecurityReading(tuple(label for label in labels if label is not None), problems.all())


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
