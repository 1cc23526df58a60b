"""The stand-ins do as what they stand in for does, and give way to it."""

import contextlib
import json
import subprocess
import sys
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import brief

CODE = "import sys; sys.path.append({!r}); from runtime import brief; brief.install()\n"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
SLOW = {"_sre", "collections.abc.real", "enum", "functools", "inspect", "operator", "ssl"}


@pytest.fixture
def ours():
    return brief.Json(__import__("_json"))


def outcome(function, *arguments, **named):
    try:
        return function(*arguments, **named)
    except (ValueError, TypeError, RecursionError) as error:
        return type(error).__name__, str(error)


def python(request, code):
    root = str(request.config.rootpath)
    command = [sys.executable, "-I", "-S", "-c", CODE.format(root) + code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@given(value=VALUES)
def test_what_is_encoded_is_what_the_real_one_encodes(value):
    ours = brief.Json(__import__("_json"))
    assert ours.dumps(value) == json.dumps(value)
    compact = (",", ":")
    assert ours.dumps(value, separators=compact) == json.dumps(value, separators=compact)


@given(value=VALUES, before=st.text(" \t\r\n", max_size=3), after=st.text(" \n", max_size=3))
def test_what_is_decoded_is_what_the_real_one_decodes(value, before, after):
    ours = brief.Json(__import__("_json"))
    text = before + json.dumps(value, ensure_ascii=False) + after
    assert ours.loads(text) == json.loads(text) == ours.loads(text.encode("utf-8", "surrogatepass"))


@given(data=st.binary(max_size=20) | st.text('{}[]",:0e-+ntf \\u', max_size=12))
def test_what_is_no_json_is_refused_in_the_same_words(data):
    ours = brief.Json(__import__("_json"))
    assert outcome(ours.loads, data) == outcome(json.loads, data) or data != data  # noqa: PLR0124


def test_a_value_that_json_does_not_know_is_refused_in_the_same_words(ours):
    assert outcome(ours.dumps, [{1, 2}]) == outcome(json.dumps, [{1, 2}])


def test_a_text_that_is_nested_too_deeply_is_refused_as_such(ours):
    with pytest.raises(RecursionError):
        ours.loads("[" * 100_000)


class Real(NamedTuple):
    first: int
    second: str = "s"


class Ours(brief.NamedTuple):
    first: int
    second: str = "s"

    @property
    def both(self):
        return f"{self.first}{self.second}"


@pytest.mark.parametrize(
    ("positional", "named"),
    [((1,), {}), ((1, "x"), {}), ((), {"first": 2}), ((1,), {"second": "y"})],
)
def test_a_record_is_the_same_tuple(positional, named):
    ours, real = Ours(*positional, **named), Real(*positional, **named)
    assert tuple(ours) == tuple(real)
    assert (ours.first, ours.second) == (real.first, real.second)
    assert repr(ours) == repr(real).replace("Real", "Ours")
    assert ours._replace(first=9) == real._replace(first=9)
    assert ours._asdict() == real._asdict()
    assert ours.both == f"{real.first}{real.second}"


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), ((1, "x", 2), {}), ((1,), {"first": 2}), ((1,), {"third": 2})],
)
def test_a_record_refuses_what_a_call_refuses(positional, named):
    with pytest.raises(TypeError):
        Real(*positional, **named)
    with pytest.raises(TypeError):
        Ours(*positional, **named)


def test_a_record_has_no_room_for_other_attributes():
    with pytest.raises(AttributeError):
        Ours(1).third = 3


@pytest.mark.parametrize("maker", [contextlib.contextmanager, brief.contextmanager])
@pytest.mark.parametrize("raised", [None, KeyError("k"), StopIteration(), OSError(2, "x")])
def test_a_context_sees_what_its_block_raises(maker, raised):
    seen = []

    @maker
    def context():
        try:
            yield 7
        except KeyError as error:
            seen.append(error)
        finally:
            seen.append("end")

    caught = None
    try:
        with context() as value:
            assert value == 7
            if raised is not None:
                raise raised
    except (OSError, StopIteration) as error:
        caught = error
    assert caught is (None if isinstance(raised, KeyError) else raised)
    assert seen == ([raised] if isinstance(raised, KeyError) else []) + ["end"]


