"""What containerd is to a shim: its bundles, its calls, who takes its events."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

from runtime.oci import build, host
from runtime.proto import task
from runtime.proto.wellknown import Any, Empty
from runtime.ttrpc.client import TtrpcClient
from runtime.types import ContainerOptions

V2, V3 = task.SERVICES
CODE = "import sys; sys.path.append(sys.argv.pop(1)); from runtime.shim.start import main; main()"


class Bundle:
    """A bundle as containerd makes one, and the calls that containerd does."""

    def __init__(self, place, library, name="one", *, command=("/bin/sleep", "1000"), change=None):
        self.id = f"{os.path.basename(place)}-{name}"
        self.path = f"{place}/task/default/{self.id}"
        self.root = f"{place}/fs"
        self.library = library
        self.address = f"{place}/c.sock"
        os.makedirs(f"{self.path}/rootfs")
        os.makedirs(f"{self.root}/bin", exist_ok=True)
        if not os.path.exists(f"{self.root}/bin/sh"):
            shutil.copy("/bin/busybox", f"{self.root}/bin/busybox")
            for applet in ("sh", "sleep", "cat", "true", "seq"):
                os.link(f"{self.root}/bin/busybox", f"{self.root}/bin/{applet}")
        options = ContainerOptions(rootfs=self.root, command=command)
        spec = build.build(options, container_id="0" * 12, host=host.read())
        spec["linux"]["cgroupsPath"] = f"/cinspect/{self.id}"
        if change:
            change(spec)
        with open(f"{self.path}/config.json", "w") as file:
            json.dump(spec, file)

    def call(self, *arguments, check=True):
        line = [sys.executable, "-I", "-S", "-c", CODE, self.library, "-namespace", "default"]
        done = subprocess.run(
            [*line, "-address", self.address, "-id", self.id, *arguments],
            cwd=self.path,
            capture_output=True,
            check=False,
            timeout=30,
            env={**os.environ, "TTRPC_ADDRESS": f"{self.address}.ttrpc"},
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self):
        return self.call("start").stdout.decode()

    async def connect(self, address=None):
        return Task(await TtrpcClient.connect(address or self.start()), self)


class Task:
    """The Task service by names of methods."""

    def __init__(self, client, made, service=V2):
        self.client, self.bundle, self.service = client, made, service

    async def __call__(self, method, request=None, response=Empty, **more):
        request = request or task.ProcessRequest(id=self.bundle.id)
        data = await self.client.call(
            self.service, method, request.encode(), **{"timeout_seconds": 20, **more}
        )
        return response.decode(data)

    async def create(self, **more):
        request = task.CreateTaskRequest(
            id=self.bundle.id,
            bundle=self.bundle.path,
            rootfs=[task.Mount(type="bind", source=self.bundle.root, options=["rbind", "rw"])],
            **more,
        )
        return (await self("Create", request, task.PidResponse)).pid

    async def run(self, **more):
        pid = await self.create(**more)
        await self("Start")
        return pid

    async def exec(self, exec_id, *command):
        process = {
            "args": list(command),
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "env": ["PATH=/bin"],
        }
        spec = Any(value=json.dumps(process).encode())
        await self("Exec", task.ExecProcessRequest(id=self.bundle.id, exec_id=exec_id, spec=spec))

    def of(self, exec_id):
        return task.ProcessRequest(id=self.bundle.id, exec_id=exec_id)

    async def kill(self, number=9, exec_id="", **more):
        await self(
            "Kill", task.KillRequest(id=self.bundle.id, exec_id=exec_id, signal=number, **more)
        )


async def until(condition):
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def sleeps(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def workers(pid):
    """Return the shim's own processes beside the one that stays, not those of its containers."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(each) for each in file.read().split()]
    return [
        each
        for each in children
        if comm(each) == "containerd-shim" and pid_namespace(each) == pid_namespace(pid)
    ]


def pid_namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
