"""The executable's own way to tell its version: as any command, it fails where it cannot write."""

import subprocess
import sys

import pytest

from inspector.version import VERSION

CODE = "import sys; sys.path.append({!r}); from inspector.cli.start import main; sys.exit(main())"


def version(request, redirection):
    code = CODE.format(str(request.config.rootpath))
    command = f'"$0" -I -S -c "$1" --version {redirection}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, code],
        check=False,
        capture_output=True,
        text=True,
    )


def test_it_is_told_on_one_line(request):
    done = version(request, "")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cinspect {VERSION}\n", "")


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        ("> /dev/full", 1, "cinspect: the standard output: No space left on device\n"),
        (">&-", 0, f"cinspect {VERSION}\n"),
    ],
)
def test_where_it_cannot_be_written_the_status_says_so(request, redirection, status, said):
    done = version(request, redirection)
    assert done.stderr == said
    assert done.returncode == status
