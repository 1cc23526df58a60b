"""What a container's processes hold together, from canned readings and from a command's output."""

import msgspec

from collectors.kernel import tasks
from collectors.kernel.tasks import Figures, TasksReading
from inspector.derive import derive
from inspector.domains.tasks.model import Fullest, Tasks
from inspector.frame import SECTIONS
from tests.inspector.canned import A, Host, own


def derived(*figures: Figures) -> tuple[Tasks, ...]:
    host = Host()
    for pid, ppid, state in ((100, 1, "S"), (101, 100, "R"), (102, 100, "Z")):
        inside = [1] if pid == 100 else [pid]
        host.process(pid, ppid, "app", ns=own(1), inside=inside, state=state, cgroup=f"/docker/{A}")
    sample = host.sample(sections=(*SECTIONS, "tasks"))
    readings = {**sample.readings, tasks.KEY.name: TasksReading(figures)}
    found = derive(None, msgspec.structs.replace(sample, readings=readings)).tasks
    assert isinstance(found, tuple)
    return found


def holding(pid: int, descriptors: int | None, limit: int | None = 100) -> Figures:
    return Figures(
        pid=pid,
        descriptors=descriptors,
        sockets=1,
        run_usec=10,
        wait_usec=20,
        timeslices=30,
        open_files=(limit, None),
        processes=(None, None),
    )


def test_processes_are_added_up_and_a_zombie_is_no_gap():
    (said,) = derived(holding(100, 5), holding(101, 40, 50))
    assert said.container == A
    assert (said.processes, said.threads) == (3, 3)
    assert said.states == {"sleeping": 1, "running": 1, "zombie": 1}
    assert (said.descriptors, said.sockets) == (45, 2)
    assert (said.run_usec, said.wait_usec, said.timeslices) == (20, 40, 60)
    assert (said.open_files_limit, said.processes_limit) == (100, None)
    assert said.fullest == Fullest(101, 40, 50)


def test_a_process_that_could_not_be_read_makes_the_sum_unknown():
    (said,) = derived(holding(100, 5))
    assert (said.descriptors, said.run_usec) == (None, None)
    assert said.fullest == Fullest(100, 5, 100)


def test_the_section_is_there_only_where_it_was_named():
    assert derive(None, Host().sample()).tasks is msgspec.UNSET
