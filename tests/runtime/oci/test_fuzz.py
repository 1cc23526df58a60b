"""A config.json of any shape is obeyed, or refused in one line that names the property; nothing else."""

import contextlib
import copy
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import RuntimeFailure
from runtime.init import plan
from runtime.linux import seccomp
from runtime.oci import config
from tests import requirements, traces
from tests.live import host
from tests.runtime.command.conftest import NOTHING, Runtime, make_root

# Of a failure that hypothesis found, what failed is to be seen, and not that its example is long.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
NASTY = (
    None, True, False, -1, 0, 1, 1 << 31, 1 << 32, 1 << 63, 1 << 64, -(1 << 70), 1.5, 1e308,
    "", "x", "x" * 70_000, "\0", "a\0b", "\ud800", "☃", "..", "../../..", "/", "//", "/\n/",
    "a=b", "=", ":", "-", "0-", "SCMP_ACT_ALLOW", "host", "%s", "$(id)", "\x1b[31m",
    [], {}, [None], [[]], [{}], {"": None}, {"x": {}}, {"a/b": "c"}, ["x"] * 3000, DEEP,
)  # fmt: skip
HAVE = host.controllers()
MEMORY_POLICY = {"mode": "MPOL_LOCAL", "flags": []}
RESOURCES = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swappiness": 10},
    "cpu": {
        **({"shares": 512, "quota": 50_000, "period": 100_000} if "cpu" in HAVE else {}),
        **({"cpus": "0"} if "cpuset" in HAVE else {}),
    },
    "pids": {"limit": 100},
}
MAP = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]
HOOK = [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]
RATE = [{"major": 254, "minor": 0, "rate": 1 << 30}]
WHOLE = {
    "ociVersion": "1.2.1",
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "box",
    "domainname": "garden",
    "annotations": {"a": "b"},
    "hooks": dict.fromkeys(("prestart", "createRuntime", "poststart", "poststop"), HOOK),
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []},
        {
            "destination": "/data", "type": "bind", "source": "/usr/share", "options": ["rbind", "ro"],
        },
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ],
    "process": {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": 5, "gid": 5, "additionalGids": [6], "umask": 18},
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "noNewPrivileges": True,
        "oomScoreAdj": 500,
        "scheduler": {"policy": "SCHED_OTHER", "nice": 1, "flags": []},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "consoleSize": {"height": 5, "width": 6},
        "execCPUAffinity": {"initial": "0", "final": "0"},
    },
    "linux": {
        "namespaces": [{"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup")],
        "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 420}],
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1}],
            # What this host can limit: its run as it stands must end well.
            **{name: limits for name, limits in RESOURCES.items() if name in {*HAVE, "cpu"}},
        },
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": [],
            "syscalls": [
                {
                    "names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                    "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
        "sysctl": {"kernel.shm_rmid_forced": "1"},
        "maskedPaths": ["/proc/keys"],
        "readonlyPaths": ["/proc/sys"],
        "rootfsPropagation": "private",
        "personality": {"domain": "LINUX", "flags": []},
        **({"memoryPolicy": MEMORY_POLICY} if os.path.exists("/sys/devices/system/node") else {}),
    },
}  # fmt: skip
MORE = {
    "namespaces": [*WHOLE["linux"]["namespaces"], {"type": "user"}, {"type": "time"}],
    "uidMappings": MAP,
    "gidMappings": MAP,
    "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
    "netDevices": {"rose0": {"name": "petal"}},
    "mountLabel": "a:b",
    "intelRdt": {"closID": "x", "schemata": ["MB:0=1"], "enableMonitoring": True},
    "cgroupsPath": "/a/b",
    "resources": {
        **WHOLE["linux"]["resources"],
        "blockIO": {
            "weight": 100, "leafWeight": 10, "weightDevice": [{"major": 1, "minor": 2, "weight": 5}],
            "throttleReadBpsDevice": RATE, "throttleWriteIOPSDevice": RATE,
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}],
        "network": {"classID": 5, "priorities": [{"name": "lo", "priority": 1}]},
        "rdma": {"mlx": {"hcaHandles": 1, "hcaObjects": 2}},
        "unified": {"memory.high": "max"},
    },
}  # fmt: skip
EVERYTHING = WHOLE | {"linux": WHOLE["linux"] | MORE}
KEPT_OFF = {("root", "path"), ("linux", "cgroupsPath")}
"""What would lead a container that really runs to directories of the host."""


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Yield where each value is, from the top down."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, each in inner:
        yield from places(each, (*path, key))


