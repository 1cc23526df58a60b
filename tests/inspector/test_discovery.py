"""What is taken for a container, what is not, and what it is called: from the kernel alone."""

import time

import pytest

from inspector.derive import derive
from inspector.domains.containers.model import Container
from tests.inspector.canned import HOST, A, B, C, Host, mount, overlay, own


def containers(host: Host) -> dict[str, Container]:
    frame = derive(None, host.sample())
    assert isinstance(frame.containers, tuple)
    return {one.id: one for one in frame.containers}


def only(host: Host) -> Container:
    (one,) = containers(host).values()
    return one


def test_a_host_without_containers_has_none():
    host = Host()
    host.process(50, 1, "sshd", cgroup="/system.slice/ssh.service")
    assert containers(host) == {}


@pytest.mark.parametrize(
    ("cgroup", "engine", "identifier"),
    [
        (f"/system.slice/docker-{A}.scope", "docker", A),
        (f"/docker/{A}", "docker", A),
        (f"/machine.slice/libpod-{A}.scope/container", "podman", A),
        (f"/libpod_parent/libpod-{A}", "podman", A),
        (
            f"/user.slice/user-4242.slice/user@4242.service/user.slice/libpod-{A}.scope/container",
            "podman",
            A,
        ),
        (
            f"/kubepods.slice/kubepods-pod0a1b2c3d.slice/cri-containerd-{A}.scope",
            "containerd",
            A,
        ),
        (f"/kubepods/besteffort/pod0a1b2c3d-0000-1111-2222-333344445555/{A}", None, A),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{A}.scope", "cri-o", A),
        (f"/cinspect/{A}", "cinspect", A),
        ("/system.slice/runc-web.scope", "runc", "web"),
        ("/system.slice/crun-web.scope/container", "crun", "web"),
        ("/lxc.payload.web", "lxc", "web"),
        (r"/machine.slice/machine-my\x2dweb.scope", "systemd-nspawn", "my-web"),
        ("/docker/buildkit/0123456789abcdefghijklmno", "buildkit", "0123456789abcdefghijklmno"),
        (f"/a/parent/of/my/choice/{A}", None, A),
    ],
)
def test_a_cgroup_is_named_as_its_engine_names_it(cgroup, engine, identifier):
    host = Host()
    host.process(100, 1, "sleep", "sleep", "1", ns=own(1), inside=[1], cgroup=cgroup)
    one = only(host)
    assert (one.id, one.engine, one.pid) == (identifier, engine, 100)


def test_a_pod_is_told_from_the_slice_above():
    host = Host()
    uid = "0a1b2c3d-0000-1111-2222-333344445555"
    path = f"/kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice/cri-containerd-{A}.scope"
    host.process(100, 1, "pause", ns=own(1), inside=[1], cgroup=path)
    assert only(host).pod == uid


UID = "0a1b2c3d-0000-1111-2222-333344445555"
ESCAPED = UID.replace("-", "_")


@pytest.mark.parametrize(
    ("cgroup", "engine"),
    [
        (f"/kubepods/pod{UID}/{A}", None),
        (f"/kubepods/burstable/pod{UID}/{A}", None),
        (f"/kubepods/besteffort/pod{UID}/crio-{A}", "cri-o"),
        (f"/kubepods.slice/kubepods-pod{ESCAPED}.slice/cri-containerd-{A}.scope", "containerd"),
        (
            (
                f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{ESCAPED}.slice"
                f"/crio-{A}.scope/container"
            ),
            "cri-o",
        ),
        (
            (
                f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{ESCAPED}.slice"
                f"/docker-{A}.scope"
            ),
            "docker",
        ),
        (
            (
                f"/system.slice/docker-{B}.scope/kubelet.slice/kubelet-kubepods.slice"
                f"/kubelet-kubepods-pod{ESCAPED}.slice/cri-containerd-{A}.scope"
            ),
            "containerd",
        ),
        (
            f"/system.slice/containerd.service/kubepods-pod{ESCAPED}.slice:cri-containerd:{A}",
            "containerd",
        ),
    ],
)
def test_a_pods_cgroup_tells_pod_and_container(cgroup, engine):
    host = Host()
    host.process(100, 1, "nginx", ns=own(1), inside=[1], cgroup=cgroup)
    one = only(host)
    assert (one.id, one.engine, one.pod, one.role) == (A, engine, UID, "container")


