"""Containers that are really launched: what they see, what they may, and what they leave."""

import os
import stat

import pytest

from tests import requirements

pytestmark = pytest.mark.root


def fields(status: str) -> dict[str, str]:
    """Return /proc/PID/status as a mapping."""
    return {
        key: value.strip()
        for key, _, value in (line.partition(":") for line in status.splitlines())
    }


def test_the_host_name_is_the_container_s(shell):
    assert shell("uname -n") == "arena\n"


def test_the_command_is_pid_1(shell):
    assert shell("echo $$") == "1\n"


def test_every_namespace_differs_but_user_and_time(play):
    namespaces = play()["namespaces"]
    same = {key for key, value in namespaces["init"].items() if value == namespaces["host"][key]}
    assert same - {"pid_for_children", "time_for_children"} == {"user", "time"} & set(
        namespaces["host"]
    )


def test_the_cgroup_namespace_starts_at_the_container(shell):
    lines = shell("cat /proc/self/cgroup").splitlines()
    assert lines
    assert {line.split(":", 2)[2] for line in lines} == {"/"}


def test_no_mount_of_the_host_is_visible(shell):
    lines = shell("cat /proc/self/mountinfo").splitlines()
    places = {line.split()[4] for line in lines}
    assert {"/", "/proc", "/dev", "/sys"} <= places
    allowed = ("/", "/proc", "/dev", "/sys")
    assert all(
        place in allowed or place.startswith(("/proc/", "/dev/", "/sys/")) for place in places
    )


def test_no_mount_propagates(shell):
    lines = shell("cat /proc/self/mountinfo").splitlines()
    assert not [line for line in lines if "shared:" in line or "master:" in line]


def test_the_loopback_interface_is_up_and_alone(shell):
    output = shell("cat /sys/class/net/lo/flags; ls /sys/class/net")
    flags, *names = output.split()
    assert int(flags, 16) & 1
    # the kernel's fallback devices of tunnels may show in every namespace
    assert "lo" in names
    assert not {"eth0", "ens3", "wlan0"} & set(names)


def test_masked_files_are_the_null_device_and_masked_directories_are_empty(shell):
    script = "[ -c /proc/keys ] && stat -c %t:%T /proc/keys; ls -A /sys/firmware | wc -l; "
    script += "touch /sys/firmware/x 2>/dev/null || echo refused"
    assert shell(script).split() == ["1:3", "0", "refused"]


def test_kernel_parameters_are_read_only(shell):
    assert "refused" in shell("echo 1 > /proc/sys/kernel/domainname 2>/dev/null || echo refused")


def test_cgroups_are_visible_and_read_only(shell):
    script = "find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1 | xargs cat; "
    script += "find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | while read f; do "
    script += "echo 1 2>/dev/null > $f && echo WROTE; done; true"
    output = shell(script)
    assert "1" in output.split()
    assert "WROTE" not in output


def test_the_root_can_be_written_unless_it_is_read_only(shell):
    assert shell("echo x > /made; cat /made") == "x\n"
    script = "touch /made 2>/dev/null || echo refused; touch /dev/shm/made && echo shm"
    assert shell(script, root={"readonly": True}).split() == ["refused", "shm"]


def test_the_default_capabilities_are_all_that_root_has(shell):
    status = fields(shell("cat /proc/self/status"))
    expected = 0xA80425FB
    assert {int(status[key], 16) for key in ("CapPrm", "CapEff", "CapBnd")} == {expected}
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0


