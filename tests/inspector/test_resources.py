"""Numbers: rates from two samples, the limit that binds and whose it is, what is summed where."""

import pytest

from collectors.kernel.cgroups import Cpu, IoDevice, Memory, Pids, Pressure, PressureLine
from collectors.kernel.network import Interface, NamespaceNetwork
from inspector.derive import derive
from inspector.domains.cgroups.model import Cgroup
from inspector.domains.containers.model import Container, Resources
from inspector.frame import Frame
from tests.inspector.canned import HOST, A, B, Host, mount, overlay, own


def container(frame: Frame) -> Container:
    assert isinstance(frame.containers, tuple)
    (one,) = frame.containers
    return one


def resources(frame: Frame) -> Resources:
    found = container(frame).resources
    assert found is not None
    return found


def cgroup(frame: Frame, path: str, hierarchy: str = "") -> Cgroup:
    assert isinstance(frame.cgroups, tuple)
    return next(one for one in frame.cgroups if (one.path, one.hierarchy) == (path, hierarchy))


def web(**parts: object) -> Host:
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.group("/")
    host.group("/docker", inode=2)
    host.group(f"/docker/{A}", **{"inode": 3, **parts})
    return host


def used(usec: int) -> Cpu:
    return Cpu(usage_usec=usec, user_usec=usec, system_usec=0)


def test_one_sample_has_no_rates():
    frame = derive(None, web(cpu=used(5)).sample())
    cpu = resources(frame).cpu
    assert cpu is not None
    assert cpu.busy_cores is None
    assert cpu.throttled_ratio is None
    assert frame.host.cpu_busy_cores is None


def test_busy_cores_are_used_time_over_time_between():
    before = web(cpu=used(1_000_000)).sample(at=100.0)
    after = web(cpu=used(4_000_000)).sample(at=102.0)
    frame = derive(before, after)
    cpu = resources(frame).cpu
    assert cpu is not None
    assert cpu.busy_cores == pytest.approx(1.5)
    assert frame.host.cpu_busy_cores == pytest.approx(0.5)


def test_a_counter_that_went_back_has_no_rate():
    frame = derive(web(cpu=used(9)).sample(at=100), web(cpu=used(5)).sample(at=101))
    cpu = resources(frame).cpu
    assert cpu is not None
    assert cpu.busy_cores is None


def test_a_cgroup_that_was_made_anew_continues_nothing():
    before = web(cpu=used(1_000_000), inode=3).sample(at=100)
    after = web(cpu=used(2_000_000), inode=4).sample(at=101)
    cpu = resources(derive(before, after)).cpu
    assert cpu is not None
    assert cpu.busy_cores is None


def test_samples_of_the_same_moment_have_no_rate():
    frame = derive(web(cpu=used(1)).sample(at=100), web(cpu=used(5)).sample(at=100))
    assert cgroup(frame, f"/docker/{A}").cpu.busy_cores is None


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [((10, 2), (20, 7), 0.5), ((10, 2), (10, 2), 0.0), ((10, 2), (5, 1), None)],
)
def test_the_throttled_ratio_is_over_the_periods_between(before, after, ratio):
    def at(periods, throttled, moment):
        cpu = Cpu(usage_usec=1, periods=periods, throttled_periods=throttled)
        return web(cpu=cpu).sample(at=moment)

    frame = derive(at(*before, 100), at(*after, 101))
    assert cgroup(frame, f"/docker/{A}").cpu.throttled_ratio == ratio


def test_the_working_set_leaves_out_inactive_file_pages():
    memory = Memory(current_bytes=100, inactive_file_bytes=30)
    said = resources(derive(None, web(memory=memory).sample())).memory
    assert said is not None
    assert (said.current_bytes, said.working_set_bytes) == (100, 70)


def test_no_limit_is_null_and_names_nobody():
    said = resources(derive(None, web(memory=Memory(current_bytes=1)).sample())).memory
    assert said is not None
    assert (said.limit_bytes, said.limited_by) == (None, None)


def limited(own_limit: int | None, parents: int | None, roots: int | None = None) -> Host:
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.group("/", memory=Memory(limit_bytes=roots))
    host.group("/docker", memory=Memory(current_bytes=1, limit_bytes=parents))
    host.group(f"/docker/{A}", memory=Memory(current_bytes=1, limit_bytes=own_limit))
    return host


@pytest.mark.parametrize(
    ("own_limit", "parents", "roots", "limit", "path"),
    [
        (64, None, None, 64, f"/docker/{A}"),
        (64, 32, None, 32, "/docker"),
        (None, 32, None, 32, "/docker"),
        (32, 64, None, 32, f"/docker/{A}"),
        (32, 32, 32, 32, f"/docker/{A}"),
        (None, 32, 32, 32, "/docker"),
        (None, None, 16, 16, "/"),
    ],
)
def test_the_smallest_limit_of_the_ancestors_binds_the_nearest_of_equal_ones(
    own_limit, parents, roots, limit, path
):
    said = resources(derive(None, limited(own_limit, parents, roots).sample())).memory
    assert said is not None
    assert (said.limit_bytes, said.limited_by) == (limit, path)


