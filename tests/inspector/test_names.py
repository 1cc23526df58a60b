"""What engines add to what the kernel shows: names, images, stopped containers; each container once."""

import time
from datetime import UTC, datetime

import pytest
from msgspec import structs

from collectors.engine import EngineContainer, EngineShim
from collectors.kernel.layers import Overlay
from inspector.derive import derive
from inspector.discovery import naming
from inspector.domains.containers.model import Container
from inspector.frame import Frame
from inspector.sample import EngineAnswer
from tests.inspector.canned import A, B, Host, overlay, own


def frame(host: Host) -> Frame:
    return derive(None, host.sample())


def containers(host: Host) -> list[Container]:
    found = frame(host).containers
    assert isinstance(found, tuple)
    return list(found)


@pytest.fixture
def docker() -> Host:
    host = Host()
    host.process(100, 1, "nginx", "nginx", ns=own(1), inside=[1], cgroup=f"/docker/{A}")
    return host


def test_an_engine_names_what_the_kernel_shows(docker):
    docker.engine(
        "docker",
        EngineContainer(id=A, engine="docker", name="web", image="nginx:1", labels={"a": "b"}),
    )
    (one,) = containers(docker)
    assert (one.id, one.name, one.image, one.pid) == (A, "web", "nginx:1", 100)
    assert one.labels == {"a": "b"}
    assert "Docker lists it as web" in one.evidence


def test_a_runtimes_annotations_are_not_labels_of_the_engines_above_it(docker):
    runc = EngineContainer(id=A, engine="runc", pid=100, labels={"an.annotation": "x"})
    docker.engine("docker", EngineContainer(id=A, engine="docker", name="web", pid=100))
    docker.engine("runc", runc)
    (one,) = containers(docker)
    assert one.labels == {}


def test_one_that_ended_is_not_listed_again_by_the_runtime_that_started_it():
    host = Host()
    ended = {"id": "c1", "engine_namespace": "default", "status": "stopped"}
    host.engine("containerd", EngineContainer(engine="containerd", exit_code=3, **ended))
    host.engine("runc", EngineContainer(engine="runc", **ended))
    (one,) = containers(host)
    assert (one.id, one.engine, one.exit_code) == ("c1", "containerd", 3)


def test_two_of_one_name_in_two_places_are_two():
    host = Host()
    host.engine("containerd", EngineContainer(id="c1", engine="containerd", engine_namespace="a"))
    host.engine("runc", EngineContainer(id="c1", engine="runc", engine_namespace="b"))
    assert len(containers(host)) == 2


def test_a_cgroup_that_several_share_does_not_name_another_ones_process():
    host = Host()
    shared = "/user.slice/session-1.scope"
    host.process(100, 1, "sleep", "sleep", ns=own(1), inside=[1], cgroup=shared)
    host.process(200, 1, "sleep", "sleep", ns=own(2), inside=[1], cgroup=shared)
    host.engine("podman", EngineContainer(id=A, engine="podman", pid=200, cgroup=shared))
    assert {one.pid: one.engine for one in containers(host)} == {100: None, 200: "podman"}


def test_a_short_id_is_enough(docker):
    docker.engine("docker", EngineContainer(id=A[:12], engine="docker", name="web"))
    (one,) = containers(docker)
    assert one.name == "web"


def test_an_id_shorter_than_twelve_digits_is_not_taken_for_the_beginning_of_another():
    assert not naming.matches("aaaa", EngineContainer(id=A, engine="docker"))


def test_docker_and_the_containerd_below_it_are_one_container(docker):
    docker.engine(
        "containerd",
        EngineContainer(
            id=A, engine="containerd", engine_namespace="moby", pid=100, runtime="io.containerd.x"
        ),
    )
    docker.engine("docker", EngineContainer(id=A, engine="docker", name="web", pid=100))
    (one,) = containers(docker)
    assert (one.engine, one.engine_namespace, one.runtime) == ("docker", "moby", "io.containerd.x")


def test_a_runtimes_state_does_not_take_the_engines_place(docker):
    docker.engine("runc", EngineContainer(id=A, engine="runc", pid=100, runtime="runc"))
    (one,) = containers(docker)
    assert (one.engine, one.runtime) == ("docker", "runc")


