"""What is told of the last minute: a run of samples, each derived with those before it."""

import msgspec
import pytest

from collectors.kernel import cgroups as raw
from collectors.kernel.cgroups import Change, Cpu, Depth, DepthReading, Memory, Pids
from inspector.chain import Chain
from inspector.domains.cgroups.model import Finding
from inspector.domains.cgroups.window import Window
from inspector.frame import Frame
from inspector.sample import Sample
from tests.inspector.canned import A, Host, own

LEAF = f"/docker/{A}"


def cpu(periods: int, throttled: int) -> dict[str, object]:
    return {
        "cpu": Cpu(
            usage_usec=periods,
            periods=periods,
            throttled_periods=throttled,
            quota_usec=50_000,
            period_usec=100_000,
        )
    }


def kills(count: int, **more: object) -> dict[str, object]:
    return {"memory": Memory(current_bytes=1, oom_kills=count, events={"oom_kill": count}), **more}


def host(
    parts: dict[str, dict[str, object]], *, hierarchy: str = "", paths: tuple[str, ...] = ()
) -> Host:
    made = Host(v1=bool(hierarchy))
    made.process(100, 1, "app", ns=own(1), inside=[1], cgroup=LEAF)
    for place, path in enumerate(paths or ("/", "/docker", LEAF)):
        said = {"inode": place + 1, "processes": 0, **parts.get(path, {})}
        made.group(path, hierarchy=hierarchy, controllers=tuple(hierarchy.split(",")), **said)
    return made


def sample(
    host: Host,
    at: float,
    *,
    removed: tuple[str, ...] = (),
    host_kills: int | None = None,
    depths: dict[str, Depth] | None = None,
) -> Sample:
    taken = host.sample(at=at)
    mountpoint = "/sys/fs/cgroup/memory" if host.v1 else "/sys/fs/cgroup"
    reading = msgspec.structs.replace(
        taken.readings[raw.KEY.name],
        changes=tuple(Change("removed", mountpoint, path) for path in removed),
        host_oom_kills=host_kills,
    )
    hierarchy = "memory" if host.v1 else ""
    depth = DepthReading({(hierarchy, path): one for path, one in (depths or {}).items()})
    readings = {**taken.readings, raw.KEY.name: reading, raw.DEPTH.name: depth}
    return msgspec.structs.replace(taken, readings=readings)


def run(*samples: Sample) -> Frame:
    chain = Chain()
    for one in samples[:-1]:
        chain.advance(one)
    return chain.advance(samples[-1])


def findings(frame: Frame, path: str = LEAF) -> list[Finding]:
    assert isinstance(frame.cgroups, tuple)
    return list(next(one for one in frame.cgroups if one.path == path).findings)


def test_throttling_is_told_over_the_last_minute():
    # 600 periods a minute; half of the periods of the first half are throttled, none after.
    def at(seconds: int) -> Sample:
        return sample(host({LEAF: cpu(10 * seconds, min(5 * seconds, 150))}), 100.0 + seconds)

    frame = run(*(at(seconds) for seconds in range(61)))
    (one,) = findings(frame)
    assert one.sentence == (
        f"throttled 25 % of periods in the last minute by cpu.max of {LEAF}: 0.5 cores"
    )
    assert (one.kind, one.severity, one.cgroup) == ("cpu_throttled", "warning", LEAF)
    assert one.numbers == {
        "ratio": 0.25,
        "periods": 600,
        "throttled_periods": 150,
        "limit_cores": 0.5,
    }
    assert one.window_seconds == 60.0
    (container,) = frame.containers  # type: ignore[misc]  # it was asked for
    assert container.findings == (one,)
    assert container.verdicts == (one.sentence,)
    # Thirty seconds on, nothing of it is in the last minute any more.
    frame = run(*(at(seconds) for seconds in range(96)))
    assert findings(frame) == []


def test_a_container_that_does_nothing_any_more_keeps_its_verdict_for_a_minute():
    def at(seconds: float, periods: int, throttled: int) -> Sample:
        return sample(same[periods, throttled], 100.0 + seconds)

    same = {(n, k): host({LEAF: cpu(n, k)}) for n, k in ((0, 0), (100, 60))}
    samples = [at(0, 0, 0), *(at(5.0 * n, 100, 60) for n in range(1, 16))]
    assert [one.severity for one in findings(run(*samples[:3]))] == ["critical"]
    assert [one.numbers["ratio"] for one in findings(run(*samples[:12]))] == [0.6]
    assert findings(run(*samples)) == []


def test_throttling_that_has_only_just_begun_is_told_at_once():
    quiet = [sample(host({LEAF: cpu(10 * n, 0)}), 100.0 + n) for n in range(60)]
    frame = run(*quiet, sample(host({LEAF: cpu(600, 8)}), 160.0))
    (one,) = findings(frame)
    assert one.sentence == f"throttled 80 % of periods by cpu.max of {LEAF}: 0.5 cores"
    assert one.window_seconds is None


