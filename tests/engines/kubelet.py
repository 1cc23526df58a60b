"""Does to a container runtime what kubelet does: makes pods over the CRI, with no tool but gRPC."""

import contextlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase

from tests.engines import daemons

PAUSE: Final = "localhost/cinspect-pause:1"
"""Both the pod's sandbox and what runs in it: a busybox as every other here."""
_HOST_NETWORK: Final = 2
"""`NamespaceMode.NODE`: so there is no need of a network plugin."""
_RUNNING: Final = 1
"""`ContainerState.CONTAINER_RUNNING`."""
Fields = Mapping[int, object]


@dataclass(frozen=True)
class Kubelet:
    """Makes and removes pods on a runtime."""

    address: str
    parent: str
    """The cgroup that pods are put below."""
    handler: str = ""
    """Which of the runtimes of the configuration makes them; the default one where empty."""

    async def run_pod(self, name: str, *, namespace: str, uid: str) -> str:
        """Return the id of a new pod's sandbox."""
        pod = self._pod(name, namespace, uid)
        answer = await self._call("RunPodSandbox", {1: pod, 2: self.handler})
        return _first_text(answer)

    async def run_container(
        self, sandbox: str, name: str, command: Sequence[str], *, memory_bytes: int = 0
    ) -> str:
        """Return the id of a new running container in a pod, with a limit of memory if one is given."""
        config = {1: {1: name}, 2: {1: PAUSE}, 3: list(command), 9: _labels({"tier": "front"})}
        if memory_bytes:
            config[15] = {1: {4: memory_bytes}}
        answer = await self._call(
            "CreateContainer", {1: sandbox, 2: config, 3: self._pod("pod", "space", "uid")}
        )
        container = _first_text(answer)
        await self._call("StartContainer", {1: container})
        return container

    async def stop_container(self, container: str) -> None:
        """Kill a container at once."""
        await self._call("StopContainer", {1: container})

    async def limit_memory(self, container: str, memory_bytes: int) -> None:
        """Change the limit of a running container's memory."""
        await self._call("UpdateContainerResources", {1: container, 2: {4: memory_bytes}})

    async def execute(self, container: str, command: Sequence[str]) -> tuple[int, bytes]:
        """Run one more process to its end; return its exit status and what it wrote."""
        answer = decode(await self._call("ExecSync", {1: container, 2: list(command), 3: 20}))
        return answer.get(3, [0])[0], answer.get(1, [b""])[0]

    async def words_of(self, container: str) -> Any:
        """Return what the runtime says of a container: its status with `info`, and its statistics."""
        said = await self.status_of(container)
        if said["status"].get(3) != [_RUNNING]:
            return said
        stats = decode(await self._call("ContainerStats", {1: container}))
        return {**said, "stats": decode(stats[1][0])}

    async def status_of(self, container: str) -> Any:
        """Return what the runtime says of a container without asking a shim for statistics."""
        status = decode(await self._call("ContainerStatus", {1: container, 2: 1}))
        info = dict(entry(each) for each in status[2])
        return {"status": decode(status[1][0]), "info": json.loads(info["info"])}

    async def remove_pod(self, sandbox: str) -> None:
        """Stop a pod with all that is in it, and forget it."""
        await self._call("StopPodSandbox", {1: sandbox})
        await self._call("RemovePodSandbox", {1: sandbox})

    def _pod(self, name: str, namespace: str, uid: str) -> Fields:
        context = {1: {1: _HOST_NETWORK}}
        return {1: {1: name, 2: uid, 3: namespace}, 8: {1: self.parent, 2: context}}

    async def _call(self, method: str, request: Fields) -> bytes:
        channel = Channel(path=self.address, codec=_Plain())
        try:
            call = UnaryUnaryMethod[bytes, bytes](
                channel, f"/runtime.v1.RuntimeService/{method}", bytes, bytes
            )
            return await call(encode(request), timeout=30)
        finally:
            channel.close()


