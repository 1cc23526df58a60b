"""What is loaded when: a headless command never loads the terminal, and hardly more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

FIXTURE = Path(__file__).parent.parent / "fixtures" / "v2-systemd"
TERMINAL = {"textual", "rich"}
HEAVY = TERMINAL | {"pyroute2", "ssl", "grpclib", "google.protobuf", "h2", "psutil"}
SHIM = HEAVY | {"msgspec", "sqlite3", "importlib.metadata"}
MOST_FOR_DUMP = 330


def loaded(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stderr.splitlines()[-1].split())


def command(*arguments: str) -> str:
    return f"from inspector.cli.main import main; assert main({list(arguments)!r}) == 0"


@pytest.mark.parametrize(
    "module", ["runtime.api", "collectors.registry", "inspector.cli.main", "inspector.derive"]
)
def test_importing_a_lower_folder_loads_no_terminal(module):
    assert not loaded(f"import {module}") & TERMINAL


def test_the_version_loads_next_to_nothing():
    assert not loaded(command("--version")) & (HEAVY | {"asyncio", "msgspec", "logging"})


def test_the_executable_tells_its_version_with_hardly_more_than_the_interpreter():
    start = (
        "from inspector.cli.start import main; import sys; sys.argv = ['x', '--version']; main()"
    )
    assert len(loaded(start) - loaded("import sys")) <= 6


@pytest.mark.parametrize("verb", ["ps", "run", "exec", "logs"])
def test_a_verb_of_the_engine_loads_no_tls_and_no_terminal(verb):
    assert not loaded(f"{command(verb, '--help')}") & (TERMINAL | {"ssl", "_ssl", "_hashlib"})


def test_a_dump_of_a_recorded_host_loads_nothing_heavy(capsys):
    modules = loaded(command("dump", "--host-root", str(FIXTURE)))
    with capsys.disabled():
        print(f"[dump: {len(modules)} modules]", end=" ")  # noqa: T201 - the figure is to be seen
    assert not modules & HEAVY
    assert len(modules) <= MOST_FOR_DUMP


def test_a_dump_of_this_host_loads_no_terminal_and_no_containerd_client_without_need():
    modules = loaded(command("dump", "--section", "processes"))
    assert not modules & TERMINAL
    if not Path("/run/containerd/containerd.sock").exists():
        assert not modules & {"grpclib", "h2", "google.protobuf"}


@pytest.mark.parametrize("verb", ["schema", "doctor"])
def test_other_headless_verbs_load_no_terminal(verb):
    assert not loaded(command(verb)) & TERMINAL


def test_the_shim_starts_with_little():
    extra = loaded("import runtime.shim.entry") - loaded("import sys")
    assert not extra & SHIM


def test_ssl_is_there_for_who_wants_it_after_all():
    assert "ssl" in loaded(
        f"{command('dump', '--host-root', str(FIXTURE))}; import ssl; ssl.SSLContext"
    )


def test_importing_a_module_does_nothing():
    code = "import threading, asyncio, inspector.cli.live, inspector.hub, runtime.api"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", f"{code}\nassert threading.active_count() == 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
