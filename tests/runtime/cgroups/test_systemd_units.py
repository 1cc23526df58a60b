"""Names of units and slices, and what becomes of a spec's cgroupsPath."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cgroups.systemd import bus, driver, units
from runtime.errors import InvalidArgument


def parsed(path: str | None, container_id: str = "c1") -> tuple[str, str]:
    unit = units.parse(path, container_id, default_slice="system.slice")
    return unit.name, unit.path


@pytest.mark.parametrize(
    ("path", "name", "cgroup"),
    [
        (None, "cinspect-oci-c1.scope", "/system.slice/cinspect-oci-c1.scope"),
        ("", "cinspect-oci-c1.scope", "/system.slice/cinspect-oci-c1.scope"),
        ("system.slice:docker:ab", "docker-ab.scope", "/system.slice/docker-ab.scope"),
        (":docker:ab", "docker-ab.scope", "/system.slice/docker-ab.scope"),
        ("machine.slice::libpod", "libpod.scope", "/machine.slice/libpod.scope"),
        ("-.slice:p:n", "p-n.scope", "/p-n.scope"),
        ("a-b-c.slice:p:n", "p-n.scope", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"),
        ("x.slice:p:a+b", r"p-a\x2bb.scope", r"/x.slice/p-a\x2bb.scope"),
    ],
)
def test_a_path_names_a_scope_in_a_slice(path: str | None, name: str, cgroup: str) -> None:
    assert parsed(path) == (name, cgroup)


def test_an_id_that_no_unit_can_have_is_escaped() -> None:
    assert parsed(None, "a+b")[0] == r"cinspect-oci-a\x2bb.scope"


@pytest.mark.parametrize(
    "path",
    ["/a/b", "a:b", "a:b:c:d", "x.slice:p:", "x.slice:p:y.slice", "x:p:n", "a--b.slice:p:n",
     "-a.slice:p:n", ".slice:p:n", "x/y.slice:p:n", "x.slice:p/q:n", "x.slice:p:n n",
     "x.slice:p:" + "n" * 250],
)  # fmt: skip
def test_what_is_no_unit_is_refused_by_name(path: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^linux\.cgroupsPath: "):
        parsed(path)


@given(st.lists(st.from_regex(r"[a-z0-9_.]{1,5}", fullmatch=True), min_size=1, max_size=6))
def test_a_slice_is_below_the_slices_its_name_tells(parts: list[str]) -> None:
    path = units.expand("-".join(parts) + ".slice")
    assert [each.removesuffix(".slice") for each in path.split("/")[1:]] == [
        "-".join(parts[: count + 1]) for count in range(len(parts))
    ]


@pytest.mark.parametrize(
    ("signature", "parts"),
    [
        ("", []),
        ("ssa(sv)a(sa(sv))", ["s", "s", "a(sv)", "a(sa(sv))"]),
        ("aayv(ii)", ["aay", "v", "(ii)"]),
    ],
)
def test_a_signature_is_taken_apart(signature: str, parts: list[str]) -> None:
    assert bus.elements(signature) == parts


@pytest.mark.parametrize("signature", ["a", "(s", "s)", "sa"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        bus.elements(signature)


@pytest.mark.parametrize(
    ("text", "number"),
    [("252.39-1~deb12u2", 252), ("v245.4-4ubuntu3", 245), ("256", 256), ("what", 0), ("", 0)],
)
def test_a_version_begins_with_its_number(text: str, number: int) -> None:
    assert driver.version(text) == number
