"""Containers of a shim in a class of service, in a directory laid out as the resctrl filesystem is."""

import os
import signal
import sysconfig

import pytest

from runtime.cgroups import resctrl
from runtime.proto import task
from runtime.shim import bundle
from tests import requirements
from tests.runtime.cgroups.test_resctrl import KERNEL, RDT, SCHEMATA, root
from tests.runtime.shim import contract
from tests.runtime.shim.contract import Bundle
from tests.runtime.shim.test_keeper import rested, taken_down

__all__ = ["root"]

pytestmark = [pytest.mark.root, pytest.mark.timeout(90)]


@pytest.fixture
def classed(place, library, root, monkeypatch):
    """Return a function that makes a bundle with a class; what the kernel does there is done for it."""
    program = f"""
import sys
sys.path.append({sysconfig.get_path("purelib")!r})
{KERNEL}
make = resctrl._make
def made(directory):
    make(directory)
    laid.lay_out(directory)
resctrl._make = made
resctrl.mountpoint = lambda: {str(root)!r}
remove = resctrl.tree.remove_one
resctrl.tree.remove_one = lambda path: shutil.rmtree(path) if path.startswith({str(root)!r}) else remove(path)
"""
    monkeypatch.setattr(contract, "CODE", program + contract.CODE.replace("import sys; ", ""))

    def make(wanted, name="one"):
        return Bundle(
            place, library, name, change=lambda spec: spec["linux"].update(intelRdt=wanted)
        )

    return make


async def test_an_init_and_an_exec_of_a_later_worker_are_in_the_class(classed, root, daemon):
    one = await classed(RDT).connect()
    await one.run()
    shim = await rested(one)
    tasks = (root / "gold/tasks", root / f"gold/mon_groups/{one.bundle.id}/tasks")
    assert (root / "gold/schemata").read_text().startswith("L3:0=f\nMB:1=50\n")
    for each in tasks:
        assert each.read_text() == "0"
        each.write_text("")
    await one.exec("more", "/bin/true")
    await one("Start", one.of("more"))
    await one("Wait", one.of("more"), task.WaitResponse)
    assert [each.read_text() for each in tasks] == ["0", "0"]
    tasks[0].write_text("")
    await one.kill()
    await one("Wait", None, task.WaitResponse)
    await taken_down(one, shim)
    assert not (root / "gold").exists()


async def test_a_class_that_was_there_stays(classed, root, daemon):
    (root / "gold").mkdir()
    (root / "gold/tasks").write_text("")
    (root / "gold/schemata").write_text(SCHEMATA)
    one = await classed({"closID": "gold"}).connect()
    await one.run()
    shim = bundle.Shim.load(one.bundle.path).pid
    assert (root / "gold/tasks").read_text() == "0"
    await one.kill()
    await one("Wait", None, task.WaitResponse)
    await taken_down(one, shim)
    assert (root / "gold").is_dir()


async def test_a_class_goes_though_the_shim_was_killed(classed, root, daemon):
    one = await classed({"closID": "gold", "l3CacheSchema": "L3:0=f"}).connect()
    await one.run()
    await one.client.close()
    os.kill(bundle.Shim.load(one.bundle.path).pid, signal.SIGKILL)
    (root / "gold/tasks").write_text("")
    one.bundle.call("-bundle", one.bundle.path, "delete")
    assert not (root / "gold").exists()


async def test_what_cannot_be_is_refused_before_anything_is_made(classed, root, daemon):
    one = await classed({"closID": "gold"}).connect()
    with pytest.raises(Exception, match=r"linux\.intelRdt\.closID: there is no"):
        await one.create()
    await one("Shutdown", task.ShutdownRequest(id=one.bundle.id))
    await one.client.close()


async def test_without_the_filesystem_it_is_refused_by_name(place, library, daemon):
    if resctrl.mountpoint() is not None:
        requirements.absent_here("this host has the resctrl filesystem")
    made = Bundle(place, library, change=lambda spec: spec["linux"].update(intelRdt=RDT))
    one = await made.connect()
    with pytest.raises(Exception, match=r"linux\.intelRdt: no resctrl filesystem is mounted"):
        await one.create()
    await one("Shutdown", task.ShutdownRequest(id=made.id))
    await one.client.close()
