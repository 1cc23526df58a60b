"""The layers collector against real overlays, made as engines make them."""

import os
import subprocess
from pathlib import Path

import pytest

from collectors.kernel import layers
from collectors.root import Root
from tests.collectors.overlay.made import container, make

pytestmark = pytest.mark.root


def namespace_of(pid):
    return int(os.readlink(f"/proc/{pid}/ns/mnt")[5:-1])


def of_namespace(reading, inode):
    (one,) = [overlay for overlay in reading.overlays if overlay.namespace == inode]
    return one


def test_a_containers_overlay_is_found_with_its_directories(tmp_path):
    made = make(tmp_path, lowers=2)
    with container(made) as pid:
        reading = layers.read(Root())
        one = of_namespace(reading, namespace_of(pid))
        assert one.lowerdirs == tuple(map(str, made.lowers))
        assert (one.upperdir, one.workdir) == (str(made.upper), str(made.work))
        assert one.merged is None
        assert "rw" in one.options
    assert one.device.startswith("0:")


def test_what_the_container_wrote_is_in_the_reading(tmp_path):
    made = make(tmp_path)
    with container(made) as pid:
        (Path(f"/proc/{pid}/root") / "new").write_text("x" * 5000)
        reading = layers.read(Root())
        (upper,) = [one for one in reading.uppers if one.upperdir == str(made.upper)]
        assert [(change.path, change.kind) for change in upper.changes] == [("/new", "added")]
        assert upper.complete


def test_a_walk_that_took_long_is_told_again_until_its_time_has_come(tmp_path, monkeypatch):
    made = make(tmp_path)

    def upper():
        (one,) = [one for one in reader.read(Root()).uppers if one.upperdir == str(made.upper)]
        return one

    with container(made) as pid:
        reader = layers.Reader()
        first = upper()
        (Path(f"/proc/{pid}/root") / "new").write_text("x" * 5000)
        monkeypatch.setattr(layers, "_REST", 1e9)
        assert upper() == first
        monkeypatch.setattr(layers, "_REST", 0)
        third = upper()
    assert [change.path for change in third.changes] == ["/new"]
    assert third.size_before_bytes == first.size_bytes < third.size_bytes
    assert third.walked_before_at == first.walked_at < third.walked_at


def test_an_overlay_that_is_gone_is_forgotten(tmp_path):
    made = make(tmp_path)
    reader = layers.Reader()
    with container(made):
        assert str(made.upper) in [one.upperdir for one in reader.read(Root()).uppers]
    assert str(made.upper) not in [one.upperdir for one in reader.read(Root()).uppers]


def test_the_host_sees_where_an_engine_merged_it(tmp_path):
    made = make(tmp_path)
    with made.mounted() as merged:
        # What runc does: the engine mounts, the runtime makes a bind mount of it its root.
        script = (
            'mount --bind "$1" "$1" && cd "$1" && pivot_root . . && /bin/busybox umount -l . && '
            "exec /bin/busybox sh -c 'echo ready; read line'"
        )
        busybox = merged / "busybox"
        busybox.write_bytes(Path("/bin/busybox").read_bytes())
        busybox.chmod(0o755)
        (merged / "bin").mkdir()
        busybox.rename(merged / "bin/busybox")
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", merged],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            try:
                assert process.stdout.readline() == b"ready\n"
                one = of_namespace(layers.read(Root()), namespace_of(process.pid))
            finally:
                process.kill()
    assert one.merged == str(merged)