def test_a_quota_is_cores_and_an_ancestors_may_bind():
    host = web(cpu=Cpu(usage_usec=1, quota_usec=150_000, period_usec=100_000))
    host.cgroups = [one for one in host.cgroups if one.path != "/docker"]
    host.group("/docker", inode=2, cpu=Cpu(quota_usec=25_000, period_usec=50_000))
    cpu = resources(derive(None, host.sample())).cpu
    assert cpu is not None
    assert (cpu.limit_cores, cpu.limited_by) == (0.5, "/docker")


def test_version_1_takes_each_number_from_the_hierarchy_that_has_it():
    host = Host(v1=True)
    path = f"/docker/{A}"
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=path)
    host.group(path, hierarchy="memory", memory=Memory(current_bytes=7, limit_bytes=9))
    host.group(path, hierarchy="cpu,cpuacct", cpu=Cpu(usage_usec=5, shares=512))
    host.group(path, hierarchy="pids", pids=Pids(3, 50))
    one = container(derive(None, host.sample()))
    assert one.cgroups == {"cpu": path, "cpuacct": path, "memory": path, "pids": path}
    found = one.resources
    assert found is not None
    assert found.cpu is not None
    assert found.memory is not None
    assert found.pids is not None
    assert (found.cpu.usage_usec, found.cpu.shares) == (5, 512)
    assert (found.memory.current_bytes, found.memory.limit_bytes) == (7, 9)
    assert (found.pids.current, found.pids.limit, found.pids.limited_by) == (3, 50, path)
    assert set(found.measured_by.values()) == {"cgroup"}


def test_what_is_in_a_shared_cgroup_is_summed_over_its_processes():
    def at(moment, ticks):
        host = Host()
        path = "/user.slice/session-1.scope"
        host.process(50, 1, "bash", cgroup=path)
        host.process(100, 50, "sh", ns=own(1, "mnt", "pid"), inside=[1], cgroup=path, utime=ticks)
        host.process(101, 100, "w", ns=own(1, "mnt", "pid"), inside=[2], cgroup=path, utime=ticks)
        host.group("/user.slice", memory=Memory(current_bytes=10**9, limit_bytes=2 * 10**9))
        host.group(path, inode=9, cpu=used(10**9), memory=Memory(current_bytes=10**9))
        return host.sample(at=moment)

    found = resources(derive(at(100.0, 100), at(102.0, 200)))
    assert found.measured_by == {"cpu": "processes", "memory": "processes", "pids": "processes"}
    assert found.cpu is not None
    assert found.memory is not None
    assert found.cpu.usage_usec == 4_000_000
    assert found.cpu.busy_cores == pytest.approx(1.0)
    assert found.memory.current_bytes == 2 * 4096
    assert found.memory.working_set_bytes is None
    assert (found.memory.limit_bytes, found.memory.limited_by) == (2 * 10**9, "/user.slice")


def test_a_cgroup_of_its_own_without_an_engines_name_is_counted_from_it():
    host = Host()
    host.process(100, 50, "sh", ns=own(1, "mnt", "pid"), inside=[1], cgroup="/mine/init")
    host.process(101, 100, "w", ns=own(1, "mnt", "pid"), inside=[2], cgroup="/mine/work")
    host.group("/mine", cpu=used(7), memory=Memory(current_bytes=5))
    one = container(derive(None, host.sample()))
    assert one.cgroups == {"": "/mine"}
    assert one.resources is not None
    assert one.resources.measured_by["memory"] == "cgroup"


def test_a_device_that_appears_has_no_rate_yet():
    def at(moment, *devices):
        return web(io=devices).sample(at=moment)

    old = IoDevice("8:0", 100, 0, 1, 0)
    frame = derive(
        at(100, old), at(102, IoDevice("8:16", 5, 5, 1, 1), IoDevice("8:0", 300, 0, 2, 0))
    )
    io = resources(frame).io
    assert io is not None
    first, second = io.devices
    assert (first.device, first.name, first.read_bytes_per_second) == ("8:0", "sda", 100.0)
    assert (second.device, second.name, second.read_bytes_per_second) == ("8:16", None, None)


def test_pressure_is_a_share_from_0_to_1():
    line = PressureLine(12.5, 6.0, 1.0, 99)
    said = resources(derive(None, web(pressure={"cpu": Pressure(line, None)}).sample())).pressure
    assert said is not None
    assert said["cpu"].some is not None
    assert (said["cpu"].some.avg10, said["cpu"].some.total_usec) == (0.125, 99)
    assert said["cpu"].full is None


def interface(name: str, received: int, **more: object) -> Interface:
    fields: dict[str, object] = {"kind": "veth", "index": 2, "peer_index": None, **more}
    return Interface(
        name=name,
        up=True,
        mac=None,
        addresses=(),
        peer_namespace_id=None,
        counters={"rx_bytes": received, "tx_bytes": 1, "rx_packets": 2, "tx_packets": 3},
        **fields,
    )