def mutations(whole: dict, *, avoided: set = frozenset()) -> st.SearchStrategy:
    """Return places with what is put there; REMOVE and DOUBLE are done to what is there."""
    known = [each for each in places(whole) if each not in avoided]
    change = st.one_of(st.sampled_from(["REMOVE", "DOUBLE"]), st.sampled_from(NASTY))
    return st.lists(st.tuples(st.sampled_from(known), change), min_size=1, max_size=2)


def mutated(whole: dict, changes: list) -> dict:
    result = json.loads(json.dumps(whole))  # where deepcopy would keep parts that are shared so
    for path, change in changes:
        holder = result
        try:
            for key in path[:-1]:
                holder = holder[key]
            if change == "REMOVE":
                del holder[path[-1]]
            elif change == "DOUBLE":
                holder[path[-1]] = [holder[path[-1]], holder[path[-1]]]
            else:
                # A copy: the next change may be within it.
                holder[path[-1]] = json.loads(json.dumps(change))
        except (KeyError, IndexError, TypeError):
            continue  # the first change has taken the place of the second
    return result


def one_line(message: str, changes: list) -> None:
    assert message
    assert "\n" not in message.strip("\n").replace("\\n", ""), message
    assert any(str(path[0]) in message for path, _ in changes) or ": " in message, message


def refusal(act: Callable[[], object]) -> str | None:
    """Return in what words something was refused; None if it was not."""
    try:
        act()
    except RuntimeFailure as error:
        return str(error)
    return None


def planned(spec: dict) -> None:
    """Do all that is done with a spec before anything is looked at or changed."""
    config.check(spec)
    if not spec.get("process"):
        return
    who = plan.Identity("x", "/x")
    for step in plan.create(spec, rootfs="/x", hierarchies=[], seccomp=None, who=who):
        assert step.describe()
    if profile := (spec.get("linux") or {}).get("seccomp"):
        seccomp.flags(profile)
        seccomp.listens(profile)


def test_what_is_mutated_is_refused_for_nothing():
    """Or all that is made of it would be refused for that alone."""
    planned(EVERYTHING)
    planned(WHOLE)
    config.process(WHOLE["process"])


@settings(max_examples=400, deadline=None)
@given(mutations(EVERYTHING))
def test_what_cannot_be_is_refused_by_name_before_anything_is_done(changes):
    spec = json.loads(json.dumps(mutated(EVERYTHING, changes)))
    words = refusal(lambda: planned(spec))
    if words is not None:
        one_line(words, changes)
        assert re.match(rf"(config\.json|{'|'.join(EVERYTHING)}|the mount|mount options)\b", words)


@settings(max_examples=100, deadline=None)
@given(mutations(WHOLE["process"]))
def test_a_process_alone_is_refused_by_name(changes):
    value = json.loads(json.dumps(mutated(WHOLE["process"], changes)))
    words = refusal(lambda: config.process(value))
    if words is not None:
        one_line(words, changes)
        assert re.match(rf"(config\.json|{'|'.join(WHOLE['process'])})\b", words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*EVERYTHING, "x", ""]), JSON, max_size=6))
