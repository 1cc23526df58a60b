"""Classes of service, in a directory laid out as the resctrl filesystem is: few machines have that."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups import resctrl
from runtime.errors import FailedPrecondition, InvalidArgument
from tests.runtime.command.conftest import NOTHING, SOURCE, Runtime, runtime

__all__ = ["runtime"]

SCHEMATA = "    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n"
INFO = {
    "last_cmd_status": "ok\n",
    "L3/cbm_mask": "7ff\n",
    "L3/min_cbm_bits": "1\n",
    "L3/num_closids": "16\n",
    "MB/bandwidth_gran": "10\n",
    "MB/delay_linear": "1\n",
    "MB/min_bandwidth": "10\n",
    "MB/num_closids": "8\n",
    "L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n",
}


def lay_out(directory: str) -> None:
    """Do what the kernel does when a group is made: its files are there at once."""
    path = Path(directory)
    for name in ("mon_groups", "mon_data/mon_L3_00", "mon_data/mon_L3_01"):
        (path / name).mkdir(parents=True)
    (path / "tasks").write_text("")
    (path / "schemata").write_text(SCHEMATA)
    for number in (0, 1):
        counted = path / f"mon_data/mon_L3_0{number}"
        (counted / "llc_occupancy").write_text(f"{4096 + number}\n")
        (counted / "mbm_total_bytes").write_text("5000\n")
        (counted / "mbm_local_bytes").write_text("Unavailable\n")


KERNEL = f"""
import shutil, sys
sys.path.insert(0, {SOURCE!r})
from tests.runtime.cgroups import test_resctrl as laid
from runtime.cgroups import resctrl
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of such a tree, which `resctrl` finds in place of a mounted one."""
    path = tmp_path / "resctrl"
    path.mkdir()
    lay_out(str(path))
    for name, text in INFO.items():
        (path / "info" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "info" / name).write_text(text)
    monkeypatch.setattr(resctrl, "mountpoint", lambda: str(path))
    return path


def group(root: Path, name: str) -> Path:
    """Make a group as somebody else would have."""
    (root / name).mkdir()
    lay_out(str(root / name))
    return root / name


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        ({}, ()),
        ({"l3CacheSchema": "L3:0=ff;1=f"}, ("L3:0=ff;1=f",)),
        ({"l3CacheSchema": "L3:0=f\nMB:0=20", "memBwSchema": "MB:0=70"}, ("L3:0=f", "MB:0=70")),
        ({"l3CacheSchema": "L3:0=f", "schemata": ["L2:0=f", "L3:1=1"]}, ("L3:0=f", "L2:0=f", "L3:1=1")),
    ],
)  # fmt: skip
def test_schemas_are_put_together_as_the_specification_says(wanted, lines):
    assert resctrl.schemata(wanted) == lines


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"memBwSchema": "L3:0=f"}, r"linux\.intelRdt\.memBwSchema"),
        ({"memBwSchema": "MB:0=10\nL3:0=f"}, r"linux\.intelRdt\.memBwSchema"),
        ({"memBwSchema": "MB:0=ff"}, r"linux\.intelRdt\.memBwSchema"),
        ({"l3CacheSchema": "rose"}, r"linux\.intelRdt\.l3CacheSchema"),
        ({"schemata": ["L3:0=x"]}, r"linux\.intelRdt\.schemata"),
        ({"schemata": ["L3:0=1\nMB:0=1"]}, r"linux\.intelRdt\.schemata"),
        *(({"closID": name}, r"linux\.intelRdt\.closID") for name in ("..", "a/b", "info", "mon_data", "a\nb")),
    ],
)  # fmt: skip
def test_what_is_no_class_is_named(root, wanted, named):
    with pytest.raises(InvalidArgument, match=named):
        resctrl.plan(wanted, "one")


@given(st.text(max_size=30))
def test_any_line_is_a_schema_or_none(text):
    try:
        resource, values = resctrl.parsed(text)
    except ValueError:
        return
    assert resource.isalnum()
    assert values


def test_without_the_filesystem_it_is_refused(monkeypatch):
    monkeypatch.setattr(resctrl, "mountpoint", lambda: None)
    with pytest.raises(FailedPrecondition, match=r"linux\.intelRdt: no resctrl"):
        resctrl.plan({"closID": "gold"}, "one")


def test_the_filesystem_is_found_by_its_type_alone():
    mounted = {line.split()[-3] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    assert (resctrl.mountpoint() is None) == ("resctrl" not in mounted)


def test_a_class_that_is_not_there_is_made_if_it_has_a_schema(root):
    with pytest.raises(FailedPrecondition, match=r"linux\.intelRdt\.closID: there is no"):
        resctrl.plan({"closID": "gold"}, "one")
    planned = resctrl.plan({"closID": "gold", "l3CacheSchema": "L3:0=f"}, "one")
    assert planned == resctrl.Group(f"{root}/gold", "", made=True)
    assert not (root / "gold").exists()


def test_without_a_name_the_class_is_the_container_s(root):
    assert resctrl.plan({}, "one") == resctrl.Group(f"{root}/one", "", made=True)
    group(root, "one")
    with pytest.raises(FailedPrecondition, match="is there already"):
        resctrl.plan({}, "one")


def test_a_class_that_is_there_must_have_the_same_schema(root):
    group(root, "gold")
    same = {"closID": "gold", "l3CacheSchema": "L3:1=07FF", "memBwSchema": "MB:0=100"}
    assert resctrl.plan(same, "one") == resctrl.Group(f"{root}/gold")
    assert resctrl.plan({"closID": "gold"}, "one") == resctrl.Group(f"{root}/gold")
    for other in ({"l3CacheSchema": "L3:0=7fe"}, {"memBwSchema": "MB:2=100"}, {"schemata": ["L2:0=f"]}):  # fmt: skip
        with pytest.raises(FailedPrecondition, match=r"linux\.intelRdt\.closID: .* not "):
            resctrl.plan({"closID": "gold", **other}, "one")


@pytest.mark.parametrize("key", ["enableCMT", "enableMBM", "enableMonitoring"])
def test_what_is_not_counted_here_is_refused(root, key):
    group(root, "gold")
    counting = resctrl.plan({"closID": "gold", key: True}, "one")
    assert counting.monitor == f"{root}/gold/mon_groups/one"
    (root / "info/L3_MON/mon_features").unlink()
    with pytest.raises(FailedPrecondition, match=rf"linux\.intelRdt\.{key}: "):
        resctrl.plan({"closID": "gold", key: True}, "one")


def test_a_line_that_the_kernel_refuses_is_told_in_its_words(root):
    (root / "info/last_cmd_status").write_text("mask f00 has non-consecutive 1-bits\n")
    (root / "schemata").unlink()
    (root / "schemata").mkdir()
    with pytest.raises(InvalidArgument, match=r"L3:0=f0f: mask f00 has"):
        resctrl.Group(str(root)).change({"l3CacheSchema": "L3:0=f0f"})


def test_a_class_that_cannot_be_made_whole_is_not_left(root, monkeypatch):
    monkeypatch.setattr(resctrl.tree, "remove_one", lambda path: __import__("shutil").rmtree(path))
    planned = resctrl.plan({"closID": "gold", "l3CacheSchema": "L3:0=f"}, "one")
    (root / "gold").mkdir()  # somebody else is quicker
    with pytest.raises(FailedPrecondition, match="is there already"):
        planned.create({"l3CacheSchema": "L3:0=f"})
    assert (root / "gold").exists()


@pytest.fixture
def runtime_on(runtime: Runtime, root: Path) -> Runtime:
    """Return the command line on that tree; what the kernel does with a directory is done for it."""
    program = f"""{KERNEL}
