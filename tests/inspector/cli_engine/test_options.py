"""How options of containers are read: Docker's words, and what nobody should be able to say."""

import argparse
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.cli.engine import create, exec, run, signals, update
from inspector.cli.engine import options as engine_options
from inspector.errors import WrongUsage
from runtime.types import ContainerOptions, Resources, Volume


def parser(module) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cinspect", allow_abbrev=False, conflict_handler="resolve")
    made.add_argument("--read-only", action="store_true", dest="global_read_only")
    module.configure(made)
    return made


def parsed(*words: str) -> ContainerOptions:
    return engine_options.container_options(parser(run).parse_args(words))


def test_the_least_is_an_image():
    assert parsed("@host") == ContainerOptions(image="@host")


def test_everything_after_the_image_belongs_to_the_command():
    found = parsed("-it", "@host", "ls", "--rm", "-e", "--", "-it", "--read-only")
    assert found.command == ("ls", "--rm", "-e", "--", "-it", "--read-only")
    assert found.tty
    assert found.interactive
    assert not found.auto_remove
    assert not found.read_only


def test_two_dashes_end_the_options():
    assert parsed("--rm", "--", "@host", "true").command == ("true",)
    assert parsed("--", "@host", "--", "x").command == ("--", "x")


def test_with_a_rootfs_there_is_no_image():
    found = parsed("--rootfs", "/srv/root", "/bin/sh", "-c", "true")
    assert (found.image, found.rootfs) == (None, "/srv/root")
    assert found.command == ("/bin/sh", "-c", "true")


def test_a_relative_rootfs_is_taken_from_here():
    assert parsed("--rootfs", "root", "true").rootfs == os.path.abspath("root")


@pytest.mark.parametrize("words", [(), ("--rootfs", "/srv/root"), ("--rm", "--")])
def test_an_image_or_a_command_must_be_there(words):
    with pytest.raises(WrongUsage, match="there is no"):
        parsed(*words)


def test_all_options_together():
    found = parsed(
        *("--name", "web", "-e", "A=1", "--env", "B=2=3", "-w", "/srv", "-u", "33:33"),
        *("--hostname", "h1", "-v", "/a:/b", "--volume", "/c:/d:ro", "-m", "64m", "--cpus", ".5"),
        *("--cpu-shares", "512", "--cpuset-cpus", "0-1", "--pids-limit", "20"),
        *("--network", "host", "--read-only", "--cgroupns", "host", "--cap-add", "net_admin"),
        *("--cap-drop", "CAP_MKNOD", "--cap-drop", "all", "--userns", "auto", "--label", "k=v"),
        *("--label", "alone", "--rm", "@host", "cmd"),
    )
    assert found == ContainerOptions(
        image="@host",
        command=("cmd",),
        name="web",
        env=("A=1", "B=2=3"),
        workdir="/srv",
        user="33:33",
        hostname="h1",
        volumes=(Volume("/a", "/b"), Volume("/c", "/d", read_only=True)),
        auto_remove=True,
        resources=Resources(
            memory_bytes=64 << 20, cpus=0.5, cpu_shares=512, cpuset_cpus="0-1", pids_limit=20
        ),
        network="host",
        read_only=True,
        cgroupns="host",
        cap_add=("CAP_NET_ADMIN",),
        cap_drop=("CAP_MKNOD", "ALL"),
        userns="auto",
        labels={"k": "v", "alone": ""},
    )


def test_read_only_after_run_is_the_containers():
    args = parser(run).parse_args(["--read-only", "@host"])
    assert args.read_only_rootfs
    assert not getattr(args, "global_read_only", False)


def test_no_limit_of_pids_is_none_for_a_new_container_and_said_to_update():
    assert parsed("--pids-limit", "-1", "@host").resources.pids_limit is None
    args = parser(update).parse_args(["--pids-limit", "-1", "web"])
    assert engine_options.resources(args).pids_limit == -1


def test_a_terminal_sets_term_unless_told_otherwise():
    assert parsed("-t", "@host").env == ("TERM=xterm",)
    assert parsed("-t", "-e", "TERM=vt100", "@host").env == ("TERM=vt100",)


def test_a_name_alone_takes_its_value_from_here(monkeypatch):
    monkeypatch.setenv("FROM_HERE", "x y")
    monkeypatch.delenv("NOT_HERE", raising=False)
    assert parsed("-e", "FROM_HERE", "-e", "NOT_HERE", "@host").env == ("FROM_HERE=x y",)


