"""Tells who made a container from its first process's parents: shims, monitors, sandbox tools."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from collectors.kernel.processes import Process
from inspector.discovery import naming

_DEPTH: Final = 4
"""A supervisor is the parent; with a wrapper or a forked stage in between, a little further up."""


class Supervisor(NamedTuple):
    """The process that owns a container, and what its command line tells of it."""

    pid: int
    tool: str
    engine: str | None
    shim: bool
    """Whether it stays to own the container, and not only made it."""
    version: str | None = None
    id: str | None = None
    name: str | None = None
    engine_namespace: str | None = None
    runtime: str | None = None
    address: str | None = None
    """Where it is spoken with, if its command line tells."""
    pod: str | None = None


_GVISOR: Final = "runsc-sandbox"
"""gVisor's kernel: a program of the host's in which all processes of a container run."""
_TOOLS: Final[Mapping[str, tuple[str | None, bool]]] = {
    "systemd-nspawn": ("systemd-nspawn", True),
    "lxc-start": ("lxc", True),
    "lxc-execute": ("lxc", True),
    "bwrap": ("bubblewrap", True),
    "flatpak-bwrap": ("bubblewrap", True),
    "firejail": ("firejail", True),
    "snap-confine": ("snap", False),
    "runc": ("runc", False),
    "crun": ("crun", False),
    "youki": ("youki", False),
    "buildkit-runc": ("buildkit", False),
    "buildkitd": ("buildkit", False),
    "buildah-oci-runtime": ("buildah", False),
    "buildah-chroot-exec": ("buildah", True),
    _GVISOR: ("gvisor", True),
    "apptainer": ("apptainer", True),
    "singularity": ("apptainer", True),
    "minijail0": ("minijail", True),
    "nsjail": ("nsjail", True),
    "unshare": (None, False),
}
HELPERS: Final = frozenset(
    {
        "aardvark-dns",
        "buildah",
        "buildah-chroot-runtime",
        "buildah-oci-runtime",
        "buildkitd",
        "catatonit",
        "conmon",
        "containerd",
        "dockerd",
        "fuse-overlayfs",
        "netavark",
        "pasta",
        "pasta.avx2",
        "podman",
        "podman pause",
        "rootlesskit",
        "rootlessport",
        "slirp4netns",
    }
)
"""What rootless engines run within a user and mount namespace of their own: no containers."""


def supervisor(
    processes: Mapping[int, Process], init: Process, group: Collection[int]
) -> Supervisor | None:
    """Return who made the container whose first process is `init`; None where nobody is known.

    The first process itself counts too: bubblewrap stays as process 1 of its sandbox.
    """
    itself = _tool(init)
    if itself is not None and itself.shim and itself.tool != _GVISOR:
        return _outermost(processes, init, itself)
    # What gVisor runs for an engine has that one's shim above it.
    return _above(processes, init, group) or (itself if itself and itself.shim else None)


def _above(
    processes: Mapping[int, Process], init: Process, group: Collection[int]
) -> Supervisor | None:
    pid = init.ppid
    for _ in range(_DEPTH):
        process = processes.get(pid)
        if process is None or process.pid == 1:
            return None
        found = _known(process)
        # A shim is outside of what it owns; a tool like unshare may have entered first itself.
        if found is not None and not (found.shim and pid in group):
            return _staying(processes, process, found) if found.shim else found
        pid = process.ppid
    return None


def is_helper(process: Process) -> bool:
    """Return whether it is an engine's own process, which may have namespaces of its own."""
    return process.comm in HELPERS or _program(process.command) in HELPERS


def is_tool(process: Process) -> bool:
    """Return whether it is a program that makes containers, as unshare and bubblewrap."""
    return _tool(process) is not None


def _outermost(processes: Mapping[int, Process], init: Process, inner: Supervisor) -> Supervisor:
    parent = processes.get(init.ppid)
    outer = _tool(parent) if parent is not None else None
    return outer if outer is not None and outer.tool == inner.tool else inner


def _staying(processes: Mapping[int, Process], process: Process, found: Supervisor) -> Supervisor:
    """Return a shim for a worker of it: a fork, which is there only while there is something to do."""
    parent = processes.get(process.ppid)
    outer = _known(parent) if parent is not None else None
    if outer is None or (outer.tool, outer.id) != (found.tool, found.id):
        return found
    return outer


