"""A real browser: what it shuts in behind its zygote is a sandbox of its own, and no container."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests import command, requirements, traces
from tests.command import eventually

pytestmark = [pytest.mark.engine, pytest.mark.root]

OWN: Final = ("user", "pid", "net")
"""What its first sandbox layer unshares (Chromium's docs/linux/sandboxing.md)."""


@pytest.fixture
def browser(scratch: Path) -> Iterator[dict[int, str]]:
    """Return a browser's processes, by pid, each with the kind of its own that it says it is."""
    requirements.commands("chromium", "setpriv")
    profile = scratch / "profile"
    profile.mkdir(mode=0o700)
    os.chown(profile, 65534, 65534)
    scratch.chmod(0o755)
    words = (
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "chromium"),
        *("--headless=new", "--disable-gpu", "--no-first-run", "--disable-setuid-sandbox"),
        *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
    )
    environment = {**os.environ, "HOME": str(profile), "XDG_RUNTIME_DIR": str(profile)}
    with (
        (scratch / "chromium.log").open("wb") as log,
        subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield eventually(lambda: kinds(process.pid), seconds=60)
        finally:
            os.killpg(process.pid, 9)
    eventually(lambda: not traces.processes(str(profile)))


def kinds(session: int) -> dict[int, str] | None:
    """Return the processes of the browser of this session; None before it shows a page."""
    found: dict[int, str] = {}
    for pid, said in traces.processes("chromium").items():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == session:
                types = (word[7:] for word in said.split() if word.startswith("--type="))
                found[pid] = next(types, "browser")
    return found if {"zygote", "renderer"} <= set(found.values()) else None


def test_what_it_shuts_in_is_a_sandbox_and_the_rest_is_the_hosts(browser: dict[int, str]) -> None:
    frame = command.dump("dump", "--section", "containers", "--section", "processes")
    owners: dict[int, Any] = {one["pid"]: one["container"] for one in frame["processes"]}
    by_id = {one["id"]: one for one in frame["containers"]}
    shut_in = {pid: by_id[owners[pid]] for pid in browser if owners.get(pid) is not None}
    # The zygote that forks what is shut in, and a part of it for each page within that.
    zygotes = [one for pid, one in shut_in.items() if one["pid"] == pid and not one["parent"]]
    assert [browser[one["pid"]] for one in zygotes] == ["zygote"]
    (zygote,) = zygotes
    for one in shut_in.values():
        assert (one["role"], one["engine"], one["name"]) == ("sandbox", None, "sandbox of chromium")
        assert not set(OWN) & set(one["shared_with_host"])
        assert "mnt" in one["shared_with_host"]
        assert one["parent"] == (None if one is zygote else zygote["id"])
    for pid, kind in browser.items():
        if kind == "renderer":
            assert shut_in[pid]["parent"] == zygote["id"]
        if kind in {"browser", "gpu-process"}:
            assert owners[pid] is None
