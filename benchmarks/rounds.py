"""Times commands in turns, so that what disturbs the machine disturbs all of them alike."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a command that must end well; return its wall time in seconds."""
    started = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    return time.perf_counter() - started


def medians(
    candidates: Mapping[str, Callable[[], float]], rounds: int, *, pause_seconds: float = 0
) -> dict[str, float]:
    """Measure each candidate once a round; return its median in seconds. The first does not count.

    A pause before each keeps what one leaves behind in the kernel from helping the next.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, measure in candidates.items():
            time.sleep(pause_seconds)
            seconds = measure()
            if number:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def report(title: str, seconds: Mapping[str, float], ours: str) -> None:
    """Print a table with each one's ratio to ours, then the same as a line of JSON."""
    print(f"{title}")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"  {name:<28} {value * 1000:9.1f} ms {value / seconds[ours]:8.2f} of {ours}")
    print(json.dumps({"benchmark": title, "seconds": dict(seconds)}))
