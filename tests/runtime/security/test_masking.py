"""What is masked or read-only stays so, whatever the image or another container puts in its way."""

import os
import shutil
from pathlib import Path

import pytest

from tests.runtime.security.conftest import bare

pytestmark = pytest.mark.root
KNOB = "/proc/sys/kernel/domainname"
"""A harmless file that would be written to: of the container's own uts namespace."""
IN_DEV = ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")


def test_a_link_in_place_of_the_null_device_masks_nothing_writable(runtime):
    """CVE-2025-31133."""
    (runtime.directory / "rootfs/dev/null").symlink_to(KNOB)
    bundle = bare(runtime, "sh", "-c", "echo torn > /proc/keys; cat " + KNOB, without=IN_DEV)
    done = runtime("run", "-b", bundle, "one", check=False)
    assert done.returncode == 1
    assert "/dev/null" in done.stderr
    assert "torn" not in done.stdout


@pytest.mark.parametrize("pretender", ["link", "file", "zero"])
def test_a_null_device_swapped_in_a_shared_dev_masks_or_fails(runtime, race, pretender):
    shared = runtime.directory / "shared"
    shared.mkdir()
    os.mknod(shared / "null", 0o20666, os.makedev(1, 3))
    match pretender:
        case "link":
            (shared / "link").symlink_to(KNOB)
        case "file":
            (shared / "file").write_text("")
        case _:
            os.mknod(shared / "zero", 0o20666, os.makedev(1, 5))
    mount = {"destination": "/dev", "source": str(shared), "options": ["bind"]}
    script = f"echo torn > /proc/keys; cat {KNOB}; busybox head -c 9 /proc/keys"
    with race(shared / "null", shared / pretender):
        for number in range(20):
            bundle = bare(runtime, "sh", "-c", script, without=IN_DEV, **{"+mounts": [mount]})
            done = runtime("run", "-b", bundle, f"c{number}", check=False)
            assert "torn" not in done.stdout
            assert "\0" not in done.stdout


def test_a_masked_path_that_is_a_link_is_masked_where_it_leads_inside(runtime, host):
    (runtime.directory / "rootfs/secret").symlink_to(host / "file")
    (runtime.directory / "rootfs/etc/told").write_text("told")
    (runtime.directory / "rootfs/hidden").symlink_to("/etc/told")
    masked = {"maskedPaths": ["/secret", "/hidden", "/nowhere"]}
    assert runtime.sh("cat /etc/told; cat /proc/keys", linux=masked).startswith("told") is False


def test_masked_directories_are_empty_and_take_nothing(runtime):
    (runtime.directory / "rootfs/data/inner").mkdir()
    (runtime.directory / "rootfs/data/inner/secret").write_text("")
    masked = {"maskedPaths": ["/data/inner", "/data"]}
    script = "ls -A /data; touch /data/x 2> /dev/null || echo no"
    assert runtime.sh(script, linux=masked, root={"readonly": False}) == "no\n"


def test_read_only_paths_cannot_be_undone(runtime):
    capabilities = {
        kind: ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]
        for kind in ("bounding", "effective", "permitted")
    }
    script = "echo torn > /proc/sys/kernel/domainname; cat /proc/sys/kernel/domainname"
    said = runtime("run", "-b", runtime.bundle("sh", "-c", script), "one", check=False)
    assert "torn" not in said.stdout
    # With CAP_SYS_ADMIN a mount can be taken away: that is what the capability is for.
    freed = runtime.sh(
        f"/bin/busybox umount /proc/sys && {script}", process={"capabilities": capabilities}
    )
    assert "torn" in freed


@pytest.mark.parametrize("inside", [True, False])
def test_a_console_in_the_image_is_not_written_through(runtime, host, inside):
    """CVE-2025-52565: the terminal is bound by its descriptor, on a place that is no link."""
    target = KNOB if inside else str(host / "file")
    (runtime.directory / "rootfs/dev/console").symlink_to(target)
    (runtime.directory / "rootfs/dev/pts").mkdir()
    bundle = bare(
        runtime,
        "sh", "-c", "echo torn > /dev/console",
        without=("/dev", "/dev/shm", "/dev/mqueue"),
        process={"terminal": True},
    )  # fmt: skip
    done = runtime("run", "-b", bundle, "one", check=False)
    assert done.returncode == 1
    assert "/dev/console" in done.stderr


def test_a_console_swapped_for_a_link_is_not_written_through(runtime, host, race):
    shared = runtime.directory / "shared"
    (shared / "pts").mkdir(parents=True)
    (shared / "console").write_text("")
    (shared / "link").symlink_to(host / "file")
    mount = {"destination": "/dev", "source": str(shared), "options": ["bind"]}
    pts = {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}
    pts["options"] = ["newinstance", "ptmxmode=0666", "mode=0620"]
    with race(shared / "console", shared / "link"):
        for number in range(40):
            bundle = bare(
                runtime,
                "sh", "-c", "test -c /dev/console && echo torn > /dev/console",
                without=IN_DEV,
                process={"terminal": True},
                **{"+mounts": [mount, pts]},
            )  # fmt: skip
            runtime("run", "-b", bundle, f"c{number}", check=False)


def test_a_set_user_id_program_gains_nothing(runtime):
    program = runtime.directory / "rootfs/bin/setuid-cat"
    shutil.copy(shutil.which("cat") or "/bin/cat", program)
    program.chmod(0o4755)
    libraries = [
        {"destination": path, "source": path, "options": ["bind", "ro"]}
        for path in ("/lib", "/lib64", "/usr/lib")
        if Path(path).exists()
    ]
    for held, effective in ((True, "1000"), (False, "0")):
        process = {"noNewPrivileges": held, "user": {"uid": 1000, "gid": 1000}}
        bundle = runtime.bundle(
            "setuid-cat", "/proc/self/status", process=process, **{"+mounts": libraries}
        )
        status = runtime("run", "-b", bundle, "one").stdout
        (line,) = [each for each in status.splitlines() if each.startswith("Uid:")]
        assert line.split()[1:3] == ["1000", effective]


@pytest.mark.parametrize("database", ["passwd", "group"])
@pytest.mark.parametrize("kind", ["fifo", "sparse", "link"])
def test_a_hostile_user_database_is_neither_waited_for_nor_read_whole(runtime, database, kind):
    path = runtime.directory / "rootfs/etc" / database
    path.unlink(missing_ok=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "sparse":
            with path.open("wb") as file:
                file.truncate(10 << 30)
        case _:
            path.symlink_to("/dev/zero")
    bundle = runtime.bundle("true", process={"user": {"username": "rose"}})
    done = runtime("run", "-b", bundle, "one", check=False)
    assert done.returncode == 1
    assert f"/etc/{database}: is" in done.stderr
