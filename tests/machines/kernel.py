"""Fetches Debian's kernel for the QEMU lane and makes of it what QEMU starts quickest.

    python tests/machines/kernel.py

It leaves, below `build/machine/` of the checkout, `vmlinux` (the kernel as an ELF file, which needs no
unpacking under emulation), `initrd` (busybox and the modules that lead to the host's root) and
`modules/`. What is there already of the newest package is kept.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = HERE.parent.parent / "build" / "machine"
PACKAGE: Final = "linux-image-amd64"
FIRST_MODULES: Final = ("virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "overlay", "ext4")
APPLETS: Final = ("sh", "mount", "insmod", "switch_root", "sleep", "cat", "poweroff")
_PACKERS: Final = (
    (b"\xfd7zX", ("xz", "-dc", "--single-stream")),
    (b"\x1f\x8b\x08\x00", ("gzip", "-dc")),
)
"""By the first bytes of the payload (Documentation/x86/boot.rst, payload_offset)."""


def make() -> Path:
    """Return the directory with all of it, made now if it is not there yet."""
    release = _release()
    done = BUILD / "release"
    if done.exists() and done.read_text() == release:
        return BUILD
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="cinspect-kernel-") as scratch:
        package = unpacked(Path(scratch), f"linux-image-{release}")
        (BUILD / "vmlinux").write_bytes(elf((package / f"boot/vmlinuz-{release}").read_bytes()))
        shutil.copytree(package / f"lib/modules/{release}", BUILD / "modules", symlinks=True)
        _run("depmod", "-b", package, release)
        _initrd(package, release, Path(scratch, "initrd"))
        for index in (package / f"lib/modules/{release}").glob("modules.*"):
            shutil.copy(index, BUILD / "modules" / index.name)
    done.write_text(release)
    return BUILD


def elf(image: bytes) -> bytes:
    """Return the ELF file within a bzImage; raise `ValueError` for anything else."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    for magic, command in _PACKERS:
        if payload.startswith(magic):
            # What follows the stream is its length: the packer complains of that, and has all.
            kernel = subprocess.run(
                command,
                check=False,
                input=payload,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ).stdout
            if kernel.startswith(b"\x7fELF"):
                return kernel
    raise ValueError(f"no kernel in the image: its payload begins with {payload[:4].hex()}")


def _release() -> str:
    """Return the release that the package stands for now, as 6.1.0-56-amd64."""
    words = _run("apt-cache", "depends", PACKAGE).split()
    images = [word for word in words if word.startswith("linux-image-") and word != PACKAGE]
    if not images:
        raise FileNotFoundError(f"apt knows no {PACKAGE}: run apt-get update")
    return images[0].removeprefix("linux-image-")


def unpacked(scratch: Path, package: str) -> Path:
    """Fetch a package; return the directory in `scratch` with what is in it, beside others'."""
    # apt's own user fetches: it must be able to write there.
    fetched, unpacked = scratch / "fetched", scratch / "unpacked"
    fetched.mkdir(exist_ok=True)
    os.chmod(scratch, 0o755)
    os.chmod(fetched, 0o777)
    _run("apt-get", "download", "-q", package, directory=fetched)
    (archive,) = fetched.glob(f"{package}_*.deb")
    _run("dpkg-deb", "-x", archive, unpacked)
    return unpacked


def _initrd(package: Path, release: str, tree: Path) -> None:
    for name in ("bin", "proc", "sys", "dev", "root", "modules"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("no busybox: install busybox-static")
    shutil.copy(busybox, tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    order: dict[str, None] = {}
    for module in FIRST_MODULES:
        shown = _run("modprobe", "-d", package, "-S", release, "--show-depends", module)
        for line in shown.splitlines():
            verb, path = line.split()[:2]
            if verb == "insmod":
                order[path] = None
    for path in order:
        shutil.copy(path, tree / "modules")
    (tree / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    shutil.copy(HERE / "guest/initrd.sh", tree / "init")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with (BUILD / "initrd").open("wb") as archive:
        subprocess.run(
            ("cpio", "-o", "-H", "newc", "--quiet"),
            check=True,
            input=names.encode(),
            stdout=archive,
            cwd=tree,
        )


def _run(*words: str | Path, directory: Path | None = None) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{make()}\n")