def test_a_pods_sandbox_is_told_from_what_runs_in_the_pod():
    host = Host()
    pod = f"/kubepods/pod{UID}"
    host.process(
        99, 1, "containerd-shim", "containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", A
    )
    host.process(100, 99, "wait", ns=own(1), inside=[1], cgroup=f"{pod}/{A}")
    host.process(101, 99, "nginx", ns=own(2), inside=[1], cgroup=f"{pod}/{B}")
    found = containers(host)
    assert {name: one.role for name, one in found.items()} == {A: "pod_sandbox", B: "container"}
    assert {one.engine for one in found.values()} == {"containerd"}


def test_pause_is_a_sandbox_of_a_pod_and_a_container_without_one():
    host = Host()
    host.process(100, 1, "pause", "/pause", ns=own(1), inside=[1], cgroup=f"/kubepods/pod{UID}/{A}")
    host.process(101, 1, "pause", "/pause", ns=own(2), inside=[1], cgroup=f"/docker/{B}")
    found = containers(host)
    assert (found[A].role, found[B].role) == ("pod_sandbox", "container")


def test_what_is_made_for_kubelet_tells_its_pod_by_its_monitors_words():
    host = Host()
    name = f"k8s_nginx_web-7d4_shop_{UID}_0"
    host.process(99, 1, "conmon", "/usr/bin/conmon", "-c", A, "-n", name, "-r", "/usr/bin/crun",
        "-b", f"/run/containers/storage/overlay-containers/{A}/userdata", "--exit-dir",
        "/var/run/crio/exits")  # fmt: skip
    host.process(100, 99, "nginx", ns=own(1), inside=[1], cgroup=f"/kubepods/pod{UID}/crio-{A}")
    one = only(host)
    assert (one.name, one.pod, one.engine) == ("nginx", "shop/web-7d4", "cri-o")


@pytest.mark.parametrize(
    ("cgroup", "engine", "name"),
    [
        (
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice"
                "/app-flatpak-org.gimp.GIMP-1234.scope"
            ),
            "flatpak",
            "org.gimp.GIMP",
        ),
        (
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice"
                f"/snap.firefox.firefox-{UID}.scope"
            ),
            "snap",
            "firefox.firefox",
        ),
        ("/system.slice/snap.lxd.daemon.service", "snap", "lxd.daemon"),
        ("/snap.hello_1", "snap", "hello_1"),
        ("/system.slice/snap.hello-world.hello-world.service", "snap", "hello-world.hello-world"),
    ],
)
def test_an_application_in_a_sandbox_has_its_own_name(cgroup, engine, name):
    host = Host()
    host.process(100, 1, "app", ns=own(1, "mnt", "user"), cgroup=cgroup)
    one = only(host)
    assert (one.engine, one.name) == (engine, name)


def test_one_application_that_runs_twice_is_two():
    host = Host()
    base = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.gimp.GIMP"
    host.process(100, 1, "gimp", ns=own(1, "mnt", "pid"), inside=[1], cgroup=f"{base}-100.scope")
    host.process(200, 1, "gimp", ns=own(2, "mnt", "pid"), inside=[1], cgroup=f"{base}-200.scope")
    assert set(containers(host)) == {"org.gimp.GIMP-100", "org.gimp.GIMP-200"}


def test_what_a_browser_shuts_in_is_a_sandbox_of_it():
    host = Host()
    host.process(99, 50, "chrome", "/opt/chrome")
    kinds = ("user", "pid", "net")
    host.process(100, 99, "chrome", "chrome", "--type=zygote", ns=own(1, *kinds), inside=[1])
    host.process(101, 100, "chrome", "chrome", "--type=renderer", ns=own(1, *kinds), inside=[2])
    one = only(host)
    assert (one.id, one.name, one.role) == ("sandbox-100", "sandbox of chrome", "sandbox")
    assert one.pids == (100, 101)
    assert one.engine is None


