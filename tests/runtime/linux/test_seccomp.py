"""Profiles compile to programs that do what they say, are kept, and name what is wrong."""

import ctypes
import errno
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import InvalidArgument, Unavailable
from runtime.linux import caps, seccomp
from runtime.oci import seccomp_default
from tests import requirements

REPOSITORY = Path(seccomp.__file__).parents[2]
NO_UNAME = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}],
}

LOAD_AND_TRY = """
import sys, json, os
sys.path.insert(0, {repository!r})
from runtime.linux import constants, seccomp, syscalls
program = seccomp.program(json.loads({profile!r}))
syscalls.prctl(constants.PR_SET_NO_NEW_PRIVS, 1)
syscalls.seccomp_filter(program)
try:
    {statement}
    print(0)
except OSError as error:
    print(error.errno)
"""


@pytest.fixture(autouse=True)
def _needs_libseccomp():
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        requirements.lacking("libseccomp.so.2 is not installed")


def errno_of(profile: object, statement: str) -> int:
    """Load the profile in a process of its own, run one statement there, and return its errno."""
    code = LOAD_AND_TRY.format(
        repository=str(REPOSITORY), profile=json.dumps(profile), statement=statement
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_refused_call_gets_the_errno_that_the_profile_gives():
    assert errno_of(NO_UNAME, "os.uname()") == errno.EXDEV


def test_what_the_profile_does_not_name_still_works():
    assert errno_of(NO_UNAME, "os.getcwd()") == 0


def test_an_argument_decides():
    condition = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    rule = {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule | {"args": [condition]}]}
    assert errno_of(profile, "os.getpgid(1)") == errno.EXDEV
    assert errno_of(profile, "os.getpgid(0)") == 0


def test_a_masked_argument_has_the_mask_first():
    condition = {"index": 0, "value": 0o7, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rule = {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule | {"args": [condition]}]}
    assert errno_of(profile, "os.getpgid(0)") == errno.EXDEV
    assert errno_of(profile, "os.getpgid(1)") == 0


DEFAULT = seccomp_default.profile(caps.DEFAULT, machine=os.uname().machine)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("syscalls.unshare(constants.CLONE_NEWUTS)", errno.EPERM),
        ("syscalls.clone3(0, exit_signal=17)", errno.ENOSYS),
        ("syscalls.join_session_keyring('x')", errno.EPERM),
        ("import socket; socket.socket(40, 1)", errno.EPERM),
        ("import socket; socket.socket(1, 1)", 0),
        ("os.waitpid(os.fork() or os._exit(0), 0)", 0),
        ("os.chroot('/')", 0),
    ],
)
def test_the_default_profile_refuses_what_dockers_does(statement: str, expected: int):
    if "chroot" in statement and os.geteuid() != 0:
        requirements.lacking("needs root")
    assert errno_of(DEFAULT, statement) == expected


def test_a_capability_brings_its_calls():
    chosen = seccomp_default.profile((*caps.DEFAULT, "CAP_SYS_ADMIN"), machine=os.uname().machine)
    assert errno_of(chosen, "syscalls.unshare(0)") == 0
    assert errno_of(DEFAULT, "syscalls.unshare(0)") == errno.EPERM


def test_the_default_profile_covers_the_machines_other_architectures():
    assert seccomp_default.profile((), machine="x86_64")["architectures"] == [
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X32",
    ]
    assert seccomp_default.profile((), machine="riscv64")["architectures"] == []


CALL = "import ctypes; c = ctypes.CDLL(None, use_errno=True)"
CALL += "; c.syscall({}, 0, 0, 0, 0); raise OSError(ctypes.get_errno(), '')"


def test_a_default_errno_is_what_calls_get():
    allowed = "exit_group exit write read close mmap munmap brk futex rt_sigaction openat"
    allowed += " newfstatat fstat lseek ioctl getdents64 pread64 mprotect rt_sigprocmask pidfd_open"
    rule = {"names": allowed.split(), "action": "SCMP_ACT_ALLOW"}
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EXDEV}
    assert errno_of(profile | {"syscalls": [rule]}, "os.uname()") == errno.EXDEV