def test_layers_named_from_a_directory_above_are_made_absolute(tmp_path):
    """Engines change to their own directory and name layers from there, through short links."""
    made = make(tmp_path / "overlay2" / "id", lowers=1)
    base = tmp_path / "overlay2"
    (base / "image" / "diff" / "bin").mkdir(parents=True)
    busybox = base / "image" / "diff" / "bin" / "busybox"
    busybox.write_bytes(Path("/bin/busybox").read_bytes())
    busybox.chmod(0o755)
    (base / "l").mkdir()
    (base / "l" / "ABC").symlink_to("../image/diff")
    script = (
        'cd "$1" && mount -t overlay overlay -o "$2" id/merged && cd id/merged && pivot_root . . '
        "&& /bin/busybox umount -l . && exec /bin/busybox sh -c 'echo ready; read line'"
    )
    option = f"lowerdir=l/ABC:id/lower0,upperdir={made.upper},workdir={made.work}"
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", base, option],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout.readline() == b"ready\n"
            one = of_namespace(layers.read(Root()), namespace_of(process.pid))
        finally:
            process.kill()
    assert one.lowerdirs == (str(base / "image" / "diff"), str(made.lowers[0]))


def test_layers_that_only_the_engines_own_namespace_sees_are_found_through_it(tmp_path):
    """An engine in a container: its layers are on a filesystem that the host has not mounted."""
    script = """
        mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir -p lower/bin upper work merged &&
        cp /bin/busybox lower/bin && ln -s "$1/lower" link &&
        mount -t overlay overlay -o "lowerdir=link,upperdir=$1/upper,workdir=$1/work" merged &&
        echo ready && unshare --mount sh -c 'cd merged && pivot_root . . &&
        /bin/busybox umount -l . && echo x > /new &&
        exec /bin/busybox sh -c "echo \\$\\$; read line"'; true
    """
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout.readline() == b"ready\n"
            inside = int(process.stdout.readline())
            reading = layers.read(Root())
            one = of_namespace(reading, namespace_of(inside))
            (upper,) = [upper for upper in reading.uppers if upper.upperdir == one.upperdir]
        finally:
            process.stdin.close()
            process.wait()
    prefix = f"/proc/{process.pid}/root{tmp_path}"
    assert one.upperdir == f"{prefix}/upper"
    assert one.lowerdirs == (f"{prefix}/lower",)
    assert one.merged is None
    assert [(change.path, change.kind) for change in upper.changes] == [("/new", "added")]
    assert not (tmp_path / "upper").exists()


@pytest.mark.parametrize("name", ["a b", "a\tb", "a\nb", "a\\b", "a:b", "a,b", "é", "#"])
def test_directories_with_odd_names_are_found(tmp_path, name):
    made = make(tmp_path / name)
    fixed = {
        "lowerdir": "".join(
            "\\" + letter if letter in ":,\\" else letter for letter in str(made.lowers[0])
        ),
        "upperdir": str(made.upper).replace("\\", "\\\\").replace(",", "\\,"),
        "workdir": str(made.work).replace("\\", "\\\\").replace(",", "\\,"),
    }

    class Escaped(type(made)):
        def option(self, *_more):
            return ",".join(f"{key}={value}" for key, value in fixed.items())

    odd = Escaped(made.base, made.lowers, made.upper, made.work, made.merged)
    with container(odd) as pid:
        one = of_namespace(layers.read(Root()), namespace_of(pid))
    assert one.lowerdirs == (str(made.lowers[0]),)
    assert one.upperdir == str(made.upper)
    assert one.workdir == str(made.work)


def test_an_upper_directory_that_is_gone_is_a_problem_that_names_it(tmp_path):
    made = make(tmp_path)
    with container(made):
        made.upper.rename(tmp_path / "elsewhere")
        reading = layers.read(Root())
        (tmp_path / "elsewhere").rename(made.upper)
    assert [one.error for one in reading.problems if one.path == str(made.upper)] == ["missing"]
    assert str(made.upper) not in [one.upperdir for one in reading.uppers]


def test_a_namespace_that_shares_the_hosts_root_is_no_overlay():
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", "echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            process.stdout.readline()
            inode = namespace_of(process.pid)
            reading = layers.read(Root())
        finally:
            process.kill()
    assert inode not in [one.namespace for one in reading.overlays]