def test_an_executed_process_belongs_to_the_container():
    host = Host()
    host.process(100, 1, "sleep", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 90, "sh", ns=own(1), inside=[7], cgroup=f"/docker/{A}")
    assert only(host).pids == (100, 101)


def test_a_process_that_entered_by_nsenter_belongs_to_the_container_too():
    host = Host()
    host.process(100, 1, "sleep", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 90, "sh", ns=own(1), inside=[9], cgroup="/user.slice/session-1.scope")
    assert only(host).pids == (100, 101)


def test_a_container_in_the_hosts_pid_namespace_is_found_by_its_cgroup():
    host = Host()
    host.process(100, 1, "agent", ns=own(1, "mnt", "uts"), cgroup=f"/docker/{A}")
    host.process(101, 100, "child", ns=own(1, "mnt", "uts"), cgroup=f"/docker/{A}")
    one = only(host)
    assert one.pids == (100, 101)
    assert set(one.shared_with_host) == {"ipc", "pid", "net", "user", "cgroup", "time"}


def test_two_containers_that_share_a_pid_namespace_are_two():
    host = Host()
    shared = own(1, "pid", "net")
    host.process(100, 1, "app", ns={**own(1, "mnt"), **shared}, inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 1, "side", ns={**own(2, "mnt"), **shared}, inside=[8], cgroup=f"/docker/{B}")
    found = containers(host)
    assert {name: one.pids for name, one in found.items()} == {A: (100,), B: (101,)}
    assert found[A].shared_with == {"pid": (B,), "net": (B,)}


def test_a_monitor_in_the_containers_cgroup_is_not_of_it():
    host = Host()
    host.process(99, 1, "systemd-nspawn", cgroup="/machine.slice/machine-web.scope")
    host.process(
        100, 99, "systemd", ns=own(1), inside=[1], cgroup="/machine.slice/machine-web.scope"
    )
    one = only(host)
    assert (one.engine, one.name, one.pids) == ("systemd-nspawn", "web", (100,))
    assert one.shim is not None
    assert one.shim.pid == 99


def test_conmon_is_a_shim_and_names_what_it_owns():
    host = Host()
    host.process(
        99, 1, "conmon", "/usr/bin/conmon", "-c", A, "-n", "web", "-r", "/usr/bin/crun",
        "--exit-command", "/usr/bin/podman", cgroup=f"/machine.slice/libpod-conmon-{A}.scope",
    )  # fmt: skip
    host.process(
        100, 99, "nginx", ns=own(1), inside=[1], cgroup=f"/machine.slice/libpod-{A}.scope/container"
    )
    one = only(host)
    assert (one.name, one.engine, one.runtime) == ("web", "podman", "crun")
    assert one.shim is not None
    assert (one.shim.pid, one.shim.version) == (99, "conmon")


def test_a_worker_of_a_shim_is_not_taken_for_the_shim():
    host = Host()
    line = ("containerd-shim-cinspect-v1", "-namespace", "web", "-id", A)
    host.process(98, 1, "containerd-shim", *line)
    host.process(99, 98, "containerd-shim", *line)
    host.process(100, 99, "app", ns=own(1), inside=[1], cgroup=f"/cinspect/{A}")
    one = only(host)
    assert one.shim is not None
    assert (one.engine, one.shim.pid) == ("cinspect", 98)


def test_a_containerd_shim_tells_id_namespace_and_version():
    host = Host()
    host.process(
        99, 1, "containerd-shim", "/usr/bin/containerd-shim-runc-v2",
        "-namespace", "build", "-id", "c1", "-address", "/run/containerd/containerd.sock",
    )  # fmt: skip
    host.process(100, 99, "sleep", ns=own(1), inside=[1], cgroup="/build/c1")
    one = only(host)
    assert (one.id, one.engine, one.engine_namespace) == ("c1", "containerd", "build")
    assert one.shim is not None
    assert one.shim.version == "io.containerd.runc.v2"


def test_a_shim_of_the_namespace_moby_is_dockers():
    host = Host()
    host.process(
        99, 1, "containerd-shim", "containerd-shim-runc-v2", "-namespace", "moby", "-id", A
    )
    host.process(100, 99, "sleep", ns=own(1), inside=[1], cgroup=f"/my/parent/{A}")
    assert only(host).engine == "docker"


