"""Makes real overlays for tests: mounted, written through, and left as they are."""

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collectors.overlay.records import Overlay


@dataclass(frozen=True)
class Layers:
    """Directories of one overlay; lowers uppermost first."""

    base: Path
    lowers: tuple[Path, ...]
    upper: Path
    work: Path
    merged: Path

    def overlay(self, *options: str) -> Overlay:
        """Say what a collector would say of it."""
        return Overlay(
            namespace=1,
            device="0:1",
            lowerdirs=tuple(map(str, self.lowers)),
            upperdir=str(self.upper),
            workdir=str(self.work),
            merged=str(self.merged),
            options=options,
        )

    def option(self, *more: str) -> str:
        """Return the mount's `-o`."""
        lowers = ":".join(map(str, self.lowers))
        return ",".join(
            (f"lowerdir={lowers}", f"upperdir={self.upper}", f"workdir={self.work}", *more)
        )

    @contextmanager
    def mounted(self, *options: str):
        """Mount it while the block runs."""
        mount = ["mount", "-t", "overlay", "overlay", "-o", self.option(*options), self.merged]
        subprocess.run(mount, check=True)
        try:
            yield self.merged
        finally:
            subprocess.run(["umount", self.merged], check=True)


def make(base: Path, lowers: int = 1) -> Layers:
    """Make the directories."""
    layers = Layers(
        base,
        tuple(base / f"lower{index}" for index in range(lowers)),
        base / "upper",
        base / "work",
        base / "merged",
    )
    for directory in (*layers.lowers, layers.upper, layers.work, layers.merged):
        directory.mkdir(parents=True)
    return layers


@contextmanager
def container(layers: Layers, *options: str):
    """Run a process whose mount namespace has the overlay as its root; yield its pid."""
    busybox = layers.lowers[-1] / "bin" / "busybox"
    busybox.parent.mkdir(exist_ok=True)
    busybox.write_bytes(Path("/bin/busybox").read_bytes())
    busybox.chmod(0o755)
    script = (
        'mount -t overlay overlay -o "$1" "$2" && cd "$2" && pivot_root . . && /bin/busybox umount -l . && '
        "exec /bin/busybox sh -c 'echo ready; read line'"
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", layers.option(*options), layers.merged],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()
