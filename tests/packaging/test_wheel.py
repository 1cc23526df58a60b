"""The wheel holds all that the program needs, and runs from an environment of its own."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("inspector", "collectors", "runtime", "screens")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", directory)
    subprocess.run((*pip, PROJECT), check=True)
    (path,) = directory.glob("cinspect-*.whl")
    return path


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the installed commands.

    What cinspect depends on comes from this environment, so that no registry is asked; cinspect
    itself does not, as a directory named by a .pth file has its own .pth files ignored.
    """
    directory = tmp_path_factory.mktemp("installed")
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", directory), check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = directory / "lib" / version / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = directory / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "-qq", "--no-deps")
    subprocess.run((*pip, "--no-index", wheel), check=True)
    return directory / "bin"


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    tracked = subprocess.run(
        ("git", "-C", PROJECT, "ls-files", *PACKAGES), check=True, capture_output=True, text=True
    ).stdout.split()
    assert tracked
    with zipfile.ZipFile(wheel) as archive:
        assert set(tracked) <= set(archive.namelist())


def test_the_installed_command_tells_its_version(commands: Path, tmp_path: Path) -> None:
    done = run(commands / "cinspect", "--version", cwd=tmp_path)
    assert done.startswith("cinspect ")


def test_the_installed_command_dumps_and_states_its_schema(commands: Path, tmp_path: Path) -> None:
    frame = json.loads(run(commands / "cinspect", "dump", cwd=tmp_path))
    assert frame["schema_version"] == "1"
    schema = json.loads(run(commands / "cinspect", "schema", cwd=tmp_path))
    assert "$schema" in schema


def test_the_dashboards_style_sheets_are_found(commands: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, screens, screens.app; "
        "assert list(pathlib.Path(screens.__file__).parent.rglob('*.tcss')); "
        "print(screens.__file__)"
    )
    assert str(commands.parent) in run(commands / "python", "-c", code, cwd=tmp_path)


def test_the_shim_is_a_command_of_its_own(commands: Path) -> None:
    assert (commands / "containerd-shim-cinspect-v1").exists()


def run(*command: Path | str, cwd: Path) -> str:
    """Run a command that must end well in an empty environment; return what it printed."""
    done = subprocess.run(
        command, check=False, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