def test_kills_of_the_last_minute_are_counted_and_older_ones_are_a_notice():
    def at(seconds: int, count: int) -> Sample:
        return sample(host({LEAF: kills(count)}), 100.0 + seconds)

    samples = [at(0, 5), at(5, 5), at(10, 7), at(20, 8), at(30, 8)]
    (one,) = findings(run(*samples))
    assert one.sentence == (
        "the kernel killed 8 processes for want of memory so far, 3 of them in the last 30 s"
    )
    assert (one.severity, one.numbers) == ("critical", {"kills": 8, "new_kills": 3})
    (one,) = findings(run(*samples, *(at(seconds, 8) for seconds in range(35, 200, 5))))
    assert one.sentence == "the kernel killed 8 processes for want of memory so far"
    assert (one.severity, one.window_seconds) == ("notice", None)


def test_a_cgroup_made_anew_counts_from_nothing():
    first = host({LEAF: kills(7)})
    again = host({LEAF: kills(2, inode=77)})
    (one,) = findings(run(sample(first, 100), sample(first, 105), sample(again, 110)))
    assert one.numbers == {"kills": 2, "new_kills": 2}


def test_refused_forks_of_the_last_minute_are_told():
    def at(seconds: int, refused: int) -> Sample:
        depths = {LEAF: Depth(pids_events={"max": refused})}
        return sample(host({LEAF: {"pids": Pids(100, 100)}}), 100.0 + seconds, depths=depths)

    (one,) = findings(run(at(0, 3), at(10, 9)))
    assert one.sentence == (
        f"100 tasks of 100 that pids.max of {LEAF} allows; 9 forks were refused so far, "
        "6 of them in the last 10 s"
    )
    assert (one.kind, one.severity) == ("pids_near_limit", "critical")


def test_a_kill_in_a_short_lived_cgroup_that_no_sample_saw_is_laid_on_its_parent():
    samples = [
        sample(host({"/docker": kills(0)}), 100),
        sample(host({"/docker": kills(1)}), 110, removed=("/docker/short",)),
        sample(host({"/docker": kills(1)}), 120),
    ]
    told = [one for one in findings(run(*samples), "/docker") if one.kind == "oom_kill_gone"]
    assert [one.sentence for one in told] == [
        "of these, 1 in a cgroup below that is gone: /docker/short"
    ]
    assert told[0].window_seconds == 20.0


def test_a_kill_in_the_cgroup_itself_is_not_laid_on_one_that_is_gone():
    def at(seconds: int, count: int, removed: tuple[str, ...] = ()) -> Sample:
        parts = {"/docker": kills(count, processes=3)}
        depths = {"/docker": Depth(memory_events_local={"oom_kill": count})}
        return sample(host(parts), 100.0 + seconds, removed=removed, depths=depths)

    told = findings(run(at(0, 0), at(10, 1, ("/docker/short",))), "/docker")
    assert [one.kind for one in told] == ["oom_kill"]


@pytest.mark.parametrize("killed_in_sight", [0, 1])
def test_version_1_forgets_a_kill_with_its_cgroup_and_the_hosts_count_tells_it(killed_in_sight):
    def at(seconds: int, host_kills: int, count: int = 0, removed: tuple[str, ...] = ()) -> Sample:
        made = host({LEAF: kills(count), "/docker": kills(0)}, hierarchy="memory")
        return sample(made, 100.0 + seconds, host_kills=host_kills, removed=removed)

    frame = run(
        at(0, 40),
        at(10, 41 + killed_in_sight, killed_in_sight, ("/docker/short",)),
        at(20, 41 + killed_in_sight, killed_in_sight),
    )
    (one,) = findings(frame, "/docker")
    assert one.sentence == (
        "the kernel killed 1 process in a cgroup below that is gone: /docker/short"
    )
    assert (one.kind, one.severity, one.numbers) == ("oom_kill_gone", "critical", {"kills": 1})


def test_on_version_1_nobody_is_blamed_where_several_lost_cgroups():
    def at(seconds: int, host_kills: int, removed: tuple[str, ...] = ()) -> Sample:
        made = host({}, hierarchy="memory", paths=("/", "/docker", "/other"))
        for one in list(made.cgroups):
            made.cgroups.remove(one)
            made.cgroups.append(msgspec.structs.replace(one, memory=Memory(current_bytes=1)))
        return sample(made, 100.0 + seconds, host_kills=host_kills, removed=removed)

    frame = run(at(0, 0), at(10, 1, ("/docker/short", "/other/short")))
    assert isinstance(frame.cgroups, tuple)
    assert [one.findings for one in frame.cgroups] == [(), (), ()]


def test_a_window_keeps_a_dozen_samples_however_many_there_are():
    window = Window()
    for second in range(4000):
        past = window.add(sample(host({LEAF: cpu(second, second)}), 100.0 + second / 2))
    assert 55 <= past.seconds <= 65
    assert len(window._kept) <= 14
