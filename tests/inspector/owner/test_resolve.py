"""Whose something is, on a canned host: each kind of WHAT, what is shared, and what is nobody's."""

import pytest
from msgspec import structs

from collectors.lookups import DescriptorFacts, Open, OpenFiles
from inspector.derive import derive
from inspector.owner.facts import Facts
from tests.inspector.canned import HOST, Host, mount, own
from tests.inspector.owner.hosts import DB, NET_DB, NET_WEB, WEB, ask, at, facts, host


def owners(report):
    return [one.id for one in report.owners]


def chain(report):
    return "\n".join(step for answer in report.answers for step in answer.chain)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("100", [WEB]),
        ("pid:101", [WEB]),
        ("pid:200", [DB]),
        ("pid:7@" + WEB[:12], [WEB]),
        ("pid:1@" + DB, [DB]),
        ("veth1a", [WEB]),
        ("veth:veth1a@if8", [WEB]),
        ("172.17.0.2", [WEB]),
        ("port:80", [WEB]),
        ("port:5432/tcp", [DB]),
        ("port:53/udp", [WEB]),
        ("port:8080", [WEB]),
        ("port:5353", [WEB]),
        ("172.17.0.2:40000", [WEB]),
        ("172.17.0.2:40000->192.0.2.9:443", [WEB]),
        ("192.0.2.9:443", [WEB]),
        ("172.17.0.2:80", [WEB]),
        ("socket:[601]", [WEB]),
        ("inode:603", [WEB]),
        (f"cgroup:/system.slice/docker-{DB}.scope", [DB]),
        (f"/sys/fs/cgroup/system.slice/docker-{DB}.scope/", [DB]),
        ("cgroup:3", [WEB]),
        (f"net:[{NET_WEB}]", [WEB]),
        (str(own(2)["pid"]), [DB]),
        (f"inode:{own(2)['ipc']}", [DB]),
        ("mount:32", [WEB]),
        ("mount:41", [DB]),
        (f"id:{WEB[:6]}", [WEB]),
        (DB, [DB]),
    ],
)
def test_it_belongs_to_its_container(what, expected):
    report = ask(what)
    assert owners(report) == expected, report
    assert all(answer.chain for answer in report.answers)


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("pid:50", "a process of the host (ssh.service)"),
        ("pid:2", "a kernel thread (kthreadd)"),
        ("eth0", "an interface of the host (ether)"),
        ("docker0", "an interface of the host (bridge)"),
        ("port:22", "a port of the host's"),
        ("192.168.0.5", "an address of the host's"),
        ("127.0.0.1", "an address of the host's"),
        ("cgroup:/system.slice", "a cgroup of the host's"),
        (f"ns:{HOST['net']}", "the host's own"),
        ("mount:1", "a mount of the host's"),
    ],
)
def test_what_is_the_hosts_says_what_it_is(what, instead):
    report = ask(what)
    assert owners(report) == []
    assert report.answers[0].instead == instead


@pytest.mark.parametrize(
    "what",
    ["pid:999", "pid:7@nobody", "if:none", "ip:10.9.9.9", "port:1", "conn:10.9.9.9:1", "ns:4",
     "mount:999", "cgroup:/none", "id:nobody", "inode:4242", "fd:999/1", "nobody"],
)  # fmt: skip
def test_what_is_not_there_says_what_was_tried(what):
    report = ask(what)
    assert (report.owners, report.answers) == ((), ())
    assert all(miss.reason for miss in report.tried)


def test_a_pid_says_which_pids_inside_have_the_same_number():
    made = host()
    made.process(7, 1, "cron")
    report = ask("7", facts(made))
    assert report.owners == ()
    assert report.answers[0].instead == "a process of the host"
    assert f"pid:7@{WEB[:12]}" in chain(report)


def test_a_number_that_only_containers_know_is_their_pid_inside():
    report = ask("pid:7")
    assert owners(report) == [WEB]
    assert "7 inside" in chain(report)
    assert "pid 101" in chain(report)


def test_a_shim_leads_to_its_container_though_it_is_outside():
    report = ask("pid:90")
    assert owners(report) == [WEB]
    assert "is not inside of it" in chain(report)


def test_what_a_shim_runs_beside_its_container_leads_to_it():
    report = ask("pid:91")
    assert owners(report) == [WEB]
    assert "it is a process of the shim" in chain(report)


def test_a_bridge_tells_whom_its_ports_lead_to():
    assert f"veth1a is a veth, which leads to container {WEB[:12]}" in chain(ask("docker0"))


def test_a_veth_whose_other_end_is_not_known_says_so():
    report = ask("veth9z")
    assert report.owners == ()
    assert "other end is in a namespace without a process" in chain(report)


def test_a_name_that_the_host_has_too_is_the_hosts():
    assert ask("if:eth0").answers[0].instead == "an interface of the host (ether)"


def test_a_published_port_says_what_passes_it_on():
    said = chain(ask("port:8080"))
    assert "172.17.0.2:80 by docker-proxy, pid 60" in said
    assert "ip nat DOCKER" in chain(ask("port:5353/udp"))
    assert ask("port:5353/tcp").owners == ()


