"""What a client of the engine loads: `cinspect` starts with it."""

import json
import subprocess
import sys

CODE = """
import sys
sys.path.append(sys.argv[1])
import runtime.api, json
print(json.dumps(sorted(sys.modules)))
"""


def test_a_client_loads_neither_the_shims_server_nor_what_runs_in_containers(request):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CODE, str(request.config.rootpath)],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(json.loads(done.stdout))
    assert not {name for name in modules if name.startswith("runtime.init")}
    assert not {"runtime.shim.server", "runtime.shim.container", "runtime.shim.zygote"} & modules
    foreign = {"textual", "rich", "pyroute2", "google", "grpclib", "msgspec", "psutil"}
    assert not foreign & {name.partition(".")[0] for name in modules}
