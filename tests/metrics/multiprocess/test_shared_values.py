"""A value of a worker stands in an array that the others read, at the cell that it was given."""

from __future__ import annotations

from array import array
from math import isnan, nan
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.samples import Exemplar

from metrics.multiprocess import shared_values
from metrics.multiprocess.exemplars import PrivateExemplars
from metrics.multiprocess.shared_values import SharedValue, TimestampedValue

KINDS = pytest.mark.parametrize("kind", [SharedValue, TimestampedValue])


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that stands still until its only item is changed."""
    moment = [100.0]
    monkeypatch.setattr(shared_values, "time", lambda: moment[0])
    return moment


def cells(*values: float) -> array[float]:
    return array("d", values)


def value_in(kind: type[SharedValue], place: Any, cell: int) -> SharedValue:
    return kind(SimpleNamespace(exemplars=PrivateExemplars()), place, cell)  # type: ignore[arg-type]  # all that it uses


@KINDS
def test_a_value_begins_at_zero_and_is_in_its_cell_alone(kind: type[SharedValue]) -> None:
    place = cells(7, 7, 7, 7)
    value = value_in(kind, place, 1)
    assert (value.get(), place[0], place[1], place[3]) == (0.0, 7, 0.0, 7)
    value.inc(2.5)
    value.inc(-1.0)
    assert (value.get(), place[1]) == (1.5, 1.5)
    value.set(9.0)
    assert (value.get(), place[1]) == (9.0, 9.0)


@KINDS
def test_an_amount_that_is_added_to_no_value_is_the_value(kind: type[SharedValue]) -> None:
    """A gauge that was removed has none."""
    place = cells(0, 0)
    value = value_in(kind, place, 0)
    value.set(nan)
    assert isnan(place[0])
    value.inc(2.0)
    assert (value.get(), place[0]) == (2.0, 2.0)


@KINDS
def test_a_value_that_moves_stays_as_it_is_and_is_written_where_it_is_now(kind: type[SharedValue]) -> None:
    before, after = cells(0, 0), cells(0, 0, 0, 0)
    value = value_in(kind, before, 0)
    value.inc(3.0)
    assert (value.cell_in(before), value.cell_in(after)) == (0, None)
    value.relocate(after, 2)
    assert (value.cell_in(before), value.cell_in(after)) == (None, 2)
    value.inc(1.0)
    assert (before[0], after[0], after[2]) == (3.0, 0.0, 4.0)


def test_the_time_at_which_a_value_was_set_stands_beside_it(now: list[float]) -> None:
    place = cells(0, 0, 0)
    value = value_in(TimestampedValue, place, 1)
    assert place[2] == 100.0
    now[0] = 101.0
    value.inc(1.0)
    assert place[2] == 101.0
    now[0] = 102.0
    value.set(1.0)
    assert place[2] == 102.0
    value.set(1.0, 55.0)
    assert place[2] == 55.0
    elsewhere = cells(0, 0)
    now[0] = 104.0
    value.relocate(elsewhere, 0)
    assert (elsewhere[0], elsewhere[1]) == (1.0, 55.0)


def test_an_exemplar_is_stored_by_the_place_of_its_value() -> None:
    place = cells(0, 0)
    one, other = value_in(SharedValue, place, 0), value_in(SharedValue, place, 1)
    one._file = other._file
    assert one.get_exemplar() is None
    first, second = (Exemplar({"trace_id": name}, 1.0, 1.0) for name in ("first", "second"))
    one.set_exemplar(first)
    other.set_exemplar(second)
    assert (one.get_exemplar(), other.get_exemplar()) == (first, second)
