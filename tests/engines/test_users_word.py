"""A user's own daemon says of somebody else's container what it likes: nobody believes it."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command
from tests.engines import seen
from tests.inspector.cli_engine.conftest import first_process

pytestmark = pytest.mark.root

USER = 65534
DAEMON = """
import json, os, socketserver, sys, time
from http.server import BaseHTTPRequestHandler
path, uid, identifier, pid, other = sys.argv[1:]
now = time.time()
os.setuid(int(uid))
STATE = {"Status": "running", "Pid": int(pid)}
SAID = {
    "/version": {"Version": "20.10.24", "Components": [{"Name": "Engine"}]},
    "/info": {"CgroupDriver": "cgroupfs"},
    "/containers/json": [{"Id": identifier, "Names": ["/evil"], "Image": "evil", "ImageID": "",
                          "State": "running"}],
    f"/containers/{identifier}/json": {"Id": identifier, "State": STATE},
}
TOLD = "".join(
    json.dumps({"Type": "container", "Action": action, "Actor": {"ID": about, "Attributes": {}},
                "time": int(now), "timeNano": int(now * 1e9) + at}) + "\\n"
    for at, (action, about) in enumerate([("die", other), ("pause", identifier)])
) if other else ""
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path = self.path.partition("?")[0]
        body = TOLD.encode() if path == "/events" else json.dumps(SAID[path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return "-"
    def log_message(self, *_): pass
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
server = Server(path, Handler)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def victim() -> Iterator[int]:
    """Return the pid of a container of root's, which no engine made."""
    words = ("unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "sleep", "1000")
    with subprocess.Popen(words) as process:
        try:
            yield first_process(process.pid)
        finally:
            process.kill()


@contextlib.contextmanager
def daemon(pid: int, *, uid: int, telling_of: str = "") -> Iterator[str]:
    """Serve Docker's API as a user; yield the socket's address.

    It tells that a container died, and that its own was paused.
    """
    with tempfile.TemporaryDirectory(prefix="cinspect-word-", dir="/var/tmp") as directory:
        os.chown(directory, uid, uid)
        path = Path(directory, "d.sock")
        words = (sys.executable, "-c", DAEMON, str(path), str(uid), "e" * 64, str(pid), telling_of)
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                yield f"unix://{path}"
            finally:
                process.kill()


@pytest.mark.parametrize("uid", [USER, 0])
def test_only_roots_engine_names_what_root_runs(victim: int, uid: int) -> None:
    with daemon(victim, uid=uid) as address:
        found = seen.containers({"DOCKER_HOST": address})
    named = next(one for one in found if one["name"] == "evil")
    (real,) = [one for one in found if victim in one["pids"]]
    if uid == 0:
        assert real == named
        assert real["engine"] == "docker"
    else:
        assert (real["engine"], real["image"]) == (None, None)
        assert (named["pid"], named["pids"]) == (None, [])
    assert named["said_by"] == (None if uid == 0 else USER)


@pytest.mark.parametrize("uid", [USER, 0])
def test_only_roots_engine_tells_what_happens_to_what_root_runs(victim: int, uid: int) -> None:
    with daemon(victim, uid=uid, telling_of=f"unshare-{victim}") as address:
        environment = {**seen.HIDDEN, "DOCKER_HOST": address}
        dumped = command.dump("dump", "--section", "events", environment=environment)
    told = {one["topic"]: one["container"] for one in dumped["events"] if "docker" in one["source"]}
    died, paused = told["/container/die"], told["/container/pause"]
    assert paused == "e" * 64
    if uid != 0:
        assert died is None


def test_a_user_names_what_runs_in_a_namespace_of_the_users(victim: int) -> None:
    words = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
    drop = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    with subprocess.Popen((*drop, *words, "sleep", "1000")) as process:
        try:
            pid = first_process(process.pid)
            with daemon(pid, uid=USER) as address:
                found = seen.containers({"DOCKER_HOST": address})
        finally:
            process.kill()
    (mine,) = [one for one in found if pid in one["pids"]]
    assert (mine["name"], mine["engine"]) == ("evil", "docker")
    assert [one["engine"] for one in found if victim in one["pids"]] == [None]
