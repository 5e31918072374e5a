"""Each moment belongs to one kind of work, whatever intervals are added in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.bus.intervals import Timeline

pytestmark = pytest.mark.slow

KINDS = ("llm", "tool", "backoff")
END = 30

intervals = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(-5, END + 5), st.integers(-5, END + 5)).map(
        lambda one: (one[0], min(one[1:]), max(one[1:]))
    ),
    max_size=40,
)


def by_moments(added: list[tuple[str, int, int]]) -> dict[str, float]:
    """Return the seconds of each kind, by asking of each second from 0 to the end who has it."""
    seconds = dict.fromkeys(KINDS, 0.0)
    for moment in range(END):
        having = {kind for kind, start, end in added if start <= moment < end}
        for kind in KINDS:
            if kind in having:
                seconds[kind] += 1
                break
    return seconds


@given(intervals)
def test_each_moment_belongs_to_the_first_kind_that_has_it(added: list[tuple[str, int, int]]) -> None:
    timeline = Timeline(KINDS, start=0.0)
    for kind, start, end in added:
        timeline.add(kind, start, end)
    assert timeline.seconds(END) == by_moments(added)


def add_rounds(timeline: Timeline, rounds: int) -> None:
    """Add rounds of ten seconds: a call that takes six of them, of which an attempt takes four; a tool takes one."""
    for begin in range(0, rounds * 10, 10):
        timeline.add("llm", begin + 2, begin + 6)
        timeline.add("backoff", begin, begin + 6)
        timeline.add("tool", begin + 7, begin + 8)


def test_ten_thousand_intervals_are_held_in_bounded_memory_and_stay_exact() -> None:
    timeline = Timeline(KINDS, start=0.0)
    add_rounds(timeline, 10_000)
    held = sum(map(len, timeline._intervals.values())) + len(timeline._added)
    assert held < Timeline.MAX_INTERVALS + 300
    assert timeline.seconds(100_000.0) == {"llm": 40_000.0, "tool": 10_000.0, "backoff": 20_000.0}


def test_one_that_comes_late_is_exact_as_long_as_all_intervals_are_held() -> None:
    timeline = Timeline(KINDS, start=0.0)
    for number in range(Timeline.MAX_INTERVALS - 1):
        timeline.add("tool", 2.0 * number, 2.0 * number + 1)
    timeline.add("llm", 0.0, 1.0)
    assert timeline.seconds(1e4) == {"llm": 1.0, "tool": Timeline.MAX_INTERVALS - 2.0, "backoff": 0.0}


def test_one_interval_over_all_that_was_settled_takes_what_later_kinds_and_nobody_had() -> None:
    timeline = Timeline(KINDS, start=0.0)
    add_rounds(timeline, 10_000)
    timeline.add("tool", 0.0, 100_000.0)
    assert timeline.seconds(100_000.0) == pytest.approx({"llm": 40_000.0, "tool": 60_000.0, "backoff": 0.0})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("begin", [0, 20_000, 60_000, 99_000])
def test_an_interval_that_reaches_back_to_what_was_settled_takes_its_share(kind: str, begin: int) -> None:
    """It takes of each round what it would have taken, where the rounds are alike; no second counts twice."""
    timeline = Timeline(KINDS, start=0.0)
    add_rounds(timeline, 10_000)
    timeline.add(kind, begin, 100_000)
    rounds = (100_000 - begin) / 10
    of_a_round = {"llm": (0, -1, -2), "tool": (0, 5, -2), "backoff": (0, 0, 3)}[kind]
    if kind == "llm":
        of_a_round = (6, -1, -2)
    expected = [whole + change * rounds for whole, change in zip((40_000, 10_000, 20_000), of_a_round, strict=True)]
    seconds = timeline.seconds(100_000.0)
    assert [*seconds.values()] == pytest.approx(expected, rel=0.01, abs=50)
    assert sum(seconds.values()) <= 100_000


def test_work_that_ends_while_others_is_merged_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector may end a generator, and what it is in, at any time."""
    timeline = Timeline(KINDS, start=0.0)

    class EndsOther(float):
        def __lt__(self, other: object) -> bool:
            timeline._added.append(("tool", 5.0, 6.0))
            monkeypatch.setattr(EndsOther, "__lt__", float.__lt__)
            return float(self) < other  # type: ignore[operator]  # a number

    timeline.add("llm", 1.0, 2.0)
    timeline._added.append(("llm", EndsOther(3.0), 4.0))
    assert timeline.seconds(10.0) == {"llm": 2.0, "tool": 1.0, "backoff": 0.0}


def test_intervals_are_merged_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each merge takes as long as all that are held."""
    merges: list[int] = []
    merge = Timeline._merge

    def counted(timeline: Timeline) -> None:
        merges.append(len(timeline._added))
        merge(timeline)

    monkeypatch.setattr(Timeline, "_merge", counted)
    timeline = Timeline(KINDS, start=0.0)
    for number in range(1000):
        timeline.add("llm", 2.0 * number, 2.0 * number + 1)
    assert merges == [256, 256, 256]
    assert timeline.seconds(2000.0)["llm"] == 1000.0


def test_a_whole_batch_that_ends_while_others_are_merged_is_merged_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = Timeline(KINDS, start=0.0)

    class EndsOthers(float):
        def __lt__(self, other: object) -> bool:
            monkeypatch.setattr(EndsOthers, "__lt__", float.__lt__)
            for number in range(300):
                timeline.add("tool", 10.0 + 2 * number, 11.0 + 2 * number)
            assert len(timeline._added) == 300
            return float(self) < other  # type: ignore[operator]  # a number

    timeline._added.append(("llm", EndsOthers(3.0), 4.0))
    assert timeline.seconds(1000.0) == {"llm": 1.0, "tool": 300.0, "backoff": 0.0}