def test_any_json_is_checked(value):
    for check in (config.check, config.process, config.resources):
        words = refusal(lambda: check(value))  # noqa: B023 - it is called at once
        assert words is None or words.strip()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Iterator[Runtime]:
    """Return the runtime in namespaces of its own: what slips through harms no network or mount."""
    requirements.commands("busybox", "unshare")
    directory = tmp_path_factory.mktemp("fuzz")
    plain = Runtime(directory, f"cinspect-oci-fuzz-{os.getpid()}")
    apart = ("unshare", "--mount", "--net", "--uts", "--ipc", "--propagation", "private")
    made = replace(plain, command=(*apart, *plain.command))
    make_root(directory / "rootfs")
    try:
        yield made
    finally:
        traces.remove(made.name)


def run(runtime: Runtime, spec: object, changes: list, *, text: str | None = None) -> int:
    bundle = runtime.directory / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    data = json.dumps(spec) if text is None else text
    (bundle / "config.json").write_text(data, errors="surrogatepass")
    done = runtime("run", "--bundle", str(bundle), "fuzzed", check=False)
    assert "Traceback" not in done.stderr, (changes, done.stderr)
    if done.returncode:
        # Of hooks that fail too when it is all over, with their paths.
        told = re.compile(r"cinspect-oci: hooks\.poststop\[\d+\]: /")
        line = "\n".join(each for each in done.stderr.splitlines() if not told.match(each))
        assert line.startswith("cinspect-oci: ") and len(line) < 5000, (changes, line[:500])  # noqa: PT018
        one_line(line, changes)
    assert runtime.left() == NOTHING, changes
    return done.returncode