@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]])
def test_flags_are_given_to_the_kernel_as_numbers(flags):
    assert seccomp.flags({"flags": flags}) == (3 if flags else 0)


@pytest.mark.parametrize(
    ("default", "number", "expected"),
    [
        ("SCMP_ACT_ERRNO", "1000", errno.ENOSYS),
        ("SCMP_ACT_KILL_PROCESS", "1000", errno.ENOSYS),
        ("SCMP_ACT_ERRNO", "435 - 1", errno.EPERM),  # pidfd_open: known, and not allowed
        ("SCMP_ACT_ERRNO", "436 - 1", errno.EINVAL),  # clone3, with nothing: allowed
    ],
)
def test_a_call_newer_than_the_profile_does_not_exist(default: str, number: str, expected: int):
    names = "clone3 exit_group exit write read close mmap munmap brk futex rt_sigaction openat"
    names += " newfstatat fstat lseek ioctl getdents64 pread64 mprotect rt_sigprocmask getpid"
    rule = {"names": names.split(), "action": "SCMP_ACT_ALLOW"}
    profile = {"defaultAction": default, "syscalls": [rule]}
    assert errno_of(profile, CALL.format(number)) == expected


def test_the_newest_call_is_told_apart_by_architecture():
    rule = {"names": ["read", "sethostname"], "action": "SCMP_ACT_ALLOW"}
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures}
    program = seccomp.compile_profile(profile | {"syscalls": [rule]})
    head = list(struct.iter_unpack("@HBBI", program))[:12]
    newest = {head[at + 1][3]: head[at + 4][3] for at in (0, 6)}
    assert newest == {0xC000003E: 170, 0x40000003: 74}


def test_a_program_is_kept_on_disk_and_read_back(tmp_path: Path):
    cache = tmp_path / "cache"
    first = seccomp.program(dict(NO_UNAME), cache=str(cache))
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == first
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    other = b"\x06\x00\x00\x00\x00\x00\xff\x7f"
    kept.write_bytes(other)
    assert seccomp.program(dict(NO_UNAME), cache=str(cache)) == other


def test_a_torn_file_in_the_cache_is_compiled_anew(tmp_path: Path):
    first = seccomp.program(dict(NO_UNAME), cache=str(tmp_path))
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(first[:-3])
    assert seccomp.program(dict(NO_UNAME), cache=str(tmp_path)) == first
    assert kept.read_bytes() == first


def test_call_names_newer_than_the_library_are_passed_over():
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["from_the_future"], "action": "SCMP_ACT_ERRNO"}],
    }
    assert seccomp.compile_profile(profile)


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ({"defaultAction": "SCMP_ACT_DANCE"}, "SCMP_ACT_DANCE"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}, "PDP11"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY"),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    {
                        "names": ["dup"],
                        "action": "SCMP_ACT_ERRNO",
                        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_LIKE"}],
                    }
                ],
            },
            "SCMP_CMP_LIKE",
        ),
    ],
)
def test_what_a_profile_has_wrong_is_named(profile, named):
    with pytest.raises(InvalidArgument, match=named):
        seccomp.compile_profile(profile)


def test_an_unknown_flag_is_named():
    with pytest.raises(InvalidArgument, match="SECCOMP_FILTER_FLAG_X"):
        seccomp.flags({"flags": ["SECCOMP_FILTER_FLAG_X"]})
    assert seccomp.flags({"flags": ["SECCOMP_FILTER_FLAG_LOG"]}) == 2


def test_a_host_without_the_library_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seccomp, "_SONAME", "libseccomp-is-not-here.so.2")
    with pytest.raises(Unavailable, match="libseccomp-is-not-here"):
        seccomp.compile_profile(NO_UNAME)
