"""Amounts of odd types, and odd numbers, count the same whichever way an event reaches its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import combinations
from math import inf, nan
from numbers import Real
from sys import float_info
from typing import Annotated, Any, NoReturn

import pytest
from blinker import Namespace
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import Signal, receiver_failed, value_dropped
from events.bus.derived_fields import derived
from events.bus.fields import Dollars, Measure
from events.bus.prepared_receivers import PreparedReceivers
from metrics import counter, histogram, subscribe
from metrics.fastpath import update


class OddlyAdded(float):
    """A float whose sums look as if it were nothing."""

    def __add__(self, _: float) -> float:
        return 0.0

    __radd__ = __add__


class OddCount(int):
    """The same of an integer."""

    def __add__(self, _: float) -> float:  # type: ignore[override]
        return 0.0

    __radd__ = __add__  # type: ignore[assignment]


class OddlyConverted(float):
    """A float that is converted to no number."""

    def __float__(self) -> float:
        return nan


class AnyNumber:
    """What compares and adds as a number does, and is none: nobody has registered it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: float) -> float:
        return self.value + other

    __radd__ = __add__

    def __ge__(self, other: float) -> bool:
        return self.value >= other

    def __lt__(self, other: float) -> bool:
        return self.value < other

    def __float__(self) -> float:
        return self.value


class Scalar(AnyNumber):
    """A registered number, as numpy's are."""


class Unsteady(AnyNumber):
    """One that can be added a few times, and raises from then on: in the middle of an update."""

    def __init__(self, value: float, times: int) -> None:
        super().__init__(value)
        self.times = times

    def __add__(self, other: float) -> float:
        self.times -= 1
        if self.times < 0:
            raise ZeroDivisionError
        return super().__add__(other)

    __radd__ = __add__


class Changing(AnyNumber):
    """A registered number that is another one each time it is asked for."""

    def __float__(self) -> float:
        self.value += 1
        return self.value

    def __sub__(self, other: Any) -> NoReturn:
        """Raise, where a fraction would convert it: whether before or after it is counted is not promised."""
        raise TypeError("it is only converted")

    __rsub__ = __sub__


