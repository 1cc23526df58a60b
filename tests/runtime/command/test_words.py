"""The command line is read as the other runtimes read it, and errors are told where engines look."""

import json

import pytest

from runtime.command import arguments, lifecycle, limits, table, usage
from runtime.command.arguments import Option, Request
from runtime.errors import InvalidArgument

OPTIONS = (
    Option("bundle", "DIR", short="b"),
    Option("detach", short="d"),
    Option("env", "K", many=True),
)


def read(*words: str, in_order: bool = False) -> Request:
    request = Request("run")
    arguments.read(words, OPTIONS, request, in_order=in_order)
    return request


@pytest.mark.parametrize(
    "words", [("--bundle", "/x"), ("-bundle", "/x"), ("--bundle=/x",), ("-b", "/x"), ("-b=/x",)]
)
def test_a_flag_has_one_dash_or_two_and_a_value_either_way(words):
    request = read(*words, "one")
    assert request.text("bundle") == "/x"
    assert request.arguments == ("one",)


def test_flags_may_follow_arguments_where_nothing_of_the_container_does():
    assert read("one", "--detach").on("detach")
    request = read("one", "ls", "-d", in_order=True)
    assert not request.on("detach")
    assert request.arguments == ("one", "ls", "-d")


def test_a_switch_takes_a_value_after_an_equals_sign():
    assert read("--detach=true").on("detach")
    assert not read("--detach=false").on("detach")
    with pytest.raises(InvalidArgument, match="invalid boolean"):
        read("--detach=perhaps")


def test_a_flag_may_be_repeated_if_it_takes_many():
    assert read("--env", "A=1", "--env", "B=2").every("env") == ["A=1", "B=2"]


@pytest.mark.parametrize("words", [("--nonesuch",), ("-x",), ("--bundle",), ("---detach",)])
def test_what_is_no_flag_is_named(words):
    with pytest.raises(InvalidArgument, match="flag"):
        read(*words)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("KILL", 9),
        ("SIGTERM", 15),
        ("sigint", 2),
        ("RTMIN+3", 37),
        ("SIGRTMAX-1", 63),
        ("64", 64),
    ],
)
def test_signals_have_names_and_numbers(text, number):
    assert lifecycle.parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "ROSE", "RTMIN+99", "SIG", "9.5"])
def test_what_is_no_signal_is_refused(text):
    with pytest.raises(InvalidArgument):
        lifecycle.parse_signal(text)


@pytest.mark.parametrize(
    ("text", "number"), [("64m", 64 << 20), ("-1", -1), ("5", 5), ("1GiB", 1 << 30), ("3kb", 3072)]
)
def test_sizes_have_units(text, number):
    assert limits.size(text, "memory") == number


@pytest.mark.parametrize("text", ["", "m", "5x", "1.5g", "5mm"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InvalidArgument):
        limits.size(text, "memory")


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("1m30s", 90), ("250ms", 0.25)])
def test_intervals_have_units(text, seconds):
    assert usage.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "s", "5s!"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(InvalidArgument):
        usage.duration(text)


def test_each_command_and_flag_has_one_name():
    names = [each.name for each in table.COMMANDS]
    assert len(names) == len(set(names))
    for each in table.COMMANDS:
        flags = [name for option in each.options for name in (option.name, option.short) if name]
        assert len(flags) == len(set(flags)), each.name


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_is_in_the_log_too(runtime, form):
    log = runtime.directory / "log"
    done = runtime("--log", str(log), "--log-format", form, "state", "no", check=False)
    assert "does not exist" in done.stderr
    line = log.read_text()
    if form == "json":
        entry = json.loads(line)
        assert entry["level"] == "error"
        assert "does not exist" in entry["msg"]
        assert entry["time"].endswith("Z")
    else:
        assert "level=error" in line


def test_an_endless_error_keeps_its_beginning_and_its_end(refused):
    said = refused(ociVersion="9" * 100_000)
    assert said.startswith("cinspect-oci: ociVersion: '9999")
    assert said.endswith("999' is not a version\n")
    assert len(said) < 5000


def test_a_log_that_cannot_be_written_does_not_hide_the_error(runtime):
    done = runtime("--log", "/nonexistent/log", "state", "no", check=False)
    assert "does not exist" in done.stderr
    assert "/nonexistent/log" in done.stderr


@pytest.mark.parametrize(
    "words", [("--help",), ("help",), (), ("create", "--help"), ("--version",)]
)
def test_help_is_on_stdout(runtime, words):
    done = runtime(*words)
    assert "cinspect-oci" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [("dance",), ("create",), ("create", "a", "b"), ("--root",), ("list", "x")]
)
def test_a_line_that_is_none_is_refused(runtime, words):
    done = runtime(*words, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cinspect-oci: ")
    assert "Traceback" not in done.stderr


def test_features_name_what_there_is(runtime):
    features = json.loads(runtime("features").stdout)
    assert features["ociVersionMin"] == "1.0.0"
    assert {"rro", "idmap", "tmpcopyup", "rslave"} <= set(features["mountOptions"])
    assert (
        features["linux"]["cgroup"]["systemd"] is features["linux"]["cgroup"]["systemdUser"] is True
    )
    assert features["linux"]["intelRdt"] == dict.fromkeys(
        ("enabled", "schemata", "monitoring"), True
    )
    assert "time" in features["linux"]["namespaces"]
    assert "SCMP_ACT_NOTIFY" in features["linux"]["seccomp"]["actions"]
