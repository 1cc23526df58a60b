"""Reads cgroups again: only what can have changed since the frame before."""

from msgspec import structs

from collectors.cgroupfs import v1, v2
from collectors.cgroupfs.group import MEMBERS, Known, pulse_files
from collectors.cgroupfs.records import Activity, Cgroup
from collectors.errors import CollectError, Gone, Missing, Problems
from collectors.kept import Kept
from collectors.root import Root

TURN = 10
"""Frames after which a cgroup is read again in which nothing seems to have happened."""
RULES = 20
"""Frames after which its limits are read again where no write to them was seen."""
WARM = 40
"""Frames after which a cgroup in which no process ran any more is believed to be at rest: what it has
written has reached its devices by then (vm.dirty_expire_centisecs)."""
REST = 100
"""Frames after which one at rest is read again in full."""
_GROWING = frozenset(
    {
        "memory.current",
        "memory.usage_in_bytes",
        "io.stat",
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    }
)
"""Those that the kernel changes also while no process of the cgroup runs: it writes back, and takes away."""


class Again:
    """Reads cgroups of before in one frame, and says of each when it is to be visited next.

    Of each cgroup only its pulse is read (`PULSES`). The counters are read where that changed or
    where pressure has not decayed, else every `TURN`th frame; limits where one was written, else
    every `RULES`th frame.

    Where it is known in which cgroups processes ran, of one in which none did only that is read
    which grows nevertheless, and after `WARM` frames that too every `TURN`th frame only, the counters
    every `REST`th; its pressure, as long as there is any, as fast as it falls (`v2.FALLING`). One that
    has others below it keeps its turn: of them it counts also those that are removed, and dying.
    Where processes tell as many members as it had, they are counted in their turn alone: the
    kernel makes a list of them, and that of a host's root is long.
    """

    def __init__(self, root: Root, kept: Kept) -> None:
        self._root = root
        self._kept = kept
        self._frame = 0
        self._activity: Activity | None = None

    def begin(self, frame: int, activity: Activity | None) -> None:
        """Begin a frame."""
        self._frame, self._activity = frame, activity

    def read(self, known: Known, before: Cgroup, problems: Problems) -> Cgroup:
        """Return a cgroup's record: the one of before where nothing happened in it."""
        group, frame = known.group, self._frame
        same, stirred = self._happened(known, before)
        quiet = same and not stirred
        if not quiet and self._activity is not None:
            known.stirred = frame
        rested = quiet and frame - known.stirred > WARM
        alone = rested and known.watch >= 0 and not group.memory.children
        known.period = _period(known, quiet=quiet, rested=rested, alone=alone)
        rules = known.touched or self._turn(known, 2 * REST if alone else RULES)
        counted = not rules and not self._turn(known, REST if alone else TURN)
        due = not counted or not known.pulse or (stirred and not same)
        due = due or (known.falling > 0 and not quiet)
        if rested and not due and not self._turn(known, TURN):
            return self._eased(known, before, problems)
        counted = counted and same and bool(known.pulse)
        pulse = self._pulse(known, quiet=quiet and not due, counted=counted)
        if not due and pulse == known.pulse:
            return self._eased(known, before, problems)
        group.again(problems, self._kept, everything=rules)
        group.memory.bytes = dict(zip(known.files, pulse, strict=True)) if pulse else {}
        group.memory.members = before.processes if counted else None
        record = (v2.read if group.hierarchy.version == 2 else v1.read)(group)
        group.memory.bytes, group.memory.members = {}, None
        known.pulse, known.touched, known.reread = pulse, False, True
        known.falling = v2.falling(record)
        return before if before == record else record

    def _happened(self, known: Known, before: Cgroup) -> tuple[bool, bool]:
        """Return whether as many processes are in it as it said, and whether any ran, came or went.

        Where that is not known neither is so. Another number is that of threads of other ones, or
        of hidden ones: then nothing is known either.
        """
        if self._activity is None or known.name is None:
            return False, False
        same = self._activity.members(known.name) == before.processes
        return same, known.name in self._activity.stirred

    def _eased(self, known: Known, record: Cgroup, problems: Problems) -> Cgroup:
        """Return a record of before, with pressure as it is now where its fall is due to be read."""
        if not known.falling or not self._turn(known, known.falling):
            return record
        known.group.again(problems, self._kept, everything=False)
        eased = structs.replace(record, pressure=v2.fallen(known.group, record))
        if eased == record:
            return record
        known.falling = v2.falling(eased)
        return eased

    def _pulse(self, known: Known, *, quiet: bool, counted: bool) -> tuple[bytes, ...]:
        """Return what tells that something happened; empty where it could not be read."""
        memory = known.group.memory
        if not known.pulses:
            files = pulse_files(memory.files)
            if files != known.files:
                known.files, known.pulse, quiet, counted = files, (), False, False
            known.pulses = [memory.handle(file) for file in files]
        said: list[bytes] = []
        try:
            for at, (file, handle) in enumerate(zip(known.files, known.pulses, strict=True)):
                if (quiet and file not in _GROWING) or (counted and file == MEMBERS):
                    said.append(known.pulse[at])
                elif file == MEMBERS:
                    said.append(self._root.told(handle.name))
                else:
                    said.append(self._kept.read(handle))
        except (Missing, Gone):
            known.group.check_alive()
            return ()
        except CollectError:
            return ()  # the whole reading tells
        return tuple(said)

    def _turn(self, known: Known, frames: int) -> bool:
        return (self._frame + known.group.inode) % frames == 0


def _period(known: Known, *, quiet: bool, rested: bool, alone: bool) -> int:
    """Return in every how many frames it is to be visited while nothing is heard of it."""
    if not quiet or known.watch < 0:
        return 1
    if not _GROWING.isdisjoint(known.files):
        return TURN if rested else 1
    return REST if alone else TURN