def test_unshare_makes_a_container_without_engine():
    host = Host()
    host.process(99, 50, "unshare", "unshare", "-pf", ns=own(1, "mnt"))
    host.process(100, 99, "bash", ns=own(1, "mnt", "pid"), inside=[1])
    one = only(host)
    assert (one.id, one.name, one.engine) == ("unshare-100", "unshare·100", None)
    assert one.pids == (99, 100)
    assert "mnt and pid namespaces differ from the host's" in one.evidence
    assert "100 is 1 inside" in one.evidence
    assert "made by unshare (pid 99)" in one.evidence


def test_a_mount_namespace_alone_is_a_container_when_no_service_has_it():
    host = Host()
    host.process(100, 50, "bash", ns=own(1, "mnt"))
    host.process(101, 100, "vi", ns=own(1, "mnt"))
    one = only(host)
    assert (one.id, one.pids) == ("unshare-100", (100, 101))


def test_a_network_namespace_alone_is_none():
    host = Host()
    host.process(100, 50, "ping", ns=own(1, "net"))
    assert containers(host) == {}


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "net"), ("mnt", "net", "ipc", "uts")])
def test_a_systemd_service_with_private_namespaces_is_none(kinds):
    host = Host()
    path = "/system.slice/systemd-resolved.service"
    host.process(100, 1, "systemd-resolve", ns=own(1, *kinds), cgroup=path)
    host.process(101, 100, "worker", ns=own(1, *kinds), cgroup=path)
    assert containers(host) == {}


def test_a_namespace_of_a_service_names_it():
    host = Host()
    path = "/system.slice/systemd-resolved.service"
    host.process(100, 1, "systemd-resolve", ns=own(1, "mnt"), cgroup=path)
    host.process(
        101,
        1,
        "dbus",
        ns=own(2, "net"),
        cgroup="/user.slice/user@1000.service/app.slice/dbus.service",
    )
    host.process(102, 1, "app", ns=own(3), inside=[1], cgroup=f"/docker/{A}/a.service")
    namespaces = derive(None, host.sample()).namespaces
    assert isinstance(namespaces, tuple)
    services = {one.inode: one.services for one in namespaces if one.services}
    assert services == {
        own(1)["mnt"]: ("systemd-resolved.service",),
        own(2)["net"]: ("dbus.service",),
    }


def test_a_sandbox_that_a_service_makes_for_a_child_is_one():
    host = Host()
    path = "/system.slice/runner.service"
    host.process(99, 1, "runner", cgroup=path)
    host.process(100, 99, "job", ns=own(1, "mnt"), cgroup=path)
    assert only(host).pids == (100,)


def test_a_service_of_a_container_with_private_tmp_is_of_the_container():
    host = Host()
    base = "/machine.slice/machine-web.scope"
    host.process(100, 1, "systemd", ns=own(1), inside=[1], cgroup=f"{base}/init.scope")
    host.process(
        101, 100, "dbus", ns={**own(1), **own(2, "mnt")}, inside=[30],
        cgroup=f"{base}/system.slice/dbus.service",
    )  # fmt: skip
    one = only(host)
    assert one.pids == (100, 101)
    assert one.cgroups == {"": base}


def test_bubblewrap_is_known_by_its_monitor():
    host = Host()
    host.process(98, 50, "bwrap", "bwrap", "--unshare-pid", "sh")
    host.process(99, 98, "bwrap", "bwrap", "--unshare-pid", "sh", ns=own(1), inside=[1])
    host.process(100, 99, "sh", "sh", "-c", "work", ns=own(1), inside=[2])
    one = only(host)
    assert (one.engine, one.id, one.pids) == ("bubblewrap", "bwrap-99", (99, 100))
    assert one.command == ("sh", "-c", "work")
    assert one.shim is not None
    assert one.shim.pid == 98


