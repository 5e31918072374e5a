"""A self-test runs once, and a failure is logged once with what happens instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metrics.fastpath.self_test import self_test


@pytest.mark.parametrize("differences", [[], ["Counter", "Gauge"]], ids=["passes", "fails"])
def test_a_self_test_runs_once(differences: list[str], caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    def compare() -> list[str]:
        runs.append(1)
        return differences

    works = self_test(compare, otherwise="it is done slowly")
    assert [works(), works()] == [not differences] * 2
    assert len(runs) == 1
    expected = ["prometheus_client works otherwise than expected (Counter, Gauge): it is done slowly"]
    assert [record.getMessage() for record in caplog.records] == (expected if differences else [])
    works.cache_clear()
    works()
    assert len(runs) == 2


def test_an_exception_is_a_difference(caplog: pytest.LogCaptureFixture) -> None:
    def compare() -> Iterator[str]:
        yield "never seen"
        raise AttributeError

    assert not self_test(compare, otherwise="it is done slowly")()
    assert "(AttributeError): it is done slowly" in caplog.text