def test_an_env_file_comes_before_the_options(tmp_path):
    file = tmp_path / "env"
    file.write_bytes(b"# comment\n\nA=file\r\nB= spaced \n  # not this\nC=\xff\n")
    found = parsed("--env-file", str(file), "-e", "A=option", "@host").env
    assert found == ("A=option", "B= spaced ", "C=\udcff")


def test_a_bad_line_of_an_env_file_is_named(tmp_path):
    file = tmp_path / "env"
    file.write_text("A=1\n=2\n")
    with pytest.raises(WrongUsage, match="env, line 2: not a variable"):
        parsed("--env-file", str(file), "@host")


def test_an_env_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WrongUsage, match="No such file"):
        parsed("--env-file", str(tmp_path / "none"), "@host")


@pytest.mark.parametrize(
    "words",
    [
        ("-v", "relative:/b"),
        ("-v", "/a:b"),
        ("-v", "/a"),
        ("-v", "/a:/b:rx"),
        ("-v", ":/b"),
        ("-v", "/a:/b:ro:x"),
        ("--cpus", "nan"),
        ("--cpus", "inf"),
        ("--cpus", "-1"),
        ("-m", "4k-"),
        ("-m", "1"),
        ("-m", "99999999p"),
        ("--pids-limit", "-2"),
        ("--pids-limit", "1.5"),
        ("--cpu-shares", "1"),
        ("--cpuset-cpus", "3-1"),
        ("--cpuset-cpus", "0,"),
        ("--cpuset-cpus", "0\n1"),
        ("--hostname", "-x"),
        ("--hostname", "a b"),
        ("--hostname", "x" * 65),
        ("--network", "bridge"),
        ("--no-such-option",),
    ],
)
def test_what_makes_no_sense_ends_with_125(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser(run).parse_args([*words, "@host"])
    assert stopped.value.code == 125
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("-e", "=x"),
        ("-w", "relative"),
        ("--label", "=x"),
        ("--cap-add", "net admin"),
        ("--cap-add", ""),
    ],
)
def test_what_is_found_out_later_is_wrong_usage(words):
    with pytest.raises(WrongUsage):
        parsed(*words, "@host")


def test_exec_leaves_the_commands_options_alone():
    args = parser(exec).parse_args(["-it", "-u", "1", "web", "ls", "-i", "--user", "x"])
    assert (args.container, args.rest) == ("web", ["ls", "-i", "--user", "x"])
    assert args.user == "1"


def test_exec_needs_a_command(capsys):
    from inspector.cli.main import main

    assert main(["exec", "web"]) == 125
    assert "there is no command" in capsys.readouterr().err


def test_create_takes_what_run_takes():
    args = parser(create).parse_args(["--name", "x", "-m", "1g", "@host", "true"])
    assert engine_options.container_options(args).resources.memory_bytes == 1 << 30


@given(st.text(alphabet=string.printable, max_size=20))
def test_a_size_is_read_or_refused(text):
    try:
        found = engine_options.memory(text)
    except argparse.ArgumentTypeError:
        return
    assert found == -1 or 4096 <= found < 1 << 63


@given(st.text(alphabet="0123456789.,-eEinfa+ ", max_size=12))
def test_cpus_are_read_or_refused(text):
    try:
        found = engine_options.cpus(text)
    except argparse.ArgumentTypeError:
        return
    assert found == 0 or 0.01 <= found <= 1_000_000


@pytest.mark.parametrize(
    "words",
    [("-m", "0"), ("-m", "-1"), ("--cpus", "0"), ("--pids-limit", "0"), ("--pids-limit=-1",)],
)
def test_no_limit_is_said_as_docker_says_it(words):
    args = parser(run).parse_args([*words, "@host", "true"])
    assert engine_options.container_options(args).resources == Resources()


@given(st.text(max_size=30))
def test_a_volume_is_absolute_or_refused(text):
    try:
        found = engine_options.volume(text)
    except argparse.ArgumentTypeError:
        return
    assert found.source.startswith("/")
    assert found.target.startswith("/")


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("IOT", 6),
        ("64", 64),
    ],
)
def test_signals_by_name_and_number(word, number):
    assert signals.parse(word) == number


@pytest.mark.parametrize("word", ["", "0", "65", "SIG_DFL", "TERMS", "-9", "1.0", "RTMIN+99", "٣"])
def test_what_is_no_signal_is_refused(word):
    with pytest.raises(argparse.ArgumentTypeError, match="not a signal"):
        signals.parse(word)
