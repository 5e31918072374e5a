"""The last minutes of live numbers, in bounded room."""

from __future__ import annotations

from metrics.live import History, Snapshot


def snapshot(at: float) -> Snapshot:
    return Snapshot(at, 1_000_000 + at, {}, {})


def test_it_keeps_a_moment_for_each_spacing_as_long_as_it_says() -> None:
    history = History(keep=60.0, spacing=5.0)
    for second in range(200):
        history.add(snapshot(float(second)), {"runs": {"value": float(second)}})
    described = history.describe()
    assert described["times"] == [1_000_000.0 + second for second in range(135, 200, 5)]
    assert described["values"] == {"runs": {"value": [float(second) for second in range(135, 200, 5)]}}


def test_a_reading_that_is_a_little_early_is_kept() -> None:
    history = History(spacing=5.0)
    for at in (0.0, 4.98, 9.99, 15.02):
        history.add(snapshot(at), {})
    assert len(history.describe()["times"]) == 4


def test_the_last_snapshot_that_is_so_many_seconds_older_is_found() -> None:
    """Or the first, of a process that is younger."""
    history, now = History(), snapshot(100.0)
    assert history.before(now, 60.0) is now
    for at in (0.0, 30.0, 42.0, 70.0, 100.0):
        history.add(snapshot(at), {})
    assert [history.before(now, seconds).at for seconds in (0.0, 20.0, 56.0, 59.0, 65.0, 900.0)] == [
        100.0, 70.0, 42.0, 30.0, 30.0, 0.0,
    ]  # fmt: skip


def test_series_that_came_later_or_went_have_holes() -> None:
    history = History(spacing=1.0)
    for at, values in ((0.0, {"a": 1.0}), (1.0, {"a": 2.0, "b": 3.0}), (2.0, {"b": None})):
        history.add(snapshot(at), {"calls": {**values}})
    assert history.describe()["values"] == {"calls": {"a": [1.0, 2.0, None], "b": [None, 3.0, None]}}
