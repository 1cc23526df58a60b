"""`cinspect layers`, `cat` and `cp` on a container that really runs, and after it ended."""

import io
import json
import os
import stat
import subprocess
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytestmark = pytest.mark.root


def report(box, *words):
    return json.loads(box.ok("layers", "box", "--format", "json", *words))


def test_a_path_tells_its_layer_and_when_it_was_copied_up(box):
    found = report(box, "--path", "/etc/passwd")["path"]
    assert [one["layer"] for one in found["versions"]] == ["upper", "lower 0"]
    assert [one["supplies"] for one in found["versions"]] == [True, False]
    assert found["versions"][0]["mode"] == "-rwx------"
    copied = datetime.fromisoformat(found["copied_up_at"])
    assert timedelta(0) <= datetime.now(UTC) - copied < timedelta(minutes=2)


def test_a_deleted_path_is_deleted_and_still_in_the_layer_below(box):
    found = report(box, "--path", "/etc/issue")["path"]
    assert found["supplied_by"] is None
    assert [(one["kind"], one["why"]) for one in found["versions"]] == [
        ("whiteout", None),
        ("file", "deleted"),
    ]
    below = box.run("cat", "box", "/etc/issue", "--layer", "0")
    assert below.stdout == Path("/etc/issue").read_bytes()
    above = box.run("cat", "box", "/etc/issue")
    assert (above.returncode, above.stdout) == (1, b"")
    assert b"box:/etc/issue" in above.stderr


def test_a_directory_lists_each_name_with_its_layer(box):
    listed = {one["path"]: one["supplied_by"] for one in report(box, "--list", "/etc")["listing"]}
    assert listed["/etc/passwd"] == "upper"
    assert listed["/etc/group"] == "lower 0"
    assert listed["/etc/issue"] is None


def test_deleted_files_that_are_open_are_told_with_their_holder(box):
    (file,) = [one for one in report(box, "--deleted")["deleted"] if one["kind"] == "file"]
    assert (file["path"], file["size_bytes"]) == ("/tmp/log", 70000)
    assert {one["fd"] for one in file["holders"]} == {5}


def test_growth_tells_what_is_written_where_and_by_whom(box):
    box.ok(
        "exec",
        "-d",
        "box",
        "sh",
        "-c",
        "exec 7>/tmp/grows; while sleep 0.05; do echo 0123456789 >&7; done",
    )
    found = report(box, "--growth", "1s")
    growth = found["growth"]
    assert growth["complete"]
    assert 1 <= growth["seconds"] < 20
    (path,) = [one for one in growth["paths"] if one["path"] == "/tmp/grows"]
    assert path["what"] in {"grew", "new"}
    assert path["written_bytes"] >= 11
    assert growth["directories"][0]["path"] == "/tmp"
    (holder,) = {one["pid"] for one in found["writers"]["/tmp/grows"]}
    assert b"/tmp/grows" in Path(f"/proc/{holder}/cmdline").read_bytes()
    text = box.ok("layers", "box", "--growth", "200ms")
    assert "the upper layer grew by" in text
    assert f"/tmp/grows  by {holder}" in text


def test_weighing_has_an_end_and_says_that_it_is_a_lower_bound(box):
    began = time.monotonic()
    waste = report(box, "--waste", "--seconds", "1")["waste"]
    assert time.monotonic() - began < 20
    assert waste["entries"] > 100
    assert not waste["complete"]
    text = box.ok("layers", "box", "--waste", "--seconds", "0.2")
    assert "efficiency" in text
    assert "at least" in text


def test_a_file_is_printed_as_it_is(box):
    assert box.run("cat", "box", "/tmp/link").stdout == b"hello\n"
    assert box.run("cat", "box", "/tmp/escape").stdout == b"a\x1b[2Jb\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/tmp/fifo", "FIFO"), ("/dev/null", "device"), ("/etc", "directory"), ("/none", "No such")],
)
def test_what_is_no_file_is_an_error_that_names_it(box, path, said):
    done = box.run("cat", "box", path, timeout=30)
    assert done.returncode == 1
    assert f"box:{path}: " in done.stderr.decode()
    assert said in done.stderr.decode()