@pytest.mark.parametrize(
    ("command", "to"),
    [
        (("rootlessport",), None),
        (("slirp4netns", "-c", "-e", "3", "--netns-type=path", "/proc/200/ns/net", "tap0"), None),
        (("slirp4netns", "-c", "200", "tap0"), None),
        (("pasta", "--config-net", "-t", "none", "200"), None),
        (("pasta", "-t", "127.0.0.1/21-23:81-83", "--netns", "/run/netns/a", "--quiet"), 82),
        (("pasta", "-t", "auto", "-t", "22,25", "200"), 22),
        (("pasta", "-t", "99999999999999-1:2", "/proc/999999999999999999999/ns/net"), ...),
    ],
)
def test_a_port_that_a_process_passes_on_leads_to_the_namespace_it_was_given(command, to):
    made = host()
    made.process(501, 1, command[0], *command)
    if command == ("rootlessport",):
        made.process(502, 501, "exe", "rootlessport-child", ns={**HOST, "net": NET_DB})
    pin = mount(61, "/run/netns/a", fstype="nsfs", root=f"net:[{NET_DB}]")
    made.mounts[0] = structs.replace(made.mounts[0], mounts=(*made.mounts[0].mounts, pin))
    known = facts(made, holders={501: (501,)})
    (space,) = (one for one in known.networks if one.host)
    (one,) = (one for one in space.published if one.port == 22)
    assert one.container == (None if to is ... else DB)
    assert one.to_port == (None if to is ... else to)
    assert one.by == f"{command[0]}, pid 501"
    if to is None:
        report = ask("port:22", known)
        assert f"passed on by {command[0]}, pid 501" in chain(report)


def test_a_port_within_a_published_range_is_found():
    report = ask("port:9005")
    assert [one.id for one in report.owners] == [WEB]
    said = chain(report)
    assert "0.0.0.0:9000-9010/sctp of the host is passed on to 172.17.0.2:90-100" in said
    assert "by a rule of legacy iptables, ip nat DOCKER" in said
    assert ask("port:9011").owners == ()


@pytest.mark.parametrize(
    ("path", "expected", "step"),
    [
        ("/store/web/upper/etc/motd", [WEB], "the upper layer"),
        ("/store/db/merged", [DB], "the merged root"),
        ("/store/db/work/x", [DB], "working directory"),
        ("/store/base/bin/sh", [WEB, DB], "a lower layer"),
        ("/srv/volumes/web/file", [WEB], "where this is /data/file"),
        ("/srv/volumes/db", [DB], "mounted at /data"),
        ("/lib/hosts of web", [WEB], "where this is /etc/hosts"),
        ("/proc/101/root/etc/passwd", [WEB], "is /etc/passwd as pid 101"),
        ("/proc/200/environ", [DB], "process 200's own directory"),
    ],
)
def test_a_path_is_in_a_containers_directory(path, expected, step):
    report = ask(path, facts(paths={path: at(path)}))
    assert owners(report) == expected, report
    assert step in chain(report)


def test_a_path_beside_a_directory_of_the_same_beginning_is_not_in_it():
    path = "/srv/volumes/web-of-others"
    assert ask(path, facts(paths={path: at(path)})).owners == ()


def test_a_path_that_is_not_there_any_more_still_tells_whose_it_was():
    path = "/store/web/upper/gone"
    report = ask(path, facts(paths={path: at(path, kind=None)}))
    assert owners(report) == [WEB]
    assert "No such file" in chain(report)


def test_a_link_is_followed():
    report = ask("/here", facts(paths={"/here": at("/here", real="/store/web/upper/x")}))
    assert owners(report) == [WEB]


def test_a_file_of_the_hosts_is_told_by_who_has_it_open():
    opened = OpenFiles({77: (Open(200, 5, "/var/log/pg"), Open(50, 3, "/log"))}, complete=False)
    report = ask("/log", facts(paths={"/log": at("/log")}, opened=opened))
    assert owners(report) == [DB]
    assert "pid 50 (sshd) of the host has /log open" in chain(report)
    assert any("open files" in reason for reason in report.missing)


def test_a_descriptor_says_what_it_is_and_whose():
    known = facts(descriptors={(101, 4): DescriptorFacts(link="socket:[601]", inode=601)})
    report = ask("/proc/101/fd/4", known)
    assert owners(report) == [WEB]
    assert "listens on tcp port 80" in chain(report)


def test_a_descriptor_that_may_not_be_read_says_why():
    known = facts(descriptors={(101, 4): DescriptorFacts(link=None, problem="Permission denied")})
    assert "Permission denied" in ask("fd:101/4", known).tried[0].reason


def test_a_shared_namespace_has_several_owners():
    made = host()
    made.process(
        300, 1, "side", ns={**own(3), "net": NET_WEB}, inside=[1], cgroup="/docker/" + "d" * 64
    )
    report = ask(f"net:[{NET_WEB}]", facts(made))
    assert owners(report) == [WEB, "d" * 64]
    assert "shared by" in chain(report)


def test_a_pid_inside_counts_those_of_nested_containers():
    made = host()
    nested = {**own(4), "net": NET_WEB}
    made.process(
        400,
        100,
        "inner",
        ns=nested,
        inside=[9, 1],
        cgroup=f"/system.slice/docker-{WEB}.scope/docker/{'e' * 64}",
    )
    report = ask(f"pid:9@{WEB}", facts(made))
    assert "host's pid 400" in chain(report)
    assert owners(report) == ["e" * 64]


def test_names_from_containers_are_data_wherever_they_stand():
    made = Host()
    hostile = "\x1b[2J\n{evil}%s"
    made.process(100, 1, hostile, hostile, ns=own(1), inside=[1], cgroup="/docker/" + WEB)
    report = ask("100", Facts(derive(None, made.sample())))
    assert owners(report) == [WEB]
    assert hostile in chain(report)  # the output makes it printable, not the model


def test_without_the_right_to_read_namespaces_cgroups_still_tell():
    made = Host()
    made.process(100, 1, "nginx", inside=[1], cgroup="/docker/" + WEB, readable=False)
    assert owners(ask("100", Facts(derive(None, made.sample())))) == [WEB]