def test_an_engine_names_by_the_first_process_where_the_cgroup_tells_nothing():
    host = Host()
    host.process(100, 1, "sh", ns=own(1), inside=[1], cgroup="/odd")
    host.engine("runc", EngineContainer(id="mine", engine="runc", pid=100))
    (one,) = containers(host)
    assert (one.id, one.engine) == ("mine", "runc")


def test_an_engine_names_by_the_cgroup_where_it_tells_no_pid():
    host = Host()
    host.process(100, 1, "sh", ns=own(1), inside=[1], cgroup="/custom/c1")
    host.engine("crun", EngineContainer(id="c1", engine="crun", cgroup="/custom/c1"))
    (one,) = containers(host)
    assert one.id == "c1"


def test_a_stopped_container_is_listed_with_what_the_engine_says(docker):
    ended = datetime(2026, 11, 24, tzinfo=UTC)
    docker.engine(
        "docker",
        EngineContainer(
            id=B, engine="docker", name="old", status="stopped", exit_code=137, finished_at=ended
        ),
    )
    running, stopped = containers(docker)
    assert running.status == "running"
    assert (stopped.id, stopped.status, stopped.exit_code) == (B, "stopped", 137)
    assert stopped.finished_at == ended
    assert stopped.resources is None
    assert stopped.pids == ()
    assert stopped.evidence == ("Docker lists it as old", "no process of it is visible")


def test_two_containers_that_people_called_the_same_keep_ids_of_their_own():
    host = Host()
    host.process(100, 1, "a", ns=own(1), inside=[1], cgroup="/one/c1")
    host.process(200, 1, "b", ns=own(2), inside=[1], cgroup="/two/c1")
    host.engine(
        "containerd",
        EngineContainer(id="c1", engine="containerd", engine_namespace="one", pid=100),
        EngineContainer(id="c1", engine="containerd", engine_namespace="two", pid=200),
    )
    assert {one.id: one.pid for one in containers(host)} == {"one/c1": 100, "two/c1": 200}


def test_a_long_name_that_is_there_twice_goes_to_the_first_process_it_has():
    host = Host()
    name = "a-name-that-people-chose"
    for pid, namespace in ((100, "one"), (200, "two")):
        host.process(
            pid - 1, 1, "containerd-shim", "containerd-shim-runc-v2",
            "-namespace", namespace, "-id", name,
        )  # fmt: skip
        host.process(pid, pid - 1, "a", ns=own(pid), inside=[1], cgroup=f"/{namespace}/{name}")
    host.engine(
        "containerd",
        EngineContainer(id=name, engine="containerd", engine_namespace="two", pid=200),
        EngineContainer(id=name, engine="containerd", engine_namespace="one", pid=100),
    )
    found = {one.id: one.pid for one in containers(host)}
    assert found == {f"one/{name}": 100, f"two/{name}": 200}


def test_an_engine_that_is_not_there_is_no_error():
    host = Host()
    host.engines.append(EngineAnswer(name="docker", address="/run/docker.sock"))
    shown = frame(host)
    assert shown.errors == ()
    (engine,) = shown.engines
    assert (engine.reachable, engine.error) == (False, None)


def test_a_created_container_is_created_though_it_has_a_process(docker):
    docker.engine("docker", EngineContainer(id=A, engine="docker", status="created", pid=100))
    (one,) = containers(docker)
    assert one.status == "created"


def test_a_frozen_cgroup_is_paused_whatever_the_engine_says(docker):
    docker.engine("docker", EngineContainer(id=A, engine="docker", status="running", pid=100))
    docker.group(f"/docker/{A}", frozen=True)
    (one,) = containers(docker)
    assert one.status == "paused"


def test_a_paused_container_of_an_engine_that_the_kernel_runs_is_running(docker):
    docker.engine("docker", EngineContainer(id=A, engine="docker", status="paused", pid=100))
    docker.group(f"/docker/{A}", frozen=False)
    (one,) = containers(docker)
    assert one.status == "running"


