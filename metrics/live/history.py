"""The last minutes of live numbers: snapshots for expressions to look back at, and the values that came of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any

from .increases import Numbers
from .snapshot import Snapshot

ValuesById = Mapping[str, Numbers]
"""Values of tiles and charts: by their id, then by the name of the series."""


class History:
    """A ring of snapshots and values: one for every ``spacing`` seconds, for the last ``keep`` seconds.

    It may be told of more of them; those in between are left out, so its room is bounded.

    Attributes:
        keep: The seconds.
    """

    def __init__(self, keep: float = 900.0, spacing: float = 5.0) -> None:
        self.keep = keep
        self._spacing = spacing
        self._snapshots: list[Snapshot] = []
        self._values: list[ValuesById] = []

    def before(self, after: Snapshot, seconds: float) -> Snapshot:
        """Return the last snapshot that is so many seconds older than another, or more.

        Of a process that is younger than that, it is the first one that there is; without any, ``after`` itself.
        """
        if not self._snapshots:
            return after
        newer = bisect_right(self._snapshots, after.at - seconds, key=lambda each: each.at)
        return self._snapshots[max(newer - 1, 0)]

    def add(self, snapshot: Snapshot, values: ValuesById) -> None:
        """Add a snapshot and its values, unless the last that is kept is too near; let go of what is too old."""
        # A tenth early is in time: whoever reads every so many seconds is early as often as late.
        if self._snapshots and snapshot.at - self._snapshots[-1].at < 0.9 * self._spacing:
            return
        self._snapshots.append(snapshot)
        self._values.append(values)
        old = bisect_left(self._snapshots, snapshot.at - self.keep, key=lambda each: each.at)
        del self._snapshots[:old], self._values[:old]

    def series_of(self) -> dict[str, dict[str, None]]:
        """Return the names of the series that each id had, in the order in which they came."""
        found: dict[str, dict[str, None]] = {}
        for values in self._values:
            for name, series in values.items():
                found.setdefault(name, {}).update(dict.fromkeys(series))
        return found

    def describe(self) -> dict[str, Any]:
        """Return the times, as Unix seconds, and for each id and series its values then, as JSON has it."""
        snapshots, values = tuple(self._snapshots), tuple(self._values)
        return {
            "times": [round(each.time, 1) for each in snapshots],
            "values": {
                name: {each: [moment.get(name, {}).get(each) for moment in values] for each in series}
                for name, series in self.series_of().items()
            },
        }