def test_bubblewrap_without_a_monitor_is_known_by_its_root():
    host = Host()
    namespace = own(1, "mnt")
    host.process(100, 50, "sh", ns=namespace)
    host.root(namespace["mnt"], mount(1, "/", fstype="tmpfs", root="/newroot", device="0:9"))
    assert only(host).engine == "bubblewrap"


@pytest.mark.parametrize("comm", ["slirp4netns", "catatonit", "podman", "rootlessport", "dockerd"])
def test_a_helper_of_a_rootless_engine_is_none(comm):
    host = Host()
    host.process(100, 50, comm, ns=own(1, "mnt", "user"), uid=1000)
    assert containers(host) == {}


def test_a_rootless_container_has_its_user_namespace():
    host = Host()
    path = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope"
    kinds = ("mnt", "uts", "ipc", "pid", "net", "user")
    host.process(100, 1, "app", ns=own(1, *kinds), inside=[1], cgroup=path, uid=1000)
    one = only(host)
    assert one.engine == "podman"
    assert "user" not in one.shared_with_host


def test_a_container_within_a_container_knows_its_outer_one():
    host = Host()
    outer, inner = own(1), own(2)
    host.parents = {inner["pid"]: outer["pid"], outer["pid"]: HOST["pid"]}
    host.process(100, 1, "dockerd", ns=outer, inside=[1], cgroup=f"/docker/{A}")
    host.process(
        110, 100, "containerd-shim", "containerd-shim-runc-v2", "-namespace", "moby", "-id", B,
        ns=outer, inside=[20], cgroup=f"/docker/{A}",
    )  # fmt: skip
    host.process(120, 110, "app", ns=inner, inside=[30, 1], cgroup=f"/docker/{A}/docker/{B}")
    found = containers(host)
    assert found[A].pids == (100, 110)
    assert found[B].pids == (120,)
    assert (found[A].parent, found[B].parent) == (None, A)
    assert f"it runs within container {A}" in found[B].evidence


@pytest.mark.parametrize(
    ("outer", "inner", "engine"),
    [
        (f"/docker/{A}", f"/docker/{A}/docker/{B}", "docker"),
        (f"/system.slice/docker-{A}.scope", f"/system.slice/docker-{A}.scope/docker/{B}", "docker"),
        (
            f"/machine.slice/libpod-{A}.scope/container",
            f"/machine.slice/libpod-{A}.scope/container/libpod_parent/libpod-{B}",
            "podman",
        ),
        (
            f"/system.slice/docker-{A}.scope/init",
            (
                f"/system.slice/docker-{A}.scope/kubelet.slice/kubelet-kubepods.slice"
                f"/kubelet-kubepods-pod{ESCAPED}.slice/cri-containerd-{B}.scope"
            ),
            "containerd",
        ),
        ("/lxc.payload.outer", f"/lxc.payload.outer/docker/{B}", "docker"),
        (f"/docker/{A}", f"/docker/{A}/buildkit/0123456789abcdefghijklmno", "buildkit"),
    ],
)
def test_the_engine_of_a_nested_container_is_told_by_the_inner_path(outer, inner, engine):
    host = Host()
    host.parents = {own(2)["pid"]: own(1)["pid"], own(1)["pid"]: HOST["pid"]}
    host.process(100, 1, "init", ns=own(1), inside=[1], cgroup=outer)
    host.process(120, 100, "app", ns=own(2), inside=[30, 1], cgroup=inner)
    first, second = containers(host).values()
    assert (second.engine, second.parent) == (engine, first.id)
    assert second.pids == (120,)


def test_a_sandbox_within_a_container_is_one_of_its_own():
    host = Host()
    outer, inner = own(1), {**own(1), **own(2, "pid", "mnt")}
    host.parents = {inner["pid"]: outer["pid"]}
    host.process(100, 1, "app", ns=outer, inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 100, "sandbox", ns=inner, inside=[5, 1], cgroup=f"/docker/{A}")
    found = containers(host)
    assert found[A].pids == (100,)
    assert found["unshare-101"].parent == A


def test_kernel_threads_and_zombies_make_no_container():
    host = Host()
    host.process(60, 2, "kworker", ns=own(1), kernel=True)
    host.process(61, 1, "defunct", ns=own(2), inside=[1], state="Z")
    assert containers(host) == {}