def test_network_use_is_the_sum_of_its_interfaces_without_loopback():
    def at(moment, received):
        host = web()
        host.networks = [
            NamespaceNetwork(
                own(1)["net"],
                100,
                (interface("lo", 999), interface("eth0", received), interface("eth1", 10)),
            )
        ]
        return host.sample(at=moment)

    network = resources(derive(at(100, 100), at(102, 300))).network
    assert network is not None
    assert (network.rx_bytes, network.tx_bytes) == (310, 2)
    assert network.rx_bytes_per_second == 100.0


def test_the_hosts_network_is_nobodys():
    host = Host()
    host.process(100, 1, "app", ns=own(1, "mnt", "pid"), inside=[1], cgroup=f"/docker/{A}")
    host.networks = [NamespaceNetwork(HOST["net"], 1, (interface("eth0", 5),))]
    frame = derive(None, host.sample())
    assert resources(frame).network is None
    assert isinstance(frame.network, tuple)
    assert frame.network[0].container is None


def test_two_ends_of_a_veth_find_each_other():
    host = web()
    host.networks = [
        NamespaceNetwork(HOST["net"], 1, (interface("veth1", 1, index=7, peer_index=2),)),
        NamespaceNetwork(own(1)["net"], 100, (interface("eth0", 1, index=2, peer_index=7),)),
    ]
    frame = derive(None, host.sample())
    assert isinstance(frame.network, tuple)
    outer, inner = frame.network
    assert outer.peer is not None
    assert (outer.peer.namespace, outer.peer.interface) == (own(1)["net"], "eth0")
    assert inner.peer is not None
    assert inner.peer.interface == "veth1"
    assert inner.container == A


def test_a_cgroup_says_whose_it_is_and_one_within_it_too():
    host = web()
    host.group(f"/docker/{A}/system.slice", inode=5)
    frame = derive(None, host.sample())
    assert cgroup(frame, f"/docker/{A}").container == A
    assert cgroup(frame, f"/docker/{A}/system.slice").container == A
    assert cgroup(frame, "/docker").container is None


def test_an_inner_containers_cgroup_is_the_inner_ones():
    host = web()
    inner = own(2)
    host.parents = {inner["pid"]: own(1)["pid"]}
    path = f"/docker/{A}/docker/{B}"
    host.process(200, 100, "in", ns=inner, inside=[9, 1], cgroup=path)
    host.group(path, inode=7)
    frame = derive(None, host.sample())
    assert cgroup(frame, path).container == B
    assert cgroup(frame, f"/docker/{A}").container == A


def test_a_processs_rate_needs_the_same_start():
    def at(moment, start, ticks):
        host = Host()
        host.process(100, 1, "w", start=start, utime=ticks)
        return host.sample(at=moment)

    def busy(frame):
        return next(one.busy_cores for one in frame.processes if one.pid == 100)

    assert busy(derive(at(100, 5, 100), at(102, 5, 200))) == pytest.approx(0.5)
    assert busy(derive(at(100, 5, 100), at(102, 6, 200))) is None


def test_masked_and_read_only_paths_are_told_from_mounts():
    host = web()
    host.root(
        own(1)["mnt"],
        overlay(),
        mount(2, "/proc", fstype="proc"),
        mount(3, "/proc/kcore", fstype="tmpfs", root="/null"),
        mount(4, "/proc/acpi", fstype="tmpfs", options=("ro",)),
        mount(5, "/proc/sys", fstype="proc", root="/sys", options=("ro",)),
        mount(6, "/sys/fs/cgroup", fstype="tmpfs", options=("ro",)),
        mount(7, "/data", fstype="tmpfs", options=("ro",)),
    )
    security = container(derive(None, host.sample())).security
    assert security is not None
    assert security.masked_paths == ("/proc/acpi", "/proc/kcore")
    assert security.readonly_paths == ("/proc/sys",)


@pytest.mark.parametrize(
    ("kinds", "caps", "seccomp", "privileged"),
    [
        (("mnt", "pid"), (1 << 41) - 1, 0, True),
        (("mnt", "pid"), (1 << 41) - 1, 2, False),
        (("mnt", "pid"), 0xA80425FB, 0, False),
        (("mnt", "pid", "user"), (1 << 41) - 1, 0, False),
    ],
)
def test_privileged_is_nothing_taken_away(kinds, caps, seccomp, privileged):
    host = Host()
    host.process(
        100, 1, "app", ns=own(1, *kinds), inside=[1], cgroup=f"/docker/{A}", caps=caps,
        seccomp=seccomp,
    )  # fmt: skip
    security = container(derive(None, host.sample())).security
    assert security is not None
    assert security.privileged is privileged


def test_capabilities_have_their_names():
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}", caps=1 | 1 << 21)
    security = container(derive(None, host.sample())).security
    assert security is not None
    assert security.capabilities["effective"] == ("CAP_CHOWN", "CAP_SYS_ADMIN")
