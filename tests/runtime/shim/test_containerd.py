"""A real containerd runs its containers with our shim."""

import contextlib
import hashlib
import io
import json
import os
import pty
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from runtime.shim import bundle
from tests import requirements
from tests.live import host

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(120)]

IMAGE = "docker.io/library/cinspect-shim-test:1"
SHIM = """#!/bin/sh
exec {python} -I -S -c 'import sys; sys.path.append("{library}"); from runtime.shim.start import main; main()' "$@"
"""


def make_image(path):
    """Write an OCI archive with one layer: busybox."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "sleep", "cat", "true", "echo", "tty", "stty", "head", "tr"):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    blobs = {}

    def add(data):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    kind = "application/vnd.oci.image"
    rootfs = add(layer.getvalue())
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [rootfs["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json"} | add(json.dumps(config).encode()),
        "layers": [{"mediaType": f"{kind}.layer.v1.tar"} | rootfs],
    }
    described = {"mediaType": f"{kind}.manifest.v1+json"} | add(json.dumps(manifest).encode())
    described["annotations"] = {"io.containerd.image.name": IMAGE}
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    with tarfile.open(path, "w") as tar:
        for name, data in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


class Containerd:
    """A private containerd that finds our shim on its PATH."""

    def __init__(self, directory, library):
        self.directory = directory
        self.address = f"{directory}/c.sock"
        os.makedirs(f"{directory}/bin")
        with open(f"{directory}/bin/containerd-shim-cinspect-v1", "w") as file:
            file.write(SHIM.format(python=sys.executable, library=library))
        os.chmod(f"{directory}/bin/containerd-shim-cinspect-v1", 0o755)
        with open(f"{directory}/config.toml", "w") as file:
            file.write('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self.process = None

    def start(self):
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    "containerd",
                    *("--config", f"{self.directory}/config.toml"),
                    *("--root", f"{self.directory}/root", "--state", f"{self.directory}/state"),
                    *("--address", self.address),
                ],
                env={**os.environ, "PATH": f"{self.directory}/bin:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while self("version", check=False).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def command(self, *arguments):
        return ["ctr", "-a", self.address, *arguments]

    def __call__(self, *arguments, check=True, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        if "input" in more:
            del more["stdin"]
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **more,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def run(self, name, *command, flags=(), **more):
        return self(
            "run", "--runtime", "io.containerd.cinspect.v1", *flags, IMAGE, name, *command, **more
        )

    def bundle(self, name):
        return f"{self.directory}/state/io.containerd.runtime.v2.task/default/{name}"

    def tasks(self):
        lines = [line.split() for line in self("tasks", "ls").stdout.splitlines()[1:]]
        return {name: status for name, _, status in lines}

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def containerd(request):
    requirements.commands("containerd", "ctr", "busybox")
    directory = f"/tmp/cinspect-shim-{secrets.token_hex(4)}"
    os.mkdir(directory)
    engine = Containerd(directory, str(request.config.rootpath))
    make_image(f"{directory}/image.tar")
    engine.start()
    try:
        engine("images", "import", f"{directory}/image.tar")
        yield engine
        for name in engine("containers", "ls", "-q").stdout.split():
            engine("tasks", "rm", "-f", name, check=False)
            engine("containers", "rm", name, check=False)
    finally:
        engine.stop()
        with open("/proc/self/mountinfo") as file:
            mounted = [line.split()[4] for line in file if directory in line.split()[4]]
        for each in reversed(mounted):
            subprocess.run(["umount", "-l", each], check=False)
        shutil.rmtree(directory, ignore_errors=True)
    assert mounted == []


@pytest.fixture
def name(containerd):
    """A container's name; nothing of it may be left in the end."""
    host.require("cpu")  # ctr gives every container its shares
    one = f"t{secrets.token_hex(4)}"
    yield one
    containerd("tasks", "rm", "-f", one, check=False)
    containerd("containers", "rm", one, check=False)
    containerd.until(lambda: not os.path.exists(containerd.bundle(one)))
    for controller in ("memory", "freezer", "unified"):
        assert not os.path.exists(f"/sys/fs/cgroup/{controller}/default/{one}")
    with open("/proc/self/mountinfo") as file:
        assert one not in file.read()


def test_a_limit_that_this_host_cannot_keep_is_refused_by_name(containerd):
    done = containerd.run("limited", "true", flags=("--rm",), check=False)
    if "cpu" in host.controllers():
        assert done.returncode == 0, done.stderr
    else:
        words = "linux.resources.cpu: the cpu controller is not available on this host"
        assert words in done.stderr
    containerd("containers", "rm", "limited", check=False)
    assert not os.path.exists(containerd.bundle("limited"))