COUNT = int(os.environ.get("CINSPECT_FUZZ_COUNT", "60"))
"""How many configs really run; a thousand take five minutes."""
SLOW = settings(
    max_examples=COUNT, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.root
@SLOW
@given(changes=mutations(WHOLE, avoided=KEPT_OFF))
def test_a_mutated_config_runs_or_is_refused_and_leaves_nothing(runtime, changes):
    spec = mutated(WHOLE, changes)
    if isinstance(spec.get("root"), dict):
        spec["root"]["path"] = str(runtime.directory / "rootfs")
    if isinstance(spec.get("linux"), dict):
        spec["linux"]["cgroupsPath"] = f"/{runtime.name}/c"
    run(runtime, spec, changes)


@pytest.mark.root
def test_the_config_that_is_mutated_runs(runtime):
    spec = copy.deepcopy(WHOLE)
    spec["root"]["path"] = str(runtime.directory / "rootfs")
    spec["linux"]["cgroupsPath"] = f"/{runtime.name}/c"
    Path(runtime.directory / "bundle").mkdir(exist_ok=True)
    (runtime.directory / "bundle/config.json").write_text(json.dumps(spec))
    runtime("run", "--bundle", str(runtime.directory / "bundle"), "whole")


@pytest.mark.root
@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "5", '"x"', "{}", '{"ociVersion": "1.2.1", "ociVersion": []}',
        "[" * 100_000, '{"a":' * 50_000, '{"ociVersion": NaN}', "\ufeff{}", '{"process": 1e999}',
        '{"x": ' + "9" * 10_000 + "}", "\ud800", "{}" * 100_000, "\0" * 1000,
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_config_at_all_is_refused(runtime, text):
    assert run(runtime, None, [], text=text) == 1


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


def a_gigabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


FILES = {
    "a FIFO": (os.mkfifo, "config.json: is not a regular file"),
    "a directory": (Path.mkdir, "config.json: is not a regular file"),
    "a socket": (a_socket, "config.json: No such device or address"),
    "a gigabyte": (a_gigabyte, "config.json: is larger than 16777216 bytes"),
    "a link to zeros": (lambda path: path.symlink_to("/dev/zero"), "config.json: is not a regular file"),
    "a link to a terminal": (lambda path: path.symlink_to("/dev/ptmx"), "config.json: is not a regular file"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "config.json: no such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "config.json: Too many levels of symbolic links"),
    "no text": (lambda path: path.write_bytes(b'{"hostname": "\xff\xfe"}'), "config.json: is not JSON"),
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("name", FILES)
def test_a_config_that_is_no_file_of_text_is_refused_at_once(runtime, name):
    make, words = FILES[name]
    bundle = runtime.directory / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    make(bundle / "config.json")
    began = time.monotonic()
    done = runtime("run", "--bundle", str(bundle), "one", check=False)
    assert done.returncode == 1
    assert words in done.stderr
    one_line(done.stderr, [])
    assert time.monotonic() - began < 20
    assert runtime.left() == NOTHING
    shutil.rmtree(bundle)


@pytest.mark.root
@pytest.mark.parametrize("words", [("exec", "--process"), ("update", "--resources")])
def test_other_files_of_json_are_read_as_carefully(runtime, words):
    runtime.quietly("run", "-d", "--bundle", runtime.bundle("sleep", "1000"), "one")
    try:
        for name, (make, said) in FILES.items():
            if name == "a FIFO":
                continue  # what the user names may be a pipe, and is waited for
            path = runtime.directory / f"{words[0]} {name}" / "config.json"
            path.parent.mkdir()
            make(path)
            done = runtime(*words, str(path), "one", check=False)
            assert said in done.stderr
            one_line(done.stderr, [])
    finally:
        runtime("delete", "--force", "one")
    assert runtime.left() == NOTHING


@pytest.mark.root
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"args": 5}', '{"cwd": "/"}', "\0", "[" * 99_999]
)
def test_a_process_file_that_is_none_is_refused(runtime, text):
    spec = copy.deepcopy(WHOLE) | {"hooks": {}}
    spec["root"]["path"] = str(runtime.directory / "rootfs")
    spec["linux"]["cgroupsPath"] = f"/{runtime.name}/c"
    spec["process"]["args"] = ["sleep", "1000"]
    Path(runtime.directory / "bundle").mkdir(exist_ok=True)
    (runtime.directory / "bundle/config.json").write_text(json.dumps(spec))
    path = runtime.directory / "process.json"
    path.write_text(text)
    runtime.quietly("run", "-d", "--bundle", str(runtime.directory / "bundle"), "one")
    try:
        done = runtime("exec", "--process", str(path), "one", check=False)
        assert done.returncode == 255
        assert "Traceback" not in done.stderr
        one_line(done.stderr, [])
    finally:
        runtime("delete", "--force", "one")
    assert runtime.left() == NOTHING


@pytest.mark.root
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"id": 5}', "\0", "null", '{"id": "one", "pid": "1"}', None]
)
def test_a_state_that_is_damaged_is_named_and_can_be_removed(runtime, text):
    directory = runtime.directory / "state/one"
    directory.mkdir(parents=True)
    if text is None:
        (directory / "state.json").symlink_to("/dev/zero")
    else:
        (directory / "state.json").write_text(text)
    for words in (("state", "one"), ("start", "one"), ("kill", "one"), ("exec", "one", "true")):
        done = runtime(*words, check=False)
        assert done.returncode
        assert "state.json" in done.stderr or "one" in done.stderr
        assert "Traceback" not in done.stderr
    assert runtime("list", check=False).returncode == 0
    runtime("delete", "--force", "one")
    assert runtime.left() == NOTHING


@pytest.mark.root
def test_a_state_with_somebody_else_s_pid_kills_nobody(runtime):
    """Written by hand: the pid is this test's own, which started at another time."""
    directory = runtime.directory / "state/one"
    directory.mkdir(parents=True)
    record = {
        "id": "one", "version": "1.2.1", "bundle": "/", "rootfs": "/", "created": "x",
        "cgroup": f"/{runtime.name}/none", "unit": "", "session": False, "pid": os.getpid(),
        "ticks": 1, "annotations": {}, "resctrl": {},
    }  # fmt: skip
    (directory / "state.json").write_text(json.dumps(record))
    (directory / "config.json").write_text(json.dumps({"linux": {}}))
    done = runtime("kill", "one", "KILL", check=False)
    assert "container not running: one has stopped" in done.stderr
    runtime("delete", "--force", "one")
    assert runtime.left() == NOTHING
