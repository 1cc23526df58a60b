"""Labels of the security modules that the kernel uses: the command is really confined by them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import requirements

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROFILE = "cinspect-oci-test"
RULES = f"""
profile {PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  signal,
  deny /data/** w,
}}
profile {PROFILE}-other flags=(attach_disconnected,mediate_deleted) {{
  file,
}}
"""
TELL = "cat /proc/self/attr/current; echo x 2>&1 > /data/x && echo written || echo denied"


@pytest.fixture
def profile() -> Iterator[str]:
    """Load two profiles; return the first one's name, under which nothing is written to /data."""
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    if not enabled.exists() or enabled.read_bytes()[:1] != b"Y":
        requirements.absent_here("this kernel does not use AppArmor")
    requirements.commands("apparmor_parser")
    parser = ("apparmor_parser", "--skip-cache")
    subprocess.run((*parser, "--replace"), check=True, input=RULES, text=True)
    yield PROFILE
    subprocess.run((*parser, "--remove"), check=True, input=RULES, text=True)


def confined(profile: str, **process: object) -> dict:
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
    return {"process": {"apparmorProfile": profile, **process}, "+mounts": [mount]}


@pytest.mark.parametrize("growing", [False, True])
def test_a_profile_confines_the_command(runtime, profile, growing):
    said = runtime.sh(TELL, **confined(profile, noNewPrivileges=not growing)).splitlines()
    assert (said[0], said[-1]) == (f"{profile} (enforce)", "denied")


def test_without_a_profile_the_command_is_not_confined(runtime, profile):
    del profile
    assert runtime.sh(TELL, **confined("")).splitlines() == ["unconfined", "written"]


def test_a_profile_confines_one_more_process(runtime, profile):
    runtime.running("one", **confined(profile))
    said = runtime("exec", "one", "sh", "-c", TELL).stdout.splitlines()
    assert (said[0], said[-1]) == (f"{profile} (enforce)", "denied")
    other = ("exec", "--apparmor", f"{profile}-other", "one", "cat", "/proc/self/attr/current")
    assert runtime(*other).stdout == f"{profile}-other (enforce)\n"


def test_a_profile_that_is_not_loaded_is_named(runtime, refused, profile):
    del profile
    assert "process.apparmorProfile: use the AppArmor label no-such-rose: " in refused(
        **confined("no-such-rose")
    )


@pytest.fixture
def context() -> str:
    """Return a context that is not the runtime's own, but that the kernel knows without a policy."""
    if not os.path.exists("/sys/fs/selinux/status"):
        requirements.absent_here("this kernel does not use SELinux")
    own = Path("/proc/self/attr/current").read_text().rstrip("\0\n")
    if own != "kernel":
        requirements.absent_here(f"a policy is loaded: this is {own}")
    return "unlabeled"


def test_a_context_is_the_commands(runtime, context):
    script = "cat /proc/self/attr/current"
    assert runtime.sh(script).rstrip("\0\n") == "kernel"
    said = runtime.sh(script, process={"selinuxLabel": context})
    assert said.rstrip("\0\n") == context
    runtime.running("one", process={"selinuxLabel": context})
    said = runtime("exec", "one", "sh", "-c", script).stdout
    assert said.rstrip("\0\n") == context


def test_a_context_that_no_mount_can_have_is_told_of_with_the_mount(refused, context):
    """Mounts have contexts once a policy is loaded: until then the kernel takes none."""
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
    said = refused(linux={"mountLabel": context}, **{"+mounts": [mount]})
    assert "Invalid argument" in said


SIDS = (
    *("kernel", "security", "unlabeled", "fs", "file", "file_labels", "init", "any_socket", "port"),
    *("netif", "netmsg", "node", "igmp_packet", "icmp_socket", "tcp_socket", "sysctl_modprobe"),
    *("sysctl", "sysctl_fs", "sysctl_kernel", "sysctl_net", "sysctl_net_unix", "sysctl_vm"),
    *("sysctl_dev", "kmod", "policy", "scmp_packet", "devnull"),
)
"""By number (security/selinux/include/initial_sid_to_string.h)."""
OWN, OTHER = "test_u:test_r:test_t", "test_u:test_r:rose_t"
POLICY = "\n".join(
    (
        "class process class file",
        *(f"sid {name}" for name in SIDS),
        "class process { transition dyntransition }",
        "class file { read }",
        "type test_t; type rose_t; type nettle_t; typebounds test_t rose_t;",
        "role test_r; role test_r types { test_t rose_t };",
        "allow { test_t rose_t } { test_t rose_t }:process *;",
        "allow { test_t rose_t } { test_t rose_t }:file read; allow test_t nettle_t:file read;",
        "user test_u roles { test_r };",
        *(f"sid {name} {OWN}" for name in SIDS),
        f"fs_use_trans tmpfs {OWN};",
        f"genfscon proc / {OWN}",
        "",
    )
)
"""Two types that may do all but one thing: what is not defined, is allowed (--handle-unknown).

The second may not read files of a third. It may do no more than the first: without privileges to gain
a process goes to no other.
"""


@pytest.fixture
def policy(tmp_path: Path) -> None:
    """Load the policy, if it is not loaded yet: there is no way back."""
    if not os.path.exists("/sys/fs/selinux/status"):
        requirements.absent_here("this kernel does not use SELinux")
    requirements.commands("checkpolicy")
    if not Path("/proc/self/attr/current").read_text().startswith(OWN):
        source, compiled = tmp_path / "policy.conf", tmp_path / "policy"
        source.write_text(POLICY)
        words = ("checkpolicy", "--handle-unknown=allow", "-c", "33", "-o", compiled, source)
        subprocess.run(words, check=True)
        Path("/sys/fs/selinux/load").write_bytes(compiled.read_bytes())


def contexts(runtime, label: str, *options: str) -> list[str]:
    """Return of each tmpfs in a container what its mount says of its context."""
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": [*options]}
    said = runtime.sh(
        "grep ' - tmpfs ' /proc/self/mountinfo", linux={"mountLabel": label}, **{"+mounts": [mount]}
    )
    return [line.rpartition("context=")[2] for line in said.splitlines() if " /data " in line]


def test_contexts_of_a_loaded_policy_are_the_commands_and_the_mounts(runtime, policy):
    del policy
    script = "cat /proc/self/attr/current"
    assert runtime.sh(script).rstrip("\0\n") == OWN
    assert runtime.sh(script, process={"selinuxLabel": OTHER}).rstrip("\0\n") == OTHER
    for label, options in (
        ("test_u:object_r:rose_t", ["mode=700"]),
        ("test_u:object_r:test_t", ["tmpcopyup"]),
    ):
        (told,) = contexts(runtime, label, *options)
        assert told.split(",")[0] == label


@pytest.fixture
def enforce(policy: None) -> Iterator[Path]:
    """Return the file that says whether the policy is obeyed; it is not, at the end."""
    file = Path("/sys/fs/selinux/enforce")
    yield file
    file.write_text("0")


def test_a_context_is_denied_the_files_of_another_once_the_policy_is_enforced(runtime, enforce):
    def read_as(label: str) -> str:
        mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
        script = "echo x > /data/x; cat /data/x 2>&1"
        return runtime.sh(
            f"{script} || echo denied",
            linux={"mountLabel": "test_u:object_r:nettle_t"},
            process={"selinuxLabel": label},
            **{"+mounts": [mount]},
        )

    enforce.write_text("0")
    assert read_as(OTHER) == "x\n"
    enforce.write_text("1")
    assert read_as(OWN) == "x\n"
    assert "Permission denied\ndenied\n" in read_as(OTHER)


def test_a_context_that_the_policy_lacks_is_refused(refused, policy):
    del policy
    said = refused(process={"selinuxLabel": "test_u:test_r:thorn_t"})
    assert "process.selinuxLabel: use the SELinux label test_u:test_r:thorn_t: " in said
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
    said = refused(linux={"mountLabel": "test_u:object_r:thorn_t"}, **{"+mounts": [mount]})
    assert "linux.mountLabel" in said
