"""One more process by the command line: who it is, what it has, where its terminal goes."""

import array
import json
import os
import socket
import subprocess
import threading

import pytest

from tests import command

pytestmark = pytest.mark.root


def test_flags_say_who_it_is(runtime):
    runtime.running("one")
    flags = ("--user", "7:8", "--additional-gids", "9", "--cwd", "/data", "--env", "FLOWER=rose")
    script = "id -u; id -g; id -G; readlink /proc/self/cwd; echo $FLOWER"
    words = runtime("exec", *flags, "one", "sh", "-c", script).stdout.split("\n")
    assert words[:2] == ["7", "8"]
    assert set(words[2].split()) == {"8", "9"}
    assert words[3:5] == ["/data", "rose"]


def test_a_capability_can_be_added(runtime):
    runtime.running("one")
    before, after = (
        runtime("exec", *flags, "one", "grep", "CapEff", "/proc/self/status").stdout.split()[1]
        for flags in ((), ("--cap", "CAP_CHOWN"))
    )
    assert int(after, 16) == int(before, 16) | 1


def test_it_is_in_all_namespaces_and_cgroups_of_the_container(runtime):
    runtime.running("one")
    script = "for n in mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup"
    inner = runtime("exec", "one", "sh", "-c", script).stdout.split("\n")
    pid = runtime.state("one")["pid"]
    names = ("mnt", "pid", "net", "uts", "ipc", "cgroup")
    assert inner[:6] == [os.readlink(f"/proc/{pid}/ns/{name}") for name in names]
    assert {line.split(":", 2)[2] for line in inner[6:] if line} == {"/"}


def test_a_process_comes_as_json_with_nothing_of_the_container_s_environment(runtime):
    runtime.running("one")
    path = runtime.directory / "process.json"
    path.write_text(json.dumps({"args": ["env"], "cwd": "/", "env": ["PATH=/bin", "A=b=c"]}))
    assert set(runtime("exec", "--process", str(path), "one").stdout.split()) == {
        "PATH=/bin",
        "A=b=c",
        "HOME=/",
    }


def test_a_process_may_come_through_a_pipe(runtime):
    runtime.running("one")
    given = json.dumps({"args": ["echo", "piped"], "cwd": "/", "env": ["PATH=/bin"]})
    done = runtime("exec", "--process", "/dev/stdin", "one", stdin=given)
    assert done.stdout == "piped\n"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"args": [], "cwd": "/"}, "args"),
        ({"args": ["true"]}, "cwd"),
        ({"args": ["true"], "cwd": "relative"}, "cwd"),
        ({"args": "true", "cwd": "/"}, "args"),
        ({"args": ["true"], "cwd": "/", "user": {"uid": -1}}, "user.uid"),
        ({"args": ["true"], "cwd": "/", "capabilities": {"bounding": ["CAP_ROSE"]}}, "CAP_ROSE"),
    ],
)
def test_a_process_that_is_none_is_refused_by_name(runtime, value, named):
    runtime.running("one")
    path = runtime.directory / "process.json"
    path.write_text(json.dumps(value))
    done = runtime("exec", "--process", str(path), "one", check=False)
    assert done.returncode == 255
    assert named in done.stderr


def test_the_exit_status_is_the_command_s(runtime):
    runtime.running("one")
    assert runtime("exec", "one", "sh", "-c", "exit 7", check=False).returncode == 7
    assert runtime("exec", "one", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    done = runtime("exec", "one", "nonesuch", check=False)
    assert done.returncode == 255
    assert "executable file not found" in done.stderr


def test_a_stopped_container_runs_nothing(runtime):
    runtime.running("one")
    runtime("kill", "one", "KILL")
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    assert "not running" in runtime("exec", "one", "true", check=False).stderr


def test_descriptors_are_handed_on_if_asked_for_and_no_others(runtime):
    path = runtime.directory / "given"
    path.write_text("a rose\n")
    bundle = runtime.bundle("sh", "-c", "cat <&3; ls /proc/self/fd")
    words = ("run", "--preserve-fds", "1", "--bundle", bundle, "one")

    def open_two() -> None:
        descriptor = os.open(path, os.O_RDONLY)
        for number in (3, 200):
            os.dup2(descriptor, number)

    done = subprocess.run(
        (*runtime.command, "--root", str(runtime.directory / "state"), *words),
        check=True,
        capture_output=True,
        text=True,
        close_fds=False,
        preexec_fn=open_two,
    )
    # The 4 is ls's own, open on the directory.
    assert done.stdout.split("\n")[:-1] == ["a rose", "0", "1", "2", "3", "4"]


def test_a_descriptor_that_is_not_open_is_not_handed_on(runtime):
    done = runtime("run", "--preserve-fds", "7", "-b", runtime.bundle("true"), "one", check=False)
    assert "--preserve-fds" in done.stderr


class Receiver(threading.Thread):
    """Takes the one descriptor that comes over a listening socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(path)
        self.server.listen()
        self.server.settimeout(30)
        self.descriptor = -1
        self.start()

    def run(self) -> None:
        connection, _ = self.server.accept()
        with connection, self.server:
            _, ancillary, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
            for _, _, data in ancillary:
                self.descriptor = array.array("i", data[:4])[0]


def test_a_terminal_goes_to_the_console_socket(runtime):
    path = str(runtime.directory / "console.sock")
    receiver = Receiver(path)
    bundle = runtime.bundle(
        "sh",
        "-c",
        "tty; stty size; cat",
        process={"terminal": True, "consoleSize": {"height": 7, "width": 33}},
    )
    runtime.quietly("create", "-b", bundle, "--console-socket", path, "one")
    receiver.join(30)
    runtime("start", "one")
    data = b""
    while data.count(b"\n") < 2:
        data += os.read(receiver.descriptor, 1000)
    os.write(receiver.descriptor, b"\4")
    os.close(receiver.descriptor)
    assert data.split() == [b"/dev/console", b"7", b"33"] or data.split() == [
        b"/dev/pts/0",
        b"7",
        b"33",
    ]


def test_a_terminal_without_anybody_for_it_is_refused(runtime):
    bundle = runtime.bundle("true", process={"terminal": True})
    assert "--console-socket" in runtime("create", "-b", bundle, "one", check=False).stderr
    bundle = runtime.bundle("true")
    done = runtime("create", "-b", bundle, "--console-socket", "/x", "one", check=False)
    assert "--console-socket" in done.stderr


def test_a_terminal_of_the_caller_is_copied(runtime):
    bundle = runtime.bundle(
        "sh", "-c", "tty; read line; echo got $line", process={"terminal": True}
    )
    done = runtime("run", "-b", bundle, "one", stdin="a rose\n")
    assert "/dev/" in done.stdout
    assert "got a rose" in done.stdout
    runtime.running("two")
    assert "/dev/pts/0" in runtime("exec", "--tty", "two", "tty").stdout


def test_cpus_are_chosen_for_an_exec(runtime):
    runtime.running("one")
    path = runtime.directory / "process.json"
    process = {
        "args": ["grep", "Cpus_allowed_list", "/proc/self/status"],
        "cwd": "/",
        "env": ["PATH=/bin"],
    }
    cpu = max(os.sched_getaffinity(0))
    path.write_text(
        json.dumps(process | {"execCPUAffinity": {"initial": str(cpu), "final": str(cpu)}})
    )
    assert runtime("exec", "-p", str(path), "one").stdout.split()[1] == str(cpu)
    path.write_text(json.dumps(process | {"execCPUAffinity": {"final": "a rose"}}))
    assert "execCPUAffinity.final" in runtime("exec", "-p", str(path), "one", check=False).stderr
