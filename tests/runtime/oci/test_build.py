"""Options become the spec that Docker would make, or are refused by name before anything is done."""

import dataclasses

import pytest

from runtime.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted
from runtime.formats.idmap import Extent
from runtime.init import plan
from runtime.linux import caps
from runtime.oci import build, host, validate
from runtime.types import ContainerOptions, Resources, Volume

ID = "f" * 64
MEBIBYTE = 1 << 20
FACTS = host.HostFacts(
    machine="x86_64",
    cpus=frozenset({0, 1}),
    capabilities=(1 << 41) - 1,
    swap_accounting=True,
)


def spec(**options) -> dict:
    given = ContainerOptions(image="@host", **({"command": ("true",)} | options))
    return build.build(given, container_id=ID, host=FACTS)


def kinds(made: dict) -> set[str]:
    return {each["type"] for each in made["linux"]["namespaces"]}


def mounted(made: dict) -> dict[str, dict]:
    return {each["destination"]: each for each in made["mounts"]}


def test_a_plain_container_is_like_docker_s():
    made = spec()
    assert made["hostname"] == ID[:12]
    assert made["linux"]["cgroupsPath"] == f"/cinspect/{ID}"
    assert kinds(made) == {"pid", "ipc", "uts", "mount", "network", "cgroup"}
    assert caps.mask(made["process"]["capabilities"]["bounding"]) == 0xA80425FB
    assert made["process"]["noNewPrivileges"] is True
    assert made["process"]["env"] == [f"PATH={build.PATH}", f"HOSTNAME={ID[:12]}"]
    assert {"/proc/kcore", "/sys/firmware"} <= set(made["linux"]["maskedPaths"])
    assert set(mounted(made)) == {
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    }


@pytest.mark.parametrize(
    ("systemd", "unified", "rootless", "scope"),
    [
        (True, True, False, True),
        (True, False, False, False),
        (False, True, False, False),
        (True, True, True, False),
    ],
)
def test_who_makes_the_cgroups_is_chosen_as_the_host_does(systemd, unified, rootless, scope):
    facts = dataclasses.replace(FACTS, systemd=systemd, unified=unified, rootless=rootless)
    options = ContainerOptions(image="@host", command=("true",))
    wanted = f"system.slice:cinspect:{ID}" if scope else f"/cinspect/{ID}"
    made = build.build(options, container_id=ID, host=facts)
    assert made["linux"]["cgroupsPath"] == wanted
    own = dataclasses.replace(options, cgroup_manager="cgroupfs")
    assert build.build(own, container_id=ID, host=facts)["linux"]["cgroupsPath"].startswith("/")


@pytest.mark.parametrize(
    ("option", "facts", "reason"),
    [
        ({"cgroup_manager": "systemd"}, {}, "systemd is not this host's first process"),
        ({"cgroup_manager": "systemd"}, {"systemd": True, "rootless": True}, "only root's"),
        ({"userns": "auto"}, {"rootless": True}, "--userns auto: without root"),
    ],
)
def test_what_this_host_or_user_has_not_is_refused(option, facts, reason):
    options = ContainerOptions(image="@host", command=("true",), **option)
    with pytest.raises(FailedPrecondition, match=reason):
        build.build(options, container_id=ID, host=dataclasses.replace(FACTS, **facts))


def test_the_spec_can_be_planned_and_is_valid():
    made = spec(tty=True, read_only=True, userns="auto")
    validate.spec(made)
    steps = plan.create(
        made, rootfs="/r", hierarchies=[("", "/c", ())], seccomp=None, who=plan.Identity("x", "/b")
    )
    assert steps


def test_limits_are_docker_s():
    limits = Resources(
        memory_bytes=64 * MEBIBYTE, cpus=0.5, pids_limit=50, cpuset_cpus="0-1", cpu_shares=512
    )
    made = spec(resources=limits)["linux"]["resources"]
    assert made["memory"] == {"limit": 64 * MEBIBYTE, "swap": 128 * MEBIBYTE}
    assert made["cpu"] == {"period": 100000, "quota": 50000, "shares": 512, "cpus": "0-1"}
    assert made["pids"] == {"limit": 50}


def test_without_swap_accounting_there_is_no_limit_of_swap():
    facts = dataclasses.replace(FACTS, swap_accounting=False)
    made = build.resources(Resources(memory_bytes=64 * MEBIBYTE), host=facts)
    assert made == {"memory": {"limit": 64 * MEBIBYTE}}


def test_no_limit_is_nothing_to_set():
    assert build.resources(Resources(), host=FACTS) == {}


def test_the_host_s_network_is_no_namespace():
    assert "network" not in kinds(spec(network="host"))


def test_the_host_s_cgroups_are_no_namespace():
    assert "cgroup" not in kinds(spec(cgroupns="host"))


def test_a_volume_is_read_only_below_too():
    made = spec(volumes=(Volume("/etc", "/data", read_only=True), Volume("/usr", "/more")))
    assert mounted(made)["/data"]["options"] == ["rbind", "rprivate", "rro"]
    assert mounted(made)["/more"]["options"] == ["rbind", "rprivate", "rw"]


def test_a_terminal_brings_its_kind():
    assert "TERM=xterm" in spec(tty=True)["process"]["env"]
    assert "TERM=vt100" in spec(tty=True, env=("TERM=vt100",))["process"]["env"]
    assert not [each for each in spec()["process"]["env"] if each.startswith("TERM")]


def test_a_variable_given_replaces_the_default():
    assert spec(env=("PATH=/x",))["process"]["env"][0] == "PATH=/x"