def test_the_engines_shim_comes_before_one_that_was_found(docker):
    shim = EngineShim(77, "/run/shim.sock", "io.containerd.runc.v2")
    docker.engine("docker", EngineContainer(id=A, engine="docker", shim=shim))
    (one,) = containers(docker)
    assert one.shim is not None
    assert (one.shim.pid, one.shim.address) == (77, "/run/shim.sock")


def test_every_process_says_whose_it_is(docker):
    docker.engine("docker", EngineContainer(id=A, engine="docker", name="web"))
    processes = frame(docker).processes
    assert isinstance(processes, tuple)
    assert {one.pid: one.container for one in processes} == {1: None, 2: None, 100: A}


def test_a_namespace_says_which_containers_are_in_it():
    host = Host()
    shared = own(1, "net")
    host.process(100, 1, "a", ns={**own(1), **shared}, inside=[1], cgroup=f"/docker/{A}")
    host.process(200, 1, "b", ns={**own(2), **shared}, inside=[1], cgroup=f"/docker/{B}")
    namespaces = frame(host).namespaces
    assert isinstance(namespaces, tuple)
    by_inode = {one.inode: one for one in namespaces}
    assert by_inode[shared["net"]].containers == (A, B)
    assert by_inode[shared["net"]].pids == (100, 200)
    assert by_inode[own(1)["pid"]].containers == (A,)
    assert not by_inode[own(1)["pid"]].host
    assert by_inode[host.base["user"]].host
    assert by_inode[host.base["user"]].containers == (A, B)


@pytest.mark.parametrize(
    ("lowers", "digests", "told"),
    [
        (2, ("low", "high"), ["high", "low"]),
        (3, ("low", "high"), [None, "high", "low"]),
        (4, ("low", "high"), [None, None, None, None]),
        (1, ("low", "high"), [None]),
        (2, (), [None, None]),
    ],
)
def test_layers_have_digests_where_directories_and_layers_are_the_same(
    docker, lowers, digests, told
):
    namespace = own(1)["mnt"]
    docker.root(namespace, overlay(7))
    tuple(f"/layers/{number}" for number in range(lowers))
    docker.overlays.append(
        Overlay(
            namespace=namespace,
            device="0:7",
            lowerdirs=tuple(f"/layers/{number}" for number in range(lowers)),
            upperdir="/upper",
            workdir="/work",
            merged=None,
            options=(),
        )
    )
    docker.engine("docker", EngineContainer(id=A, engine="docker", layer_digests=digests))
    (one,) = containers(docker)
    assert one.rootfs is not None
    assert [layer.digest for layer in one.rootfs.layers if layer.role == "lower"] == told


def test_one_container_told_by_every_engine_below_kubelet_is_one_row():
    host = Host()
    path = f"/kubepods/besteffort/pod0a1b2c3d-0000-1111-2222-333344445555/{A}"
    host.process(100, 1, "nginx", ns=own(1), inside=[1], cgroup=path)
    host.engine(
        "cri",
        EngineContainer(
            id=A, engine="containerd", engine_namespace="k8s.io", name="nginx", pod="shop/web"
        ),
    )
    host.engine(
        "containerd",
        EngineContainer(
            id=A,
            engine="containerd",
            engine_namespace="k8s.io",
            image="docker.io/library/nginx:1",
            pid=100,
            layer_digests=("sha256:1",),
        ),
    )
    host.engine(
        "runc", EngineContainer(id=A, engine="runc", engine_namespace="k8s.io", runtime="runc")
    )
    (one,) = containers(host)
    assert (one.id, one.name, one.pod) == (A, "nginx", "shop/web")
    assert (one.engine, one.engine_namespace) == ("containerd", "k8s.io")
    assert (one.image, one.runtime) == ("docker.io/library/nginx:1", "runc")


def test_one_container_told_by_docker_containerd_and_runc_is_one_row_stopped_too():
    host = Host()
    for engine, namespace in (("docker", None), ("containerd", "moby"), ("runc", "moby")):
        host.engine(
            engine,
            EngineContainer(id=A, engine=engine, engine_namespace=namespace, status="stopped"),
        )
    (one,) = containers(host)
    assert (one.id, one.engine, one.status) == (A, "docker", "stopped")


