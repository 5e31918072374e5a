"""Print a recording with other ids and times, for a test or for somebody else.

    python -m tools.scrub_recording FILE

Ids become ``run_id-1``, ``run_id-2`` and so on, the same for the same. The recording begins at a fixed time and keeps
the times between its events. Processes are numbered, and where it is from is left out. Names of models, agents and the
like stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BEGINNING = 1_800_000_000.0
"""The Unix time at which a scrubbed recording begins."""

LEFT_OUT = frozenset({"id", "pid", "timestamp", "level", "run_id", "workflow_type", "agent_name", "execution_id"})
"""What lines of a feed and of an event log have beside the record."""


class Scrubber:
    """Replaces ids and times, each by the same every time."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, Any], str] = {}
        self._counts: dict[str, int] = {}
        self._began: float | None = None

    def line(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return a line without what tells where it is from."""
        scrubbed = {name: value for name, value in line.items() if name not in LEFT_OUT}
        if "time" in line:
            scrubbed["time"] = self._time(line["time"])
        if "source" in line:
            scrubbed["source"] = "scrubbed"
        if "process" in line:
            scrubbed["process"] = self._name("process", line["process"])
        if "fields" in line:
            scrubbed["fields"] = {name: self._field(name, value) for name, value in line["fields"].items()}
        return scrubbed

    def _time(self, moment: float) -> float:
        if self._began is None:
            self._began = moment
        return round(BEGINNING + moment - self._began, 3)

    def _field(self, name: str, value: Any) -> Any:
        if name.endswith("_id") and value:
            return self._name(name, value)
        return round(value, 6) if isinstance(value, float) else value

    def _name(self, kind: str, value: Any) -> str:
        if (kind, value) not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[kind, value] = f"{kind}-{self._counts[kind]}"
        return self._names[kind, value]


def scrub(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a recording, scrubbed; those that are no JSON are left out."""
    scrubber = Scrubber()
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            print("a line that cannot be read is left out", file=sys.stderr)
            continue
        yield json.dumps(scrubber.line(found), separators=(",", ":"))


def main() -> int:
    """Print a recording, scrubbed; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.scrub_recording", description="Print a recording with other ids and times."
    )
    parser.add_argument("file", type=Path, help="the recording")
    with parser.parse_args().file.open(encoding="utf-8") as file:
        for line in scrub(file):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
