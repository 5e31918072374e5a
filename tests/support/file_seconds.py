"""How long each file of slow tests takes, by which the longest start first.

    python -m tests.support.file_seconds .pytest_cache/test-slow

writes it anew into ``file_seconds.json``, from the shortest times that `ShortestTimes` has in a cache of pytest.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from tests.support.shortest_times import KEY

FILE = Path(__file__).with_suffix(".json")
LEAST = 1.0
"""Seconds below which a file is left out: whenever it starts, it keeps nobody."""


def read() -> dict[str, float]:
    """Return the seconds of each file that takes long, by its path in the repository."""
    seconds: dict[str, float] = json.loads(FILE.read_text())
    return seconds


def add_up(times: dict[str, float]) -> dict[str, float]:
    """Return the seconds of each file that takes long, the longest first, by those of its tests."""
    files: defaultdict[str, float] = defaultdict(float)
    for test, time in times.items():
        files[test.partition("::")[0]] += time
    longest = sorted(files.items(), key=lambda item: -item[1])
    return {file: round(time, 1) for file, time in longest if time >= LEAST}


if __name__ == "__main__":
    FILE.write_text(json.dumps(add_up(json.loads((Path(sys.argv[1]) / "v" / KEY).read_text())), indent=1) + "\n")