def test_more_than_the_limit_is_refused(box):
    done = box.run("cat", "box", "/etc/passwd", "--limit", "10")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"--limit" in done.stderr


def test_copies_go_out_and_in(box, tmp_path):
    box.ok("cp", "-q", "box:/tmp/made", str(tmp_path))
    assert (tmp_path / "made/file").read_text() == "hello\n"
    (tmp_path / "in").write_text("from the host\n")
    box.ok("cp", str(tmp_path / "in"), "box:/tmp/made/")
    assert box.ok("exec", "box", "cat", "/tmp/made/in") == "from the host\n"
    assert box.ok("exec", "box", "stat", "-c", "%u %a", "/tmp/made/in").split()[0] == "0"
    log = (box.root / "actions.jsonl", *box.root.glob("*log*"), *box.root.glob("*action*"))
    assert any('"cp"' in path.read_text() for path in log if path.is_file())


def test_a_copy_into_a_container_is_refused_when_only_reading_and_out_of_one_is_not(box, tmp_path):
    refused = box.run("cp", "--read-only", "/etc/issue", "box:/tmp/")
    assert refused.returncode == 1
    assert b"--read-only" in refused.stderr
    assert box.run("exec", "box", "test", "-e", "/tmp/issue").returncode == 1
    box.ok("cp", "--read-only", "box:/tmp/link", str(tmp_path))
    assert os.readlink(tmp_path / "link") == "/tmp/made/file"


@pytest.mark.parametrize("words", [("a:/x", "b:/y"), ("./a", "./b"), ("--layer=0", "./a", "b:/y")])
def test_a_copy_between_what_cannot_be_is_wrong_usage(cinspect, words):
    assert cinspect.run("cp", *words).returncode == 2


def test_a_stopped_container_still_has_its_layers(box, tmp_path):
    box.ok("stop", "-t", "0", "box")
    assert box.run("cat", "box", "/tmp/link").stdout == b"hello\n"
    assert report(box, "--path", "/etc/passwd")["path"]["supplied_by"] == "upper"
    for words in ((), ("--layer", "upper")):
        to = tmp_path / "-".join(("to", *words))
        box.ok("cp", *words, "box:/tmp/made", str(to))
        assert (to / "file").read_text() == "hello\n"
    for path, said in (("/etc/issue", b"deleted"), ("/etc/none", b"/etc/none")):
        refused = box.run("cp", f"box:{path}", str(tmp_path))
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert said in refused.stderr
    box.ok("cp", "box:/etc/passwd", str(tmp_path / "one"))
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700


def test_a_container_that_is_not_there_is_said(cinspect):
    for words in (("cat", "none", "/x"), ("layers", "none"), ("cp", "none:/x", "/tmp/y")):
        done = cinspect.run(*words)
        assert done.returncode == 1
        assert b"'none'" in done.stderr


def test_a_tar_stream_goes_out_and_in(box, tmp_path):
    out = box.run("cp", "-q", "box:/tmp/made", "-")
    assert out.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(out.stdout)) as stream:
        assert sorted(stream.getnames()) == ["made", "made/file"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "page").write_text("hello\n")
    packed = subprocess.run(["tar", "c", "-C", tmp_path, "new"], check=True, capture_output=True)
    said = box.run("cp", "-", "box:/tmp", stdin=packed.stdout)
    assert said.returncode == 0, said.stderr
    assert box.ok("exec", "box", "cat", "/tmp/new/page") == "hello\n"
    torn = box.run("cp", "-", "box:/tmp", stdin=b"no tar at all")
    assert torn.returncode == 1
    assert b"no tar stream" in torn.stderr