def test_a_user_has_no_capability_but_the_bounding_set(shell):
    status = fields(shell("cat /proc/self/status", process={"user": {"username": "1234:77"}}))
    assert [int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
    assert int(status["CapBnd"], 16) == 0xA80425FB
    assert status["Uid"].split() == ["1234"] * 4
    assert status["Gid"].split() == ["77"] * 4
    assert status["Groups"] == ""


def test_ambient_capabilities_reach_a_user_if_they_are_inheritable(shell):
    kinds = ("bounding", "effective", "permitted", "ambient")
    held = {kind: ["CAP_KILL"] for kind in kinds}
    process = {"user": {"uid": 1234, "gid": 0}}
    script = "grep CapEff /proc/self/status | cut -f2"
    for inheritable, expected in (([], 0), (["CAP_KILL"], 0x20)):
        given = held | {"inheritable": inheritable}
        assert int(shell(script, process=process | {"capabilities": given}), 16) == expected


def test_a_user_by_name_has_its_group_and_home(shell):
    lower = shell("id -un; id -gn; echo $HOME", process={"user": {"username": "daemon"}})
    assert lower.split() == ["daemon", "daemon", "/usr/sbin"]


def test_a_user_that_the_container_does_not_know_is_named(play):
    result = play(process={"user": {"username": "nosuchuser"}})
    assert result["error"] == "InvalidArgument"
    assert "nosuchuser" in result["message"]


def test_additional_groups_and_umask_are_taken(shell):
    user = {"uid": 5, "gid": 6, "additionalGids": [7, 8], "umask": 0o077}
    assert shell("id -u; id -G; umask", process={"user": user}).split() == [
        "5",
        "6",
        "7",
        "8",
        "0077",
    ]


def test_no_new_privileges_holds_unless_the_spec_says_otherwise(shell):
    script = "grep NoNewPrivs /proc/self/status"
    assert shell(script).split()[1] == "1"
    assert shell(script, process={"noNewPrivileges": False}).split()[1] == "0"


@pytest.mark.parametrize("held", [True, False])
def test_the_filter_is_loaded_whether_or_not_privileges_may_grow(shell, held):
    rule = {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}
    output = shell(
        "grep Seccomp: /proc/self/status; chroot / true 2>/dev/null || echo refused",
        process={"noNewPrivileges": held},
        linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}},
    )
    assert output.split() == ["Seccomp:", "2", "refused"]


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_filter_that_allows_only_what_the_command_needs_does_not_harm_the_start(shell, held, uid):
    names = ["execve", "arch_prctl", "brk", "exit_group", "getrandom", "getuid", "mprotect"]
    names += ["prctl", "prlimit64", "readlink", "rseq", "set_robust_list", "set_tid_address"]
    names += ["getgid", "setgid", "setuid", "newfstatat"]
    rule = {"names": [*names, "write"], "action": "SCMP_ACT_ALLOW"}
    profile = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule]}
    process = {
        "args": ["/bin/busybox", "echo", "alive"],
        "noNewPrivileges": held,
        "user": {"uid": uid, "gid": uid},
    }
    assert shell("", process=process, linux={"seccomp": profile}) == "alive\n"


def test_what_is_kept_for_the_filter_is_gone_after_it(shell):
    rule = {"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}
    linux = {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}}
    few = {key: ["CAP_CHOWN"] for key in ("bounding", "effective", "permitted")}
    for uid, held in ((0, 1), (1000, 0)):
        process = {"noNewPrivileges": False, "capabilities": few, "user": {"uid": uid, "gid": uid}}
        words = shell("grep Cap /proc/self/status", process=process, linux=linux).split()
        assert [int(each, 16) for each in words[1::2]] == [0, held, held, 1, 0]


def test_no_descriptor_leaks(shell):
    names = shell("ls /proc/self/fd").split()
    assert names == ["0", "1", "2", "3"]  # the last one is ls's own


def test_no_signal_is_ignored_or_blocked(shell):
    status = fields(shell("", process={"args": ["cat", "/proc/self/status"]}))
    assert int(status["SigIgn"], 16) == int(status["SigBlk"], 16) == 0


def test_the_environment_is_the_spec_s_and_a_home(shell):
    output = shell("", process={"args": ["env"], "env": ["PATH=/usr/bin:/bin", "A=b=c"]})
    assert sorted(output.splitlines()) == ["A=b=c", "HOME=/root", "PATH=/usr/bin:/bin"]


def test_standard_devices_are_there_and_work(shell):
    script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done; "
    script += "head -c 3 /dev/zero | wc -c; echo x > /dev/full || echo full; readlink /dev/fd"
    lines = shell(script).splitlines()
    assert lines[:6] == [
        "/dev/null 1:3 666",
        "/dev/zero 1:5 666",
        "/dev/full 1:7 666",
        "/dev/random 1:8 666",
        "/dev/urandom 1:9 666",
        "/dev/tty 5:0 666",
    ]
    assert lines[6] == "3"
    assert lines[-2:] == ["full", "/proc/self/fd"]