def test_a_context_that_yields_twice_is_told_of():
    @brief.contextmanager
    def context():
        yield
        yield

    with pytest.raises(RuntimeError), context():
        pass


def test_suppressed_is_what_was_named():
    with brief.suppress(FileNotFoundError):
        raise FileNotFoundError
    with pytest.raises(PermissionError), brief.suppress(FileNotFoundError):
        raise PermissionError


def test_sockets_pass_descriptors(request):
    code = """
import os, socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
r, w = os.pipe()
socket.send_fds(a, [b"x"], [r])
data, (got,), _, _ = socket.recv_fds(b, 10, 1)
os.write(w, b"through")
print(data, os.read(got, 10))
path = "\\0cinspect-brief-%d" % os.getpid()
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); server.bind(path); server.listen()
with socket.socket(socket.AF_UNIX) as client:
    client.connect(path)
    there, _ = server.accept()
    client.sendall(b"hello")
    print(there.recv(9))
print(client.fileno())
"""
    assert python(request, code) == "b'x' b'through'\nb'hello'\n-1\n"


def test_the_real_modules_come_when_they_are_asked_for_more(request):
    code = """
import contextlib, hashlib, json, re, signal, typing
print(signal.SIGKILL, re.compile("a(b)").match("ab")[1], json.dumps([1]), "enum" in sys.modules)
print(signal.Signals(9).name, json.dumps({"b": 1, "a": 2}, sort_keys=True), hashlib.md5().name)
print(typing.get_origin(typing.Optional[int]), contextlib.ExitStack().__class__.__name__)
import subprocess, asyncio, collections
print(subprocess.run(["true"]).returncode, collections.Counter("aa")["a"])
print(hashlib.sha256(b"").hexdigest()[:8])
"""
    assert python(request, code).splitlines() == [
        "9 b [1] True",
        'SIGKILL {"a": 2, "b": 1} md5',
        "typing.Union ExitStack",
        "0 2",
        "e3b0c442",
    ]


def test_what_was_loaded_before_stays(request):
    code = "import json; from runtime import brief; print(json is sys.modules['json'])"
    assert python(request, code) == "True\n"


def test_what_a_run_needs_brings_none_of_the_slow_modules(request):
    code = "from runtime.command import main, creation; print(*sys.modules)"
    assert not set(python(request, code).split()) & SLOW


def test_calls_of_the_c_library_go_as_with_ctypes(request):
    code = """
import ctypes
libc = ctypes.PyDLL(None, use_errno=True)
libc.strerror.restype, libc.strerror.argtypes = ctypes.c_char_p, [ctypes.c_int]
libc.labs.restype, libc.labs.argtypes = ctypes.c_long, [ctypes.c_long]
print(libc.strerror(2), libc.labs(-1 << 40), libc.close(-1), ctypes.get_errno())
for size in (None, 3, 5):
    print(ctypes.create_string_buffer(b"a\\0b", *([size] if size else [])).raw)
print(ctypes.create_string_buffer(2).raw, ctypes.c_uint32(-1).value)
number = ctypes.c_int(7)
libc.sscanf(b"42", b"%d", ctypes.byref(number))
print(number.value, ctypes.addressof(number) > 0)
for wrong in (lambda: libc.no_such_function, lambda: ctypes.PyDLL("no-such-library.so"),
              lambda: ctypes.create_string_buffer(b"abc", 2)):
    try:
        wrong()
    except (AttributeError, OSError, ValueError) as error:
        print(type(error).__name__)
"""
    ours = python(request, code + "print('types' in __import__('sys').modules)")
    real = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True
    ).stdout
    assert ours == real + "False\n"
    assert len(real.splitlines()) == 9


def test_what_ctypes_has_beyond_that_comes_from_itself(request):
    code = """
import ctypes
before = ctypes.c_char_p
import ctypes.util
class Pair(ctypes.Structure):
    _fields_ = [("text", before), ("size", ctypes.c_uint64)]
print(Pair(b"abc", 2).text, ctypes.sizeof(Pair), ctypes.CDLL(None).abs(-3))
"""
    assert python(request, code) == "b'abc' 16 3\n"
