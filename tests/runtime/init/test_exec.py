"""One more process in a running container: the same namespaces, cgroups and limits of privilege."""

import pytest

from tests import requirements

pytestmark = pytest.mark.root
SLEEP = {"args": ["sleep", "100"]}


def executed(play, process: dict, **changes) -> dict:
    """Run one process in a container that sleeps, and return its output and status, or its error."""
    acts = (["create"], ["start"], ["execute", process], ["kill", 9], ["finish"])
    changes["process"] = SLEEP | changes.pop("process", {})
    return play(*acts, **changes)["execute"][0]


def script(text: str, **more) -> dict:
    return {"args": ["/bin/sh", "-c", text]} | more


def test_it_sees_the_container_s_processes_and_is_a_child_of_nobody_there(play):
    result = executed(play, script("cat /proc/1/comm; grep PPid /proc/self/status; echo $$"))
    assert result["status"] == 0
    assert result["output"].split()[0] == "sleep"
    assert "2" in result["output"].split()


def test_it_is_in_the_same_namespaces(play):
    kinds = ("mnt", "uts", "ipc", "net", "pid", "cgroup")
    files = " ".join(f"/proc/self/ns/{kind}" for kind in kinds)
    others = " ".join(f"/proc/1/ns/{kind}" for kind in kinds)
    result = executed(
        play, script(f"readlink {files} > /a; readlink {others} > /b; cmp /a /b && echo same")
    )
    assert result["output"] == "same\n"


def test_it_is_in_the_container_s_cgroups(play):
    result = executed(play, {"args": ["cat", "/proc/self/cgroup"]})
    assert {line.split(":", 2)[2] for line in result["output"].splitlines()} == {"/"}


def test_it_has_the_container_s_privileges(play):
    text = "grep -E 'CapPrm|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | cut -f2; hostname"
    rule = {"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    result = executed(play, script(text), linux={"seccomp": seccomp})
    assert result["output"].split() == ["00000000a80425fb", "00000000a80425fb", "1", "2", "arena"]


def test_it_can_be_another_user_elsewhere_with_another_environment(play):
    process = script(
        "id -u; pwd; echo $X",
        user={"username": "daemon"},
        cwd="/usr",
        env=["X=1", "PATH=/usr/bin:/bin"],
    )
    assert executed(play, process)["output"].split() == ["1", "/usr", "1"]


def test_its_terminal_is_the_container_s(play):
    process = script("tty; stty size", terminal=True, consoleSize={"height": 12, "width": 34})
    assert executed(play, process)["output"].split() == ["/dev/pts/0", "12", "34"]


def test_it_leaks_no_descriptor(play):
    assert executed(play, {"args": ["ls", "/proc/self/fd"]})["output"].split() == list("0123")


def test_its_exit_status_comes_through(play):
    assert executed(play, script("exit 9"))["status"] == 9


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["nosuch"], "CommandNotFound"),
        (["/etc"], "CommandNotExecutable"),
        (["/proc/self/exe"], "CommandNotExecutable"),
    ],
)
def test_a_command_that_cannot_run_is_named(play, args, kind):
    result = executed(play, {"args": args})
    assert result["error"] == kind
    assert args[0] in result["message"]


def test_a_working_directory_outside_is_refused(play):
    assert "error" in executed(play, {"args": ["true"], "cwd": "/proc/self/fd/5"})


def test_a_working_directory_that_is_not_there_is_not_made(play):
    result = executed(play, {"args": ["true"], "cwd": "/not/there"})
    assert "/not/there" in result["message"]


def test_a_frozen_container_refuses_it(play):
    acts = (["create"], ["start"], ["freeze"], ["execute", {"args": ["true"]}], ["thaw"])
    result = play(*acts, ["execute", {"args": ["true"]}], ["kill", 9], ["finish"], process=SLEEP)
    assert result["freeze"] == [True]
    assert result["thaw"] == [False]
    assert result["execute"][0]["error"] == "FailedPrecondition"
    assert "frozen" in result["execute"][0]["message"]
    assert result["execute"][1]["status"] == 0


def test_a_container_with_cgroups_of_its_own_below_takes_it_beside_its_init(play):
    process = {"args": ["cat", "/proc/self/cgroup"]}
    acts = (
        ["create"],
        ["start"],
        ["divide_second_version"],
        ["execute", process],
        ["kill", 9],
        ["finish"],
    )
    result = play(*acts, process=SLEEP)
    if not result["divide_second_version"][0]:
        requirements.absent_here("no controller of cgroup v2 can be enabled here")
    assert "0::/init.scope" in result["execute"][0]["output"].splitlines()


def test_a_container_that_has_ended_refuses_it(play):
    acts = (["create"], ["start"], ["kill", 9], ["finish"], ["execute", {"args": ["true"]}])
    assert "error" in play(*acts, process=SLEEP)["execute"][0]


def test_a_user_namespace_is_joined(play):
    ids = [{"containerID": 0, "hostID": 1_600_000_000, "size": 65536}]
    kinds = ("mount", "pid", "uts", "ipc", "network", "cgroup", "user")
    linux = {
        "namespaces": [{"type": each} for each in kinds],
        "uidMappings": ids,
        "gidMappings": ids,
    }
    process = script("id -u; cat /proc/self/uid_map; cat /proc/self/status | grep CapPrm")
    acts = (["create"], ["start"], ["execute", process], ["kill", 9], ["finish"])
    result = play(*acts, process=SLEEP, linux=linux)
    if "cannot map ids" in result.get("message", ""):
        requirements.absent_here(result["message"])
    words = result["execute"][0]["output"].split()
    assert words == ["0", "0", "1600000000", "65536", "CapPrm:", "00000000a80425fb"]
