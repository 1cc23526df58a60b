"""Containers in their cgroups: all of their processes are held, stopped, counted and removed."""

import pytest

from tests import requirements

pytestmark = pytest.mark.root
MEBIBYTE = 1 << 20


def lacks(result: dict) -> None:
    """Skip where this kind of host has no such controller."""
    message = result.get("message", "")
    if "not available on this host" in message or "cannot be enabled" in message:
        requirements.absent_here(message)


def test_all_processes_are_killed_and_counted(play):
    script = "for i in 1 2 3 4; do sleep 100 & done; echo up; wait"
    process = {"args": ["/bin/sh", "-c", script]}
    result = play(
        ["create"],
        ["start"],
        ["until", "up"],
        ["pids"],
        ["kill", 9],
        ["finish"],
        ["pids"],
        process=process,
    )
    assert result["pids"] == [5, 0]
    assert result["init"]["status"] == 137


def test_a_process_that_forks_all_the_time_is_killed(play):
    script = "echo up; while :; do (sleep 0.01 &) ; done"
    process = {"args": ["/bin/sh", "-c", script]}
    result = play(
        ["create"], ["start"], ["until", "up"], ["kill", 9], ["finish"], ["delete"], process=process
    )
    assert result["init"]["status"] == 137
    assert result["delete"][0]["exists"] is False


def test_a_frozen_container_is_removed_with_its_processes(play):
    process = {"args": ["sleep", "100"]}
    result = play(
        ["create"], ["start"], ["freeze"], ["kill", 9], ["finish"], ["delete"], process=process
    )
    assert result["init"]["status"] == 137
    assert result["delete"][0] == {"value": None, "exists": False}


def test_cgroups_that_the_container_made_are_removed_too(play):
    result = play(["create"], ["start"], ["make_cgroup_below"], ["finish"], ["delete"])
    assert result["delete"][0] == {"value": None, "exists": False}


def test_a_signal_reaches_every_process(play):
    script = "(trap 'echo child; exit' TERM; echo up; while :; do sleep 0.05; done) & trap 'wait; exit 3' TERM; wait"
    process = {"args": ["/bin/sh", "-c", script]}
    result = play(["create"], ["start"], ["until", "up"], ["kill", 15], ["finish"], process=process)
    assert "child" in result["init"]["output"]


def test_running_out_of_memory_is_noticed(play):
    code = "import os\nx = bytearray(200 << 20)\nos.write(1, b'survived')"
    result = play(
        ["watch_memory"],
        ["create"],
        ["start"],
        ["out_of_memory"],
        ["finish"],
        ["stats"],
        process={"args": ["/usr/bin/python3", "-c", code]},
        linux={"resources": {"memory": {"limit": 32 * MEBIBYTE, "swap": 32 * MEBIBYTE}}},
    )
    lacks(result)
    assert result["out_of_memory"] == [True]
    assert result["init"]["status"] == 137
    assert result["stats"][0]["memory"]["oom_kills"] >= 1
    assert result["stats"][0]["memory"]["peak_bytes"] <= 32 * MEBIBYTE


def test_the_pids_limit_holds(play):
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all"
    result = play(
        process={"args": ["/bin/sh", "-c", script]},
        linux={"resources": {"pids": {"limit": 5}}},
    )
    lacks(result)
    assert "all" not in result["init"]["output"]


def test_cpu_time_is_accounted_and_throttled(play):
    script = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done"
    result = play(
        ["create"],
        ["start"],
        ["finish"],
        ["stats"],
        process={"args": ["/bin/sh", "-c", script]},
        # So little that a single turn of the scheduler's is more, also where many want their own.
        linux={"resources": {"cpu": {"quota": 1000, "period": 10000}}},
    )
    lacks(result)
    cpu = result["stats"][0]["cpu"]
    assert cpu["usage_usec"] > 10_000
    assert cpu["throttled_periods"] >= 1
    assert cpu["throttled_usec"] >= 0


def test_the_kill_of_a_container_that_is_gone_is_nothing(play):
    result = play(["create"], ["start"], ["finish"], ["kill", 9], ["delete"], ["kill", 9])
    assert "error" not in result