Real.register(Scalar)
Real.register(Changing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """An event whose amounts have no limit of their own, and others that have one."""

    mass: Annotated[float, Measure("grams")]
    volume: Annotated[float, Measure("litres")]
    parts: Annotated[int, Measure("parts")]
    boxes: Annotated[int, Measure("boxes")]
    price: Dollars
    postage: Dollars

    @derived
    @staticmethod
    def rest(price: Any, postage: Any) -> Dollars:
        """Return the price without the postage, whatever they are."""
        return price - postage  # type: ignore[no-any-return]


SHIPPED = {"mass": 2.5, "volume": 0.5, "parts": 3, "boxes": 1, "price": 20.0, "postage": 4.0}
UNITS = {"mass": "grams", "volume": "litres", "parts": "parts", "boxes": "boxes", "price": "usd", "postage": "usd"}
ODD_AMOUNTS: dict[str, Callable[[], Any]] = {
    "oddly added": lambda: OddlyAdded(3.0),
    "oddly added, too large": lambda: OddlyAdded(1e308),
    "oddly added, negative": lambda: OddlyAdded(-1.0),
    "oddly added, an integer": lambda: OddCount(3),
    "oddly added, an integer too large": lambda: OddCount(10**400),
    "oddly converted": lambda: OddlyConverted(3.0),
    "no number": lambda: AnyNumber(3.0),
    "a registered number": lambda: Scalar(3.0),
    "another number each time": lambda: Changing(3.0),
    **{f"raises when added the {n + 1}. time": partial(Unsteady, 3.0, n) for n in range(6)},
    "decimal": lambda: Decimal("0.25"),
    "decimal below the limit of dollars": lambda: Decimal(10**6) - Decimal("1e-15"),
    "fraction": lambda: Fraction(1, 3),
    "fraction below the limit of dollars": lambda: Fraction(10**6) - Fraction(1, 10**30),
    "fraction that fits into no float": lambda: Fraction(10**400),
    "negative fraction": lambda: Fraction(-1, 10**30),
    "bool": lambda: True,
    "half of the largest float": lambda: 1e308,
    "the largest float": lambda: float_info.max,
    "an integer that fits into no float": lambda: 2**1024,
    "the largest integer that does": lambda: 2**1024 - 2**971,
    "an integer among floats": lambda: 0,
    "none": lambda: None,
    "not a number": lambda: nan,
}


def shipments(how: str, calls: Iterable[Mapping[str, Callable[[], Any]]]) -> tuple[dict[Any, float], list[Any]]:
    """Return what a subscription shows after some events, and what was dropped or failed.

    ``how``: from fields, from events, by a bound emitter, or plainly, each amount alone by prometheus_client's methods.
    """
    registry = CollectorRegistry()
    shipped: Signal[..., Shipped] = Signal(Shipped, Namespace())
    rows = [counter("shipments_total", "Shipments.", shipped)]
    rows += [counter(f"{name}_{UNITS[name]}_total", "A sum.", shipped, value=name) for name in SHIPPED]
    rows += [
        histogram(f"each_{name}_{UNITS[name]}", "Each.", shipped, value=name, buckets=(1, 10, 1e300))
        for name in ("mass", "parts", "price")
    ]
    rows += [] if how == "bound" else [counter("rest_usd_total", "The rest.", shipped, value="rest")]
    with (
        pytest.MonkeyPatch.context() as patch,
        value_dropped.captured() as dropped,
        receiver_failed.captured() as failed,
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0 if how == "fields" else inf)
        if how == "plainly":
            patch.setattr(update, "fast_update_works", lambda: False)
        with subscribe(rows, registry, namespace="acme"):
            bound = shipped.bind(*SHIPPED)
            for call in calls:
                fields = {name: make() for name, make in call.items()}
                if how == "bound":
                    bound((*fields.values(),))
                else:
                    shipped.emit(**fields)
            samples = {
                (sample.name, *sample.labels.values()): sample.value
                for family in registry.collect()
                for sample in family.samples
                if not sample.name.endswith("_created")
            }
    faults = [(each.metric, each.reason) for each in dropped] + [(each.receiver, each.error) for each in failed]
    return samples, sorted(faults)


def made(**fields: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """Return what makes the fields of a shipment, of which the rest are usual."""
    return {**{name: partial(float if type(each) is float else int, each) for name, each in SHIPPED.items()}, **fields}


@pytest.mark.lenient
@pytest.mark.parametrize("how", ["fields", "events", "bound"])
@pytest.mark.parametrize("odd", ODD_AMOUNTS)
def test_several_unusual_amounts_count_the_same_as_each_alone(odd: str, how: str) -> None:
    """And each event once, whatever its amounts do when they are compared, added or converted."""
    make = ODD_AMOUNTS[odd]
    calls = [made(), made()]
    calls += [made(**{name: make}) for name in SHIPPED for _ in range(2)]
    calls += [made(**dict.fromkeys(names, make)) for names in combinations(SHIPPED, 2)]
    calls += [made(**dict.fromkeys(SHIPPED, make)), made()]
    samples, faults = shipments("plainly", calls)
    if how == "bound":  # by which nothing is derived
        samples = {key: value for key, value in samples.items() if key != ("acme_rest_usd_total",)}
        faults = [each for each in faults if each[0] != "acme_rest_usd_total"]
    assert samples["acme_shipments_total",] == len(calls)
    assert shipments(how, calls) == (samples, faults)


@pytest.mark.slow
@pytest.mark.lenient
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(SHIPPED, st.sampled_from([*ODD_AMOUNTS.values()]))).map(
            lambda fields: made(**fields)
        ),
        max_size=6,
    )
)
def test_any_unusual_amounts_count_the_same_as_each_alone(calls: list[dict[str, Callable[[], Any]]]) -> None:
    assert shipments("fields", calls) == shipments("events", calls) == shipments("plainly", calls)