@pytest.mark.parametrize(
    ("command", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$ ; exit 3", 3)]
)
def test_a_command_runs_to_its_exit_code(containerd, name, command, code):
    done = containerd.run(
        name, "sh", "-c", f"echo out; echo err >&2; {command}", flags=("--rm",), check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", code)


def test_its_stdin_is_ours_to_the_end(containerd, name):
    line = containerd.command(
        "run", "--rm", "--runtime", "io.containerd.cinspect.v1", IMAGE, name, "cat"
    )
    text = b"typed\n" * 20000
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdin.write(text)
        client.stdin.flush()
        # ctr tells the end to a task that it knows of only; before, it forgets to
        containerd.until(lambda: containerd.tasks().get(name) == "RUNNING")
        time.sleep(0.2)
        assert client.communicate(timeout=30)[0] == text


def test_a_task_is_listed_paused_measured_and_killed(containerd, name):
    containerd.run(name, "sleep", "1000", flags=("-d", "--memory-limit", str(64 << 20)))
    assert containerd.tasks()[name] == "RUNNING"
    containerd("tasks", "pause", name)
    assert containerd.tasks()[name] == "PAUSED"
    containerd("tasks", "resume", name)
    metrics = json.loads(containerd("tasks", "metrics", "--format", "json", name).stdout)
    memory = metrics["memory"]
    limit = memory["usage_limit"] if host.UNIFIED else memory["usage"]["limit"]
    assert limit == 64 << 20
    assert metrics["pids"]["current"] == 1
    assert len(containerd("tasks", "ps", name).stdout.splitlines()) == 2
    containerd("tasks", "kill", "-s", "SIGKILL", name)
    containerd.until(lambda: containerd.tasks()[name] == "STOPPED")
    assert "code 137" in containerd("tasks", "rm", name).stderr


def test_execs_have_streams_and_codes_of_their_own(containerd, name):
    containerd.run(name, "sleep", "1000", flags=("-d",))
    done = containerd(
        "tasks", "exec", "--exec-id", "a", name, "sh", "-c", "echo x; exit 4", check=False
    )
    assert (done.stdout, done.returncode) == ("x\n", 4)
    done = containerd("tasks", "exec", "--exec-id", "b", name, "cat", input="typed")
    assert done.stdout == "typed"
    done = containerd("tasks", "exec", "--exec-id", "c", name, "/no/such", check=False)
    assert "not found" in done.stderr
    done = containerd("tasks", "exec", "--exec-id", "d", name, "true")
    assert done.returncode == 0


def test_a_terminal_is_one(containerd, name):
    containerd.run(name, "sleep", "1000", flags=("-d",))
    output = []

    def read(descriptor):
        data = os.read(descriptor, 1024)
        output.append(data)
        return data

    # ctr wants a terminal of its own
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            status = pty.spawn(
                containerd.command(
                    "tasks", "exec", "-t", "--exec-id", "t", name, "sh", "-c", "tty; exit 6"
                ),
                read,
            )
            with open(f"{containerd.directory}/terminal", "wb") as file:
                file.write(b"".join(output) + b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.waitpid(pid, 0)
    with open(f"{containerd.directory}/terminal", "rb") as file:
        assert file.read().replace(b"\r", b"") == b"/dev/pts/0\n6"  # two terminals add one each


def test_a_shim_that_is_killed_is_cleaned_up_after(containerd, name):
    containerd.run(name, "sleep", "1000", flags=("-d",))
    shim = bundle.Shim.load(containerd.bundle(name))
    state = bundle.State.load(f"{containerd.bundle(name)}/state.json")
    os.kill(shim.pid, signal.SIGKILL)
    containerd.until(lambda: name not in containerd.tasks())
    containerd.until(lambda: not state.alive())
    containerd.until(lambda: not os.path.exists(shim.address.removeprefix("unix://")))


def test_a_restarted_containerd_finds_its_tasks_again(containerd, name):
    containerd.run(name, "sleep", "1000", flags=("-d",))
    containerd.stop()
    containerd.start()
    assert containerd.tasks()[name] == "RUNNING"
    done = containerd("tasks", "exec", "--exec-id", "a", name, "echo", "still")
    assert done.stdout == "still\n"


def test_events_reach_its_subscribers_in_order(containerd, name):
    with subprocess.Popen(
        containerd.command("events"), stdout=subprocess.PIPE, text=True
    ) as follower:
        time.sleep(0.5)
        containerd.run(name, "true", flags=("--rm",))
        time.sleep(0.5)
        follower.terminate()
        lines = follower.communicate()[0].splitlines()
    topics = [line.split()[5] for line in lines if name in line]
    tasks = [topic for topic in topics if topic.startswith("/tasks/")]
    assert tasks == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]


def test_a_task_over_its_memory_is_told_of(containerd, name):
    with subprocess.Popen(
        containerd.command("events"), stdout=subprocess.PIPE, text=True
    ) as follower:
        time.sleep(0.5)
        limit = ("--rm", "--memory-limit", str(16 << 20))
        command = "x=$(head -c 200000000 /dev/zero | tr '\\0' x)"
        done = containerd.run(name, "sh", "-c", command, flags=limit, check=False)
        time.sleep(0.5)
        follower.terminate()
        lines = follower.communicate()[0].splitlines()
    assert done.returncode != 0
    topics = [line.split()[5] for line in lines if name in line]
    assert topics.index("/tasks/oom") < topics.index("/tasks/exit")