def test_one_container_of_podman_told_by_its_service_and_its_storage_is_one_row():
    host = Host()
    host.process(100, 1, "nginx", ns=own(1), inside=[1], cgroup=f"/libpod_parent/libpod-{A}")
    host.engine("podman-storage", EngineContainer(id=A, engine="podman", name="web", image="i"))
    host.engine("podman", EngineContainer(id=A, engine="podman", name="web", status="running"))
    host.engine("crun", EngineContainer(id=A, engine="crun", pid=100, runtime="crun"))
    (one,) = containers(host)
    assert (one.engine, one.name, one.image, one.runtime) == ("podman", "web", "i", "crun")


def test_a_name_that_two_engines_use_is_two_containers():
    host = Host()
    host.process(100, 1, "init", ns=own(1), inside=[1], cgroup="/lxc.payload.web")
    host.engine("lxc", EngineContainer(id="web", engine="lxc"))
    host.engine(
        "containerd",
        EngineContainer(id="web", engine="containerd", engine_namespace="default", image="i"),
    )
    found = {one.id: (one.engine, one.status) for one in containers(host)}
    assert found == {
        "web": ("lxc", "running"),
        "default/web": ("containerd", "stopped"),
    }


@pytest.mark.parametrize("identifier", [B, "evil"])
def test_an_engine_that_claims_anothers_process_names_nothing(docker, identifier):
    docker.engine(
        "podman",
        EngineContainer(
            id=identifier, engine="podman", name="evil", pid=100, cgroup=f"/docker/{A}"
        ),
    )
    real, claimed = containers(docker)
    assert (real.id, real.name, real.engine, real.pid) == (A, A[:12], "docker", 100)
    assert (claimed.name, claimed.pid, claimed.pids) == ("evil", None, ())


LIE = EngineContainer(
    id=A, engine="docker", name="evil", pid=100, cgroup=f"/docker/{A}", said_by=1000
)


def test_a_users_engine_names_nobody_elses_container_and_adds_nothing_to_it(docker):
    docker.owners[docker.base["user"]] = 0
    docker.engine("docker", LIE)
    docker.engine("podman", structs.replace(LIE, engine="podman", labels={"evil": "1"}))
    docker.engine("docker-2", EngineContainer(id=A, engine="docker", name="web"))
    real = next(one for one in containers(docker) if one.pid is not None)
    assert (real.id, real.name, real.labels) == (A, "web", {})
    assert {one.name: one.pid for one in containers(docker)} == {"web": 100, "evil": None}


@pytest.mark.parametrize("below", [False, True])
def test_a_users_engine_names_what_runs_in_that_users_namespaces(below):
    host = Host()
    outer, inner = own(1, "user")["user"], own(2, "user")["user"]
    host.owners |= {host.base["user"]: 0, outer: 1000}
    spaces = own(1)
    host.process(90, 1, "rootlesskit", "rootlesskit", ns={"user": outer})
    if below:
        host.parents |= {inner: outer, outer: host.base["user"]}
        host.owners[inner] = 100_000
    space = {"user": inner if below else outer}
    host.process(100, 90, "nginx", "nginx", ns={**spaces, **space}, inside=[1], cgroup=f"/u/{A}")
    host.engine("docker", structs.replace(LIE, name="web", cgroup=f"/u/{A}"))
    assert {one.name for one in containers(host) if one.pid == 100} == {"web"}
    host.engines.clear()
    host.engine("docker", structs.replace(LIE, said_by=1001))
    assert "evil" not in {one.name for one in containers(host) if one.pid == 100}


def test_an_engine_that_claims_a_process_of_the_hosts_gets_no_row_with_it(docker):
    docker.engine("podman", EngineContainer(id=B, engine="podman", status="running", pid=1))
    (claimed,) = [one for one in containers(docker) if one.id == B]
    assert (claimed.pid, claimed.resources) == (None, None)


def test_an_engine_that_lists_one_id_ten_thousand_times_holds_nobody_up():
    host = Host()
    alike = [EngineContainer(id="x", engine="docker", pid=number) for number in range(10_000)]
    host.engine("docker", *alike, EngineContainer(id="y", engine="docker", name="other"))
    began = time.process_time()
    found = containers(host)
    assert time.process_time() - began < 5
    assert len({one.id for one in found}) == 10_001
