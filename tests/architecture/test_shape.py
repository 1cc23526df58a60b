"""The shape of the code: sizes, docstrings, registries, and the boundaries that may catch everything."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from collectors.registry import collectors, engines
from collectors.root import Root
from inspector.cli.main import VERBS
from inspector.frame import ON_REQUEST, SECTIONS, Frame
from inspector.sampler import NEEDS
from runtime import errors

HERE = Path(__file__).parent.parent.parent
FOLDERS = ("inspector", "collectors", "runtime", "screens")
SOURCES = sorted(path for folder in FOLDERS for path in (HERE / folder).rglob("*.py"))
MOST_LINES = 400
BOUNDARIES = {
    "inspector/sampler.py",  # a source
    "inspector/cli/main.py",  # the command line
    "screens/app.py",  # a source, as the screens see it
    "runtime/shim/server.py",  # a request
    "runtime/shim/entry.py",  # the shim itself
    "runtime/init/child.py",  # the code before a container's command
    "runtime/init/spare.py",  # the same, where it waits for one
}
SUPPRESSION = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore(\[[^]]*\])?|pyright: ignore\S*)\s*$")
BANNED = ("asyncio.gather", "asyncio.ensure_future", "asyncio.wait_for", "asyncio.create_task")


def name(path: Path) -> str:
    return str(path.relative_to(HERE))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_fits_its_limit_and_says_what_it_is_for(path):
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES, "part it"
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "the first line says what the module is for"
    assert docstring.splitlines()[0].endswith((".", ":")), docstring.splitlines()[0]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_task_has_a_parent(path):
    calls = [
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    ]
    assert not set(calls) & set(BANNED)


def test_whatever_goes_wrong_is_caught_at_named_boundaries_only():
    found = {
        name(path)
        for path in SOURCES
        for line in path.read_text().splitlines()
        if re.search(r"except (Base)?Exception\b.*BLE001", line)
    }
    assert found <= BOUNDARIES


def test_every_suppression_has_its_reason():
    lacking: list[str] = []
    for path in SOURCES:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if not SUPPRESSION.search(line):
                continue
            # Behind it, or in a comment right above.
            if not any(
                above.lstrip().startswith("#") for above in lines[max(0, number - 2) : number]
            ):
                lacking.append(f"{name(path)}:{number + 1}: {line.strip()}")
    assert lacking == [], "\n".join(lacking)


def test_registries_name_each_thing_once():
    verbs = [word for verb in VERBS for word in (verb.name, *verb.aliases)]
    sources = [one.name for one in collectors(Root("/nonexistent"))]
    adapters = [
        (one.name, one.address)
        for one in engines(engine_root="/nonexistent", engine_state="/nonexistent")
    ]
    for names in (verbs, sources, adapters):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_has_its_module(verb):
    module = importlib.import_module(verb.module)
    assert callable(module.configure)
    assert callable(module.run)


def test_every_section_is_in_the_frame_and_has_its_needs():
    sections = {*SECTIONS, *ON_REQUEST}
    assert sections <= set(Frame.__struct_fields__)
    assert set(NEEDS) == sections


def test_error_classes_have_codes_of_their_own():
    kinds = [kind for kind in errors.BY_CODE.values() if kind is not errors.RuntimeFailure]
    assert all(issubclass(kind, errors.RuntimeFailure) for kind in kinds)
    assert {kind.code for kind in kinds} == set(errors.BY_CODE) - {errors.RuntimeFailure.code}


def test_the_project_speaks_of_itself_alone():
    forbidden = re.compile(r"(?<![\w/])/work/|\bshared/(?:facts|design)\b", re.IGNORECASE)
    tests = sorted((HERE / "tests").rglob("*.py"))
    said = [
        name(path)
        for path in (*SOURCES, *tests)
        if path != Path(__file__) and forbidden.search(path.read_text())
    ]
    assert said == []