def test_other_devices_are_refused_by_the_cgroup(shell):
    rules = [
        {"allow": False, "access": "rwm"},
    ]
    script = "mknod /n c 1 3 && echo hi > /n && echo null; "
    script += "mknod /k c 1 11 && (head -c 1 /k > /dev/null 2>&1 || echo refused)"
    nodev = {"linux": {"resources": {"devices": rules}}}
    assert shell(script, **nodev).split() == ["null", "refused"]


def test_the_working_directory_is_made_and_entered(shell):
    assert shell("pwd", process={"cwd": "/made/for/this"}) == "/made/for/this\n"


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_by_a_descriptor_of_the_runtime_is_refused(play, number):
    result = play(process={"cwd": f"/proc/self/fd/{number}"})
    assert "error" in result


def test_a_terminal_is_the_controlling_one_with_its_size(play):
    process = {
        "args": ["/bin/sh", "-c", "tty; stty size; ls -l /dev/console; echo ok > /dev/tty"],
        "terminal": True,
        "consoleSize": {"height": 33, "width": 111},
    }
    output = play(process=process)["init"]["output"]
    assert output.split()[:3] == ["/dev/pts/0", "33", "111"]
    assert "136, 0" in output
    assert output.rstrip().endswith("ok")


def test_a_terminal_belongs_to_the_user(play):
    process = {
        "args": ["/bin/sh", "-c", "stat -c %u $(tty)"],
        "terminal": True,
        "user": {"uid": 1234, "gid": 0},
    }
    assert play(process=process)["init"]["output"].split() == ["1234"]


def test_a_pipe_can_be_opened_again_by_the_user(shell):
    user = {"user": {"uid": 1234, "gid": 0}}
    assert shell("echo again > /dev/stdout", process=user) == "again\n"


def test_the_exit_status_and_signals_come_through(shell):
    shell("exit 37", status=37)
    shell("sh -c 'kill -9 $$'; exit 5", status=5)