make = resctrl._make
def made(directory):
    make(directory)
    laid.lay_out(directory)
resctrl._make = made
resctrl.mountpoint = lambda: {str(root)!r}
remove = resctrl.tree.remove_one
resctrl.tree.remove_one = lambda path: shutil.rmtree(path) if path.startswith({str(root)!r}) else remove(path)
from runtime.command.main import main
main()
"""
    return replace(runtime, command=(sys.executable, "-c", program))


RDT = {"closID": "gold", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:1=50", "enableCMT": True}


@pytest.mark.root
@pytest.mark.timeout(120)
def test_a_container_is_in_its_class_and_so_is_one_more_process(runtime_on, root):
    runtime_on.running("one", linux={"intelRdt": RDT})
    assert (root / "gold/schemata").read_text().startswith("L3:0=f\nMB:1=50\n")
    assert (root / "gold/tasks").read_text() == "0"
    assert (root / "gold/mon_groups/one/tasks").read_text() == "0"
    for tasks in (root / "gold/tasks", root / "gold/mon_groups/one/tasks"):
        tasks.write_text("")
    runtime_on("exec", "one", "true")
    assert (root / "gold/tasks").read_text() == "0"
    assert (root / "gold/mon_groups/one/tasks").read_text() == "0"
    assert (root / "tasks").read_text() == ""


@pytest.mark.root
@pytest.mark.timeout(120)
def test_a_class_goes_with_its_container_unless_others_are_in_it(runtime_on, root):
    runtime_on.running("one", linux={"intelRdt": RDT})
    runtime_on("delete", "--force", "one")
    assert (root / "gold").is_dir()  # its tasks say that somebody is there
    assert not (root / "gold/mon_groups/one").exists()
    (root / "gold/tasks").write_text("")
    (root / "gold/schemata").write_text(SCHEMATA)
    same = {"closID": "gold", "l3CacheSchema": "L3:0=7ff"}
    runtime_on.running("two", linux={"intelRdt": same})
    (root / "gold/tasks").write_text("")
    runtime_on("delete", "--force", "two")
    assert (root / "gold").is_dir()  # it was there before
    runtime_on.running("three", linux={"intelRdt": {}})
    (root / "three/tasks").write_text("")
    runtime_on("delete", "--force", "three")
    assert not (root / "three").exists()
    assert runtime_on.left() == NOTHING


@pytest.mark.root
@pytest.mark.timeout(120)
def test_a_container_that_cannot_be_made_leaves_no_class(runtime_on, root):
    hooks = {
        "prestart": [{"path": "/bin/sh", "args": ["sh", "-c", f": > {root}/gold/tasks; exit 1"]}]
    }
    bundle = runtime_on.bundle("true", hooks=hooks, linux={"intelRdt": RDT})
    done = runtime_on("run", "--bundle", bundle, "one", check=False)
    assert "hooks.prestart[0]" in done.stderr
    assert not (root / "gold").exists()
    assert runtime_on.left() == NOTHING


@pytest.mark.root
@pytest.mark.timeout(120)
def test_its_schemas_change_and_its_counters_are_told(runtime_on, root):
    runtime_on.running("one", linux={"intelRdt": RDT})
    (root / "gold/schemata").write_text("    L3:0=f;1=7ff\n    MB:0=100;1=50\n")
    told = json.loads(runtime_on("events", "--stats", "one").stdout)["data"]["intel_rdt"]
    assert told == {
        "l3_cache_info": {"cbm_mask": "7ff", "min_cbm_bits": 1, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=7ff;1=7ff",
        "l3_cache_schema": "L3:0=f;1=7ff",
        "mem_bw_info": {
            "bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8,
        },
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=100;1=50",
        "mbm_stats": [{"mbm_total_bytes": 5000}] * 2,
        "cmt_stats": [{"llc_occupancy": 4096}, {"llc_occupancy": 4097}],
    }  # fmt: skip
    runtime_on("update", "--mem-bw-schema", "MB:0=30", "one")
    assert (root / "gold/schemata").read_text().startswith("MB:0=30\n")
    wrong = runtime_on("update", "--mem-bw-schema", "L3:0=f", "one", check=False)
    assert "linux.intelRdt.memBwSchema" in wrong.stderr


@pytest.mark.root
def test_one_in_no_class_has_no_schema_to_change(runtime):
    runtime.running("one")
    done = runtime("update", "--l3-cache-schema", "L3:0=f", "one", check=False)
    assert "linux.intelRdt: the container is in no class of service" in done.stderr
