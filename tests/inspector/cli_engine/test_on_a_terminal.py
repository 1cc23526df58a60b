"""`run -it`, `exec -it` and the rest on a real pseudo-terminal."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

from tests import traces

pytestmark = pytest.mark.root


class Terminal:
    """A pseudo-terminal with a program on it."""

    def __init__(self, argv, environment, *, columns=97, lines=31):
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (lines, columns))
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            argv,
            env=environment,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )
        self.seen = ""

    def expect(self, pattern: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self.seen!r}"
            if select.select([self.master], [], [], min(left, 0.2))[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found[0]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        termios.tcsetwinsize(self.slave, (lines, columns))
        self.process.send_signal(signal.SIGWINCH)

    def end(self, seconds: float = 20) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        status = self.process.wait(1)
        assert termios.tcgetattr(self.slave) == self.before, "the terminal was not given back"
        return status


@pytest.fixture
def on_terminal(cinspect):
    made = []

    def start(*words, **options):
        made.append(Terminal([*cinspect.argv, *words], cinspect.environment, **options))
        return made[-1]

    yield start
    for each in made:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.wait()
        os.close(each.master)
        os.close(each.slave)


def test_a_shell_has_the_size_the_keys_and_the_last_word(on_terminal, cinspect):
    shell = on_terminal("run", "--rm", "-it", "@host", "sh")
    shell.expect(r"# ")
    shell.type("stty size\n")
    shell.expect(r"31 97")
    shell.resize(120, 40)
    time.sleep(0.3)
    shell.type("stty size\n")
    shell.expect(r"40 120")
    shell.type("echo $((6*7)) $TERM; tty\n")
    shell.expect(r"42 xterm\r\n/dev/")
    shell.type("sleep 1000\n")
    time.sleep(0.3)
    shell.type("\x03")
    shell.type("echo status $?\n")
    shell.expect(r"status 130")
    shell.type("exit 5\n")
    assert shell.end() == 5
    assert cinspect.ids() == []


def test_the_size_is_right_from_the_first_moment(on_terminal):
    program = on_terminal("run", "--rm", "-it", "@host", "stty", "size")
    assert program.end() == 0
    assert "31 97" in program.seen


def test_end_of_file_by_key_ends_a_shell(on_terminal):
    shell = on_terminal("run", "--rm", "-it", "@host", "sh")
    shell.expect(r"# ")
    shell.type("\x04")
    assert shell.end() == 0


def test_the_detach_keys_leave_the_container_running(on_terminal, cinspect):
    shell = on_terminal("run", "-it", "--name", "left", "@host", "sh")
    shell.expect(r"# ")
    shell.type("\x10\x11")
    assert shell.end() == 0
    assert "Up" in cinspect.ok("ps")
    assert cinspect.run("exec", "left", "true").returncode == 0


def test_a_client_that_is_hung_up_on_gives_the_terminal_back(on_terminal, cinspect):
    shell = on_terminal("run", "-it", "--name", "hung", "@host", "sh")
    shell.expect(r"# ")
    shell.process.send_signal(signal.SIGHUP)
    assert shell.end() == 129
    assert "hung" in cinspect.ok("ps")


def test_a_command_that_is_not_there_gives_the_terminal_back(on_terminal, cinspect):
    program = on_terminal("run", "--rm", "-it", "@host", "no-such-command-1")
    assert program.end() == 127
    assert "no-such-command-1" in program.seen
    assert cinspect.ids() == []


def test_exec_has_a_terminal_of_its_own(on_terminal, cinspect):
    cinspect.detached("--name", "target", "@host", "sleep", "60")
    shell = on_terminal("exec", "-it", "-e", "X=y", "-w", "/usr", "target", "sh")
    shell.expect(r"# ")
    shell.type("stty size; pwd; echo $X; ps -o pid= -p 1\n")
    shell.expect(r"31 97\r\n/usr\r\ny\r\n +1")
    shell.resize(80, 24)
    time.sleep(0.3)
    shell.type("stty size\n")
    shell.expect(r"24 80")
    shell.type("exit 9\n")
    assert shell.end() == 9


def test_exec_in_somebody_elses_sandbox_has_a_terminal_of_its_own(on_terminal, sandbox):
    shell = on_terminal("exec", "-it", "-e", "SECRET=whisper", sandbox, "sh")
    shell.expect(r"# ")
    assert not any("whisper" in line for line in traces.processes("--env-fd").values())
    shell.type("stty size; tty || true; echo $SECRET\n")
    shell.expect(r"31 97")
    shell.expect(r"\r\nwhisper")
    shell.resize(90, 20)
    time.sleep(0.3)
    shell.type("stty size\n")
    shell.expect(r"20 90")
    shell.type("sleep 100\n")
    time.sleep(0.3)
    shell.type("\x03")
    shell.type("echo status $?\n")
    shell.expect(r"status 130")
    shell.type("exit 3\n")
    assert shell.end() == 3


def test_a_large_listing_on_a_terminal_arrives_whole(on_terminal):
    program = on_terminal("run", "--rm", "-it", "@host", "seq", "1", "20000")
    assert program.end() == 0
    while select.select([program.master], [], [], 0.2)[0]:
        program.seen += os.read(program.master, 65536).decode()
    assert program.seen.replace("\r", "").split() == [str(n) for n in range(1, 20001)]


def test_attach_takes_a_shell_up_again_where_it_was_left(on_terminal, cinspect):
    shell = on_terminal("run", "-it", "--name", "left", "@host", "sh")
    shell.expect(r"# ")
    shell.type("kept=yes\n\x10\x11")
    assert shell.end() == 0
    again = on_terminal("attach", "left", columns=101, lines=29)
    again.type("\n")
    again.expect(r"# ")
    again.type("echo $kept; stty size\n")
    again.expect(r"yes\r\n29 101")
    again.type("exit 6\n")
    assert again.end() == 6


def test_attach_without_a_terminal_prints_what_comes_and_has_the_status(cinspect):
    command = "until [ -e /tmp/go ]; do sleep 0.05; done; echo out; echo err >&2; exit 3"
    cinspect.detached("--name", "quiet", "@host", "sh", "-c", f"rm -f /tmp/go; {command}")
    client = cinspect.start("attach", "quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    assert cinspect.run("exec", "quiet", "touch", "/tmp/go").returncode == 0
    out, err = client.communicate(timeout=20)
    assert (client.returncode, out, err) == (3, b"out\n", b"err\n")


def test_attach_to_what_has_ended_says_so(cinspect):
    cinspect.ok("run", "--name", "over", "@host", "true")
    done = cinspect.run("attach", "over")
    assert done.returncode == 125
    assert b"over" in done.stderr
    assert done.stderr.count(b"\n") == 1