def test_a_volume_shows_the_host_s_files_and_read_only_holds_below_too(shell, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("from the host\n")
    mount = {"destination": "/vol/umes", "type": "bind", "source": str(tmp_path / "data")}
    read_only = mount | {"options": ["rbind", "rro"]}
    script = "cat /vol/umes/file; touch /vol/umes/made 2>/dev/null || echo refused"
    changes = {"+mounts": [read_only]}
    assert shell(script, **changes).splitlines() == ["from the host", "refused"]
    shell("echo back > /vol/umes/made", **{"+mounts": [mount | {"options": ["rbind"]}]})
    assert (tmp_path / "data/made").read_text() == "back\n"


def test_a_file_can_be_a_volume(shell, tmp_path):
    (tmp_path / "hosts").write_text("127.0.0.1 me\n")
    mount = {
        "destination": "/etc/new/hosts",
        "source": str(tmp_path / "hosts"),
        "options": ["bind"],
    }
    assert shell("cat /etc/new/hosts", **{"+mounts": [mount]}) == "127.0.0.1 me\n"


def test_network_and_pid_namespaces_can_be_joined_by_path(play):
    entries = [{"type": each} for each in ("mount", "uts", "ipc", "cgroup")]
    entries += [
        {"type": kind, "path": f"/proc/self/ns/{name}"}
        for kind, name in (("network", "net"), ("pid", "pid"))
    ]
    result = play(linux={"namespaces": entries})
    for name in ("net", "pid"):
        assert result["namespaces"]["init"][name] == result["namespaces"]["host"][name]


def test_a_path_to_a_namespace_of_another_type_is_refused(play):
    entries = [{"type": "mount"}, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/ipc"}]
    result = play(linux={"namespaces": entries})
    assert "join the network namespace" in result["message"]


def test_a_parameter_of_the_kernel_is_set_in_the_container_alone(shell):
    before = os.stat("/proc/sys/kernel/shmmax")
    assert stat.S_ISREG(before.st_mode)
    sysctl = {"linux": {"sysctl": {"kernel.shmmax": "123456"}}}
    assert shell("cat /proc/sys/kernel/shmmax", **sysctl) == "123456\n"
    with open("/proc/sys/kernel/shmmax") as file:
        assert file.read() != "123456\n"


def test_limits_of_the_process_are_set(shell):
    limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    output = shell("ulimit -Sn; ulimit -Hn", process={"rlimits": limits})
    assert output.split() == ["100", "200"]


@pytest.mark.parametrize(
    ("args", "kind", "words"),
    [
        (["nosuchcommand"], "CommandNotFound", "nosuchcommand"),
        (["/no/such/command"], "CommandNotFound", "/no/such/command"),
        (["/etc"], "CommandNotExecutable", "directory"),
        (["/etc/passwd"], "CommandNotExecutable", "permission"),
        (["/proc/self/exe"], "CommandNotExecutable", "proc"),
        ([], "InvalidArgument", "no command"),
    ],
)
def test_a_command_that_cannot_run_is_told_at_create(play, args, kind, words):
    result = play(["create"], process={"args": args})
    assert result["error"] == kind
    assert words in result["message"]


def test_a_script_whose_interpreter_is_in_procfs_is_refused(play, tmp_path):
    script = tmp_path / "evil"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    mount = {"destination": "/evil", "source": str(script), "options": ["bind"]}
    result = play(["create"], process={"args": ["/evil"]}, **{"+mounts": [mount]})
    assert result["error"] == "CommandNotExecutable"


def test_a_container_that_waits_can_be_killed(play):
    result = play(["create"], ["kill", 9], ["finish"], process={"args": ["sleep", "100"]})
    assert result["init"]["status"] == 137


def test_a_user_namespace_maps_root_and_the_files_of_the_layers(play):
    ids = [{"containerID": 0, "hostID": 1_600_000_000, "size": 65536}]
    script = "id -u; stat -c %u /etc/shadow; echo x > /made && stat -c %u /made; cat /proc/self/uid_map; "
    script += "echo x > /dev/null && echo null; mount -t tmpfs x /mnt 2>/dev/null || echo refused"
    linux = {
        "namespaces": [
            {"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup", "user")
        ],
        "uidMappings": ids,
        "gidMappings": ids,
    }
    result = play(process={"args": ["/bin/sh", "-c", script]}, linux=linux)
    if "cannot map ids" in result.get("message", ""):
        requirements.absent_here(result["message"])
    words = result["init"]["output"].split()
    assert words == ["0", "0", "0", "0", "1600000000", "65536", "null", "refused"]
    assert result["namespaces"]["init"]["user"] != result["namespaces"]["host"]["user"]


@pytest.mark.parametrize(
    ("key", "module", "place"),
    [
        ("apparmorProfile", "AppArmor", "/sys/kernel/security/apparmor"),
        ("selinuxLabel", "SELinux", "/sys/fs/selinux/status"),
    ],
)
def test_a_label_of_a_module_that_is_not_in_use_is_refused(play, key, module, place):
    if os.path.exists(place):
        requirements.absent_here(f"{module} is in use here")
    result = play(process={key: "some-label"})
    assert result["error"] == "FailedPrecondition"
    assert module in result["message"]


def test_a_user_namespace_has_a_terminal_and_the_host_s_network_if_asked(play, plain_mounts):
    ids = [{"containerID": 0, "hostID": 1_600_000_000, "size": 65536}]
    kinds = ("mount", "pid", "uts", "ipc", "cgroup", "user")
    process = {
        "args": ["/bin/sh", "-c", "tty; echo ok > /dev/tty; cat /sys/class/net/lo/ifindex"],
        "terminal": True,
    }
    sysfs = {
        "destination": "/sys",
        "type": "bind",
        "source": "/sys",
        "options": ["rbind", "rro", "rnosuid", "rnoexec", "rnodev"],
    }
    result = play(
        process=process,
        mounts=[each for each in plain_mounts if not each["destination"].startswith("/sys")]
        + [sysfs],
        linux={
            "namespaces": [{"type": each} for each in kinds],
            "uidMappings": ids,
            "gidMappings": ids,
            "maskedPaths": ["/sys/firmware", "/proc/keys"],
        },
    )
    if "cannot map ids" in result.get("message", ""):
        requirements.absent_here(result["message"])
    assert "error" not in result, result
    assert result["init"]["output"].split() == ["/dev/pts/0", "ok", "1"]