def test_a_zombie_is_its_parents():
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 100, "dead", ns=own(1), inside=[2], state="Z")
    assert only(host).pids == (100, 101)


def test_a_name_of_a_container_without_any_namespace_is_not_believed():
    host = Host()
    host.process(100, 1, "liar", cgroup=f"/docker/{A}")
    assert containers(host) == {}


def test_without_root_a_cgroup_still_tells_and_says_so():
    host = Host()
    host.process(100, 1, "app", cgroup=f"/docker/{A}", readable=False)
    one = only(host)
    assert one.namespaces == {}
    assert one.shared_with_host == ()
    assert "may not be read by this user" in one.evidence[0]


def test_unreadable_namespaces_of_pid_1_are_said_and_the_own_ones_stand_in():
    host = Host()
    host.memberships[0] = type(host.memberships[0])(1, 1, (None,) * 8)
    host.process(100, 50, "bash", ns=own(1, "mnt", "pid"), inside=[1])
    frame = derive(None, host.sample())
    assert isinstance(frame.containers, tuple)
    assert [one.id for one in frame.containers] == ["unshare-100"]
    assert "pid 1's namespaces may not be read" in frame.errors[-1].message


def test_from_within_a_container_it_says_so_and_is_shown_itself():
    host = Host(init=own(9))
    host.process(50, 1, "app")
    frame = derive(None, host.sample())
    assert isinstance(frame.containers, tuple)
    (one,) = frame.containers
    assert (one.id, one.name, one.pids) == ("self", "canned", (1, 50))
    assert "cinspect itself runs in it" in one.evidence[0]
    assert one.shared_with_host == ("user", "cgroup", "time")
    assert "within a container" in frame.errors[-1].message


def test_the_container_that_cinspect_runs_in_is_marked():
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.process(101, 100, "cinspect", ns=own(1), inside=[2], cgroup=f"/docker/{A}")
    host.own_pid = 101
    assert only(host).evidence[-1] == "cinspect itself runs in it"


def test_the_root_is_told_apart_from_the_hosts():
    host = Host()
    host.root(HOST["mnt"], mount(1, "/"))
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    host.root(own(1)["mnt"], overlay(7))
    host.process(200, 50, "sh", ns=own(2, "mnt"))
    host.root(own(2)["mnt"], mount(9, "/"))
    found = containers(host)
    assert "its root is an overlay of its own" in found[A].evidence
    assert "its root is the host's" in found["unshare-200"].evidence
    assert found["unshare-200"].rootfs is not None
    assert found["unshare-200"].rootfs.path == "/"


def test_a_libvirt_machine_is_none():
    host = Host()
    path = r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator"
    host.process(100, 1, "qemu-system-x86", cgroup=path)
    assert containers(host) == {}


def test_runcs_first_stage_is_a_container_being_created():
    host = Host()
    host.process(100, 1, "runc:[2:INIT]", ns=own(1), inside=[1], cgroup=f"/docker/{C}")
    assert only(host).status == "created"
    assert only(host).started_at is None


def test_a_tool_that_waits_in_a_namespace_of_its_own_is_no_container():
    host = Host()
    host.process(99, 50, "unshare", "unshare", "-pf", "--mount-proc", ns=own(1, "mnt"))
    inner = {**own(2, "mnt"), **own(1, "pid")}
    host.process(100, 99, "unshare", "unshare", "-pf", "--mount-proc", ns=inner, inside=[1])
    nested = {**own(2, "mnt"), **own(3, "pid")}
    host.parents = {nested["pid"]: inner["pid"]}
    host.process(101, 100, "sleep", ns=nested, inside=[2, 1])
    found = containers(host)
    assert set(found) == {"unshare-100", "unshare-101"}
    assert found["unshare-101"].parent == "unshare-100"


def test_a_thousand_containers_take_no_second():
    host = Host()
    for number in range(1000):
        host.process(1000 + number, 1, "app", ns=own(number), inside=[1], cgroup=f"/odd/{number}")
    began = time.process_time()
    assert len(containers(host)) == 1000
    assert time.process_time() - began < 5  # it is some 0.2 s: what is quadratic shows
