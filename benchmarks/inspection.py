"""Compares one look at running containers with `docker stats` and `docker ps`, in the same run.

Starts containers of a private Docker, then takes turns. `cinspect dump` shows limits, namespaces,
layers and more besides; Docker's commands show its own containers' usage and names.

    sudo python benchmarks/inspection.py [--containers 10] [--rounds 5]
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks import rounds  # noqa: E402 - after the path
from tests.engines import daemons  # noqa: E402 - after the path

CINSPECT = str(Path(sys.executable).with_name("cinspect"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--containers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cinspect-bench-", dir="/var/tmp") as directory,
        contextlib.ExitStack() as stack,
    ):
        scratch = Path(directory)
        tar = daemons.archive(daemons.make_rootfs(scratch))
        ctr = stack.enter_context(daemons.containerd(scratch))
        assert ctr.address
        docker = stack.enter_context(daemons.docker(scratch, ctr.address, tar))
        for _ in range(options.containers):
            docker("run", "--detach", "--network", "none", daemons.IMAGE, "sleep", "1000")
        dump = (CINSPECT, "dump", "--section", "containers")
        found = rounds.medians(
            {
                "cinspect dump": lambda: rounds.run(dump, docker.environment),
                "docker stats --no-stream": lambda: rounds.run(
                    (*docker.command, "stats", "--no-stream")
                ),
                "docker ps": lambda: rounds.run((*docker.command, "ps")),
            },
            options.rounds,
        )
        rounds.report(f"a look at {options.containers} containers", found, "cinspect dump")


if __name__ == "__main__":
    main()