@contextlib.contextmanager
def containerd(
    scratch: Path, rootfs_tar: Path, *, runtimes: str = "", path: str = os.environ["PATH"]
) -> Iterator[daemons.Engine]:
    """Run a containerd with its CRI plugin; yield `ctr` in Kubernetes's namespace.

    `runtimes` are more lines of its configuration; it looks for shims in `path`.
    """
    directory = Path(tempfile.mkdtemp(prefix="cri", dir=scratch))
    directory.chmod(0o755)
    address = str(directory / "c.sock")
    configuration = directory / "containerd.toml"
    configuration.write_text(
        f"""
        version = 2
        root = "{directory}/root"
        state = "{directory}/state"
        disabled_plugins = ["io.containerd.internal.v1.opt"]
        [grpc]
        address = "{address}"
        [plugins."io.containerd.grpc.v1.cri"]
        sandbox_image = "{PAUSE}"
        restrict_oom_score_adj = true
        stream_server_port = "0"
        [plugins."io.containerd.grpc.v1.cri".cni]
        conf_dir = "{directory}/cni"
        {runtimes}
        """
    )
    ctr = daemons.Engine(
        ("ctr", "--address", address, "--namespace", "k8s.io"),
        {"CONTAINERD_ADDRESS": address, "CONTAINER_RUNTIME_ENDPOINT": f"unix://{address}"},
        address,
        directory,
    )
    image = docker_archive(rootfs_tar, PAUSE, directory / "image.tar")
    with daemons.daemon(
        ("env", f"PATH={path}", "containerd", "--config", str(configuration)),
        directory,
        lambda: ctr("version"),
    ):
        ctr("images", "import", str(image))
        yield ctr


def docker_archive(layer: Path, name: str, path: Path) -> Path:
    """Write an image of one layer as `docker save` does; its command does nothing, for long."""
    digest = sha256(layer.read_bytes()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sleep", "100000"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    named = f"{sha256(config).hexdigest()}.json"
    manifest = [{"Config": named, "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for member, data in ((named, config), ("manifest.json", json.dumps(manifest).encode())):
            information = tarfile.TarInfo(member)
            information.size = len(data)
            tar.addfile(information, BytesIO(data))
        tar.add(layer, "layer.tar")
    return path


def encode(fields: Fields) -> bytes:
    """Return a protobuf message: by field number a number, a text, a message, or a list of these."""
    parts: list[bytes] = []
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:  # pyright: ignore[reportUnknownVariableType] - a list of what the docstring says
            if isinstance(one, int):
                parts.append(_varint(number << 3) + _varint(one))
                continue
            body = encode(one) if isinstance(one, Mapping) else str(one).encode()  # pyright: ignore[reportUnknownArgumentType] - as above
            parts.append(_varint(number << 3 | 2) + _varint(len(body)) + body)
    return b"".join(parts)


def decode(message: bytes) -> dict[int, list[Any]]:
    """Return a message's fields by number, each as often as it is there: numbers, or bytes.

    So nothing is taken from the descriptors that the product reads the same answers by.
    """
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        value: int | bytes
        if key & 7 == 0:
            value, at = _number(message, at)
        else:
            size, at = _number(message, at)
            value, at = message[at : at + size], at + size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _number(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def entry(message: bytes) -> tuple[str, str]:
    """Return an entry of a map of texts."""
    fields = decode(message)
    return fields[1][0].decode(), fields[2][0].decode()


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _labels(labels: Mapping[str, str]) -> list[Fields]:
    return [{1: key, 2: value} for key, value in labels.items()]


def _first_text(answer: bytes) -> str:
    """Return field 1 of an answer that has no other: an id."""
    assert answer[0] == 1 << 3 | 2
    return answer[2:].decode("ascii")


class _Plain(CodecBase):
    """Messages are bytes already."""

    @property
    def __content_subtype__(self) -> str:
        return "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data
