"""Hooks run in their order, in the right namespaces, with the state on stdin; failures abort."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.root
HOST_SIDE = ("prestart", "createRuntime", "poststart")


def hook(tmp_path: Path, kind: str, extra: str = "true") -> dict:
    """Return a hook that notes its kind, its host name and what it reads."""
    script = (
        f"{{ uname -n; cat; echo; }} > {tmp_path}/{kind}; echo {kind} >> {tmp_path}/order; {extra}"
    )
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}


def read(tmp_path: Path, kind: str) -> tuple[str, dict]:
    name, text = (tmp_path / kind).read_text().split("\n", 1)
    return name, json.loads(text)


def test_hooks_run_in_order_and_read_the_state(play, tmp_path):
    kinds = ("prestart", "createRuntime", "createContainer", "poststart")
    hooks = {kind: [hook(tmp_path, kind)] for kind in kinds}
    result = play(hooks=hooks, annotations={"a": "b"})
    assert "error" not in result, result
    assert (tmp_path / "order").read_text().split() == list(kinds)
    for kind, status in (
        ("prestart", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
    ):
        name, state = read(tmp_path, kind)
        assert state["status"] == status
        assert state["pid"] == result["create"][0]
        assert state["annotations"] == {"a": "b"}
        assert (name == "arena") == (kind not in HOST_SIDE)


def test_a_hook_in_the_container_runs_before_the_command(shell):
    hooks = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat > /told"]}]}
    state = json.loads(shell("cat /told", hooks=hooks))
    assert state["status"] == "created"
    assert state["pid"] > 1


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_ends_the_creation(play, tmp_path, kind):
    failing = hook(tmp_path, kind, "echo no luck >&2; exit 3")
    first = hook(tmp_path, "first")
    result = play(["create"], hooks={kind: [first, failing, hook(tmp_path, "second")]})
    assert result["error"] == "Internal"
    assert f"hooks.{kind}[1]: /bin/sh ended with 3: no luck" in result["message"]
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "second").exists()


def test_a_failure_after_the_start_ends_the_container(play, tmp_path):
    hooks = {"poststart": [hook(tmp_path, "poststart", "exit 3"), hook(tmp_path, "second")]}
    result = play(hooks=hooks, process={"args": ["sleep", "100"]})
    assert "ended with 3" in result["message"]
    assert not (tmp_path / "second").exists()


def test_a_hook_that_is_killed_is_told_of_with_the_signal(play, tmp_path):
    failing = hook(tmp_path, "prestart", "kill -9 $$")
    result = play(["create"], hooks={"prestart": [failing]})
    assert "hooks.prestart[0]: /bin/sh was killed by signal 9" in result["message"]


def test_a_hook_that_takes_too_long_is_killed(play):
    slow = {"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}
    result = play(["create"], hooks={"prestart": [slow]})
    assert result["error"] == "DeadlineExceeded"
    assert "hooks.prestart[0].timeout: /bin/sleep" in result["message"]


def test_a_hook_without_a_name_for_its_program_is_refused(play):
    nameless = {"path": "/bin/true", "args": [""]}
    result = play(["create"], hooks={"createContainer": [nameless]})
    assert "hooks.createContainer[0].args[0]: is empty" in result["message"]


@pytest.mark.parametrize("path", ["relative", "/no/such/hook"])
def test_a_hook_that_cannot_run_is_named(play, path):
    result = play(["create"], hooks={"createRuntime": [{"path": path}]})
    assert path in result["message"]