def _known(process: Process) -> Supervisor | None:
    program = _program(process.command)
    shim = next((word for word in process.command[:6] if _is_shim(word)), None)
    if shim is not None or process.comm.startswith("containerd-shim"):
        return _containerd_shim(process, (shim or "").rpartition("/")[2])
    if program == "conmon" or process.comm == "conmon":
        return _conmon(process)
    if process.comm.startswith("[lxc monitor") or program.startswith("[lxc monitor"):
        # It renames itself to `[lxc monitor] PATH NAME`, all in one word.
        words = " ".join(process.command).split()
        named = words[-1] if len(words) > 3 else None
        return Supervisor(process.pid, "lxc monitor", "lxc", shim=True, id=named, name=named)
    return _tool(process)


def _tool(process: Process) -> Supervisor | None:
    for name in (process.comm, _program(process.command)):
        known = _TOOLS.get(name)
        if known is not None:
            engine, shim = known
            version = name if shim else None
            machine = _machine(process.command) if name == "systemd-nspawn" else None
            machine = _lxc_name(process.command) if engine == "lxc" else machine
            machine = _runsc_id(process.command) if engine == "gvisor" else machine
            return Supervisor(
                process.pid,
                name,
                engine,
                shim,
                version=version,
                id=machine,
                name=machine,
                runtime="runsc" if engine == "gvisor" else None,
            )
    return None


def _machine(command: Sequence[str]) -> str | None:
    """Return systemd-nspawn's `--machine`, or the last part of its directory or image, its default."""
    said = _option(command, "-M", "--machine")
    if said is not None:
        return said
    where = _option(command, "-D", "--directory") or _option(command, "-i", "--image")
    name = where.rstrip("/").rpartition("/")[2].removesuffix(".raw") if where else ""
    return name or None


def _lxc_name(command: Sequence[str]) -> str | None:
    return _option(command, "-n", "--name")


def _runsc_id(command: Sequence[str]) -> str | None:
    """Read `runsc-sandbox OPTIONS boot OPTIONS ID`; what is drawn at random is an engine's to tell."""
    said = command[-1] if "boot" in command[:-1] else None
    return None if said is None or naming.is_random(said) else said


def _is_shim(word: str) -> bool:
    return word.rpartition("/")[2].startswith("containerd-shim")


def _containerd_shim(process: Process, name: str) -> Supervisor:
    """Read `containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET`.

    The embedded engine's shim is a Python program, which has its name as its comm only.
    """
    namespace = _option(process.command, "-namespace", "--namespace")
    if not name:
        ours = any("runtime.shim" in word for word in process.command)
        name = "containerd-shim-cinspect-v1" if ours else process.comm
    # containerd-shim-runc-v2 is what containerd calls io.containerd.runc.v2.
    parts = name.removeprefix("containerd-shim").strip("-").split("-")
    version = f"io.containerd.{'.'.join(parts)}" if parts != [""] else name
    engine = {"moby": "docker"}.get(namespace or "", "containerd")
    if "cinspect" in parts and namespace not in {"moby", "k8s.io"}:
        engine = "cinspect"
    return Supervisor(
        process.pid,
        name,
        engine,
        shim=True,
        version=version,
        id=_option(process.command, "-id", "--id"),
        engine_namespace=namespace,
        runtime=version,
        address=_option(process.command, "-socket", "--socket"),
    )


def _conmon(process: Process) -> Supervisor:
    """Read conmon(8): `-c ID`, `-n NAME`, `-r RUNTIME`; its exit command names who started it."""
    words = " ".join(process.command)
    engine = "cri-o" if "/crio" in words and "podman" not in words else "podman"
    runtime = _option(process.command, "-r", "--runtime")
    name, pod = kubernetes_name(_option(process.command, "-n", "--name"))
    return Supervisor(
        process.pid,
        "conmon",
        engine,
        shim=True,
        version="conmon",
        id=_option(process.command, "-c", "--cid"),
        name=name,
        runtime=runtime.rpartition("/")[2] if runtime else None,
        pod=pod,
    )


def kubernetes_name(name: str | None) -> tuple[str | None, str | None]:
    """Return a container's own name, and its pod's with the namespace before it.

    What is made for kubelet is called `k8s_NAME_POD_NAMESPACE_UID_ATTEMPT` by CRI-O and by Docker;
    any other name is one already.
    """
    parts = name.split("_") if name else []
    if len(parts) < 6 or parts[0] != "k8s":
        return name, None
    return parts[1], f"{parts[3]}/{parts[2]}"


def _option(command: Sequence[str], *names: str) -> str | None:
    """Return the value behind an option, or joined to it by `=`."""
    for at, word in enumerate(command):
        if word in names:
            return command[at + 1] if at + 1 < len(command) else None
        head, equals, value = word.partition("=")
        if equals and head in names:
            return value
    return None


def _program(command: Sequence[str]) -> str:
    return command[0].rpartition("/")[2] if command else ""
