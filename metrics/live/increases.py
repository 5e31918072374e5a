"""How much counters have gained between two snapshots, and in which time."""

from __future__ import annotations

from collections.abc import Iterator

from .snapshot import Snapshot
from .sources import ALL, Source, Values

Numbers = dict[str, float | None]
"""Values by the name of the series."""


def increases(source: Source, before: Snapshot, after: Snapshot) -> Values:
    """Return what each value of a source has gained between two snapshots; one that is less began anew.

    An empty tuple stands for what is not known, as a snapshot could not read it.
    """
    was, now = before.values.get(source), after.values.get(source)
    if was is None or now is None:
        return {} if source.by else {ALL: ()}
    if was is now and now:  # as a snapshot has it where nothing changed, which is most of it
        return {name: (0.0,) * len(values) for name, values in now.items()}
    found = {name: tuple(gains(was.get(name, ()), values)) for name, values in now.items()}
    return found or ({} if source.by else {ALL: ()})


def gains(was: tuple[float, ...], now: tuple[float, ...]) -> Iterator[float]:
    """Yield by how much each number has grown; a counter or a bucket that is less than it was counts from 0."""
    for old, new in zip(was or (0.0,) * len(now), now, strict=True):
        yield new - old if new >= old else new


def covered(before: Snapshot, after: Snapshot, span: float) -> float:
    """Return the seconds in which the increase between two snapshots came about.

    It is the time between them, which may be a little more than was asked for. Where it is less, there was nothing
    before: the process is younger than that, and it is the whole span.
    """
    return max(after.at - before.at, span)


def scaled(found: Values, factor: float) -> Numbers:
    """Return the first number of each value, multiplied by a factor; None where it is not known."""
    return {name: each[0] * factor if each else None for name, each in found.items()}