def test_the_filter_follows_the_capabilities():
    def allowed(made: dict) -> set[str]:
        rules = made["linux"]["seccomp"]["syscalls"]
        return {name for rule in rules if not rule.get("args") for name in rule["names"]}

    assert "mount" not in allowed(spec())
    assert "mount" in allowed(spec(cap_add=("SYS_ADMIN",)))


def test_user_namespaces_have_ids_of_their_own():
    made = spec(userns="auto")
    (mapping,) = made["linux"]["uidMappings"]
    assert mapping["containerID"] == 0
    assert mapping["size"] == 65536
    assert mapping["hostID"] >= 1 << 30
    assert made["linux"]["gidMappings"] == [mapping]
    assert "user" in kinds(made)
    assert spec(userns="auto")["linux"]["uidMappings"] == [mapping]


def test_ids_are_never_shared():
    first = host.id_map(FACTS, ID)
    second = host.id_map(FACTS, ID, taken=[first.outside])
    assert second.outside != first.outside
    assert second.outside % 65536 == 0


def test_ids_come_from_the_range_that_is_for_containers():
    facts = dataclasses.replace(FACTS, container_ids=((100_000, 131_072),))
    assert host.id_map(facts, ID) in {Extent(0, 100_000, 65536), Extent(0, 165_536, 65536)}
    with pytest.raises(LookupError):
        host.id_map(facts, ID, taken=[100_000, 165_536])


def test_ids_of_other_users_are_not_taken():
    everything = ((1 << 30, 1 << 30),)
    facts = dataclasses.replace(FACTS, foreign_ids=everything)
    with pytest.raises(ResourceExhausted, match="userns"):
        build.build(ContainerOptions(command=("true",), userns="auto"), container_id=ID, host=facts)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"command": ()}, "command"),
        ({"command": ("",)}, "command"),
        ({"command": ("a\0b",)}, "command"),
        ({"env": ("NOVALUE",)}, "--env"),
        ({"env": ("=x",)}, "--env"),
        ({"workdir": "relative"}, "--workdir"),
        ({"hostname": ""}, "--hostname"),
        ({"hostname": "x" * 65}, "--hostname"),
        ({"hostname": "a b"}, "--hostname"),
        ({"volumes": (Volume("relative", "/x"),)}, "--volume"),
        ({"volumes": (Volume("/etc", "relative"),)}, "--volume"),
        ({"volumes": (Volume("/no/such/thing", "/x"),)}, "/no/such/thing"),
        ({"volumes": (Volume("/etc", "/"),)}, "--volume"),
        ({"volumes": (Volume("/etc", "/x/../proc/1"),)}, "/proc/1"),
        ({"volumes": (Volume("/etc", "/x"), Volume("/usr", "/x/"))}, "twice"),
        ({"cap_add": ("MAGIC",)}, "MAGIC"),
        ({"cap_drop": ("MAGIC",)}, "MAGIC"),
        ({"resources": Resources(memory_bytes=5 * MEBIBYTE)}, "--memory"),
        ({"resources": Resources(cpus=3)}, "--cpus"),
        ({"resources": Resources(cpus=-1)}, "--cpus"),
        ({"resources": Resources(cpus=float("nan"))}, "--cpus"),
        ({"resources": Resources(cpus=0.001)}, "--cpus"),
        ({"resources": Resources(cpu_shares=1)}, "--cpu-shares"),
        ({"resources": Resources(pids_limit=-2)}, "--pids-limit"),
        ({"resources": Resources(cpuset_cpus="7")}, "no cpu 7"),
        ({"resources": Resources(cpuset_cpus="1-0")}, "--cpuset-cpus"),
        ({"resources": Resources(cpuset_cpus="0,")}, "--cpuset-cpus"),
        ({"resources": Resources(cpuset_cpus="0-99999999")}, "--cpuset-cpus"),
    ],
)
def test_what_can_never_work_is_named(options, named):
    with pytest.raises(InvalidArgument, match=named):
        spec(**options)


def test_a_capability_that_the_host_lacks_is_refused_only_when_asked_for():
    facts = dataclasses.replace(
        FACTS, capabilities=FACTS.capabilities & ~caps.mask(["SYS_RESOURCE"])
    )
    given = ContainerOptions(command=("true",), cap_add=("SYS_RESOURCE",))
    with pytest.raises(PermissionDenied, match="SYS_RESOURCE"):
        build.build(given, container_id=ID, host=facts)
    everything = ContainerOptions(command=("true",), cap_add=("ALL",))
    made = build.build(everything, container_id=ID, host=facts)
    assert "CAP_SYS_RESOURCE" not in made["process"]["capabilities"]["bounding"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ociVersion": "2.0.0"}, "ociVersion"),
        ({"ociVersion": None}, "ociVersion"),
        ({"root": {}}, "root.path"),
        ({"root": None}, "root.path"),
        ({"process": {"cwd": "x", "args": ["a"]}}, "process.cwd"),
        ({"process": {"cwd": "/", "args": []}}, "process.args"),
        ({"process": {"cwd": "/", "args": ["a\0"]}}, "process.args"),
        (
            {"process": {"cwd": "/", "args": ["a"], "capabilities": {"bounding": ["CAP_X"]}}},
            "process.capabilities.bounding",
        ),
        ({"mounts": [{}]}, r"mounts\[0\].destination"),
        ({"linux": {"namespaces": [{"type": "x"}]}}, "linux.namespaces"),
        ({"linux": {"namespaces": [{"type": "pid"}] * 2}}, "pid is there twice"),
        ({"linux": {"namespaces": [{"type": "user"}]}}, "linux.uidMappings"),
    ],
)
def test_a_spec_from_elsewhere_is_checked(change, named):
    with pytest.raises(InvalidArgument, match=named):
        validate.spec(spec() | change)


def test_this_host_s_facts_can_be_read():
    facts = host.read()
    assert facts.cpus
    assert facts.machine
