"""What a shim loads: it is started for each container and stays, so every module is paid for often."""

import json
import subprocess
import sys

CODE = """
import sys
sys.path.append(sys.argv[1])
import runtime.shim.entry
if sys.argv[2] == "server":
    import runtime.shim.server
    import runtime.init.launcher
import json
print(json.dumps(sorted(sys.modules)))
"""
FORBIDDEN = {
    "asyncio",
    "concurrent",
    "dataclasses",
    "email",
    "google",
    "grpclib",
    "http",
    "inspect",
    "logging",
    "msgspec",
    "multiprocessing",
    "pathlib",
    "psutil",
    "pyroute2",
    "rich",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "textual",
    "threading",
    "urllib",
    "inspector",
    "collectors",
    "screens",
}


def loaded(request, what):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CODE, str(request.config.rootpath), what],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_a_shim_loads_nothing_big(request):
    modules = loaded(request, "server")
    assert not {name.partition(".")[0] for name in modules} & FORBIDDEN
    assert "runtime.types" not in modules
    assert "runtime.metadata.store" not in modules


def test_the_number_of_modules_that_a_shim_loads_does_not_creep_up(request):
    # 165 with Python 3.11; a few more or less in other versions
    assert len(loaded(request, "server")) < 170


def test_the_start_of_a_shim_that_finds_its_group_served_loads_no_server(request):
    modules = loaded(request, "start")
    assert "runtime.shim.server" not in modules
    assert "runtime.init.launcher" not in modules
