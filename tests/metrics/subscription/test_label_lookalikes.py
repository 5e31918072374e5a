"""Values that are equal and have another text are labels of their own, and those that cannot be looked up count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from math import inf
from typing import Any

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry

from events import Signal, llm_called, receiver_failed
from events.bus.derived_fields import derived
from events.bus.fields import Code, Label
from events.bus.prepared_receivers import PreparedReceivers
from metrics import LLM, counter, subscribe

LOOKALIKES: dict[str, list[Any]] = {
    "express": [True, 1, 0, False, 1.0, True, 1, Decimal(1), None],
    "code": [200, 200.0, HTTPStatus.OK, 1, True, 1, Fraction(200), 200],
    "to": ["1", 1, True, 1.0, 1, True, None, "None"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An event with labels that may be numbers, and one that may not."""

    express: bool | None = False
    code: Code = 0
    to: Label = "nowhere"

    @derived
    @staticmethod
    def is_fast(express: Any) -> bool:
        """Return what it is called with, which may be no bool."""
        return express  # type: ignore[no-any-return]


def posts(calls: Iterable[Mapping[str, Any]], calls_before_preparing: float) -> dict[Any, float]:
    """Return what a subscription shows after some events; with a limit of labels that none of them reaches."""
    registry = CollectorRegistry()
    posted: Signal[..., Posted] = Signal(Posted, Namespace())
    row = counter("posts_total", "Posts.", posted, labels=("express", "code", "to", "is_fast"))
    with (
        pytest.MonkeyPatch.context() as patch,
        subscribe([row], registry, namespace="acme", label_limits={"code": 20, "to": 20}),
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
        for call in calls:
            posted.emit(**call)
        [family] = registry.collect()
        return {(*sorted(each.labels.items()),): each.value for each in family.samples if each.value < 1e9}


@pytest.mark.lenient
@pytest.mark.parametrize("calls_before_preparing", [0, inf])
@pytest.mark.parametrize("label", LOOKALIKES)
def test_values_that_are_equal_and_no_label_value_in_common_are_counted_apart(
    label: str, calls_before_preparing: float
) -> None:
    calls = [{label: value} for value in LOOKALIKES[label]]
    expected: Counter[Any] = Counter()
    for call in calls:  # each is the first that its subscription sees
        expected.update(posts([call], inf))
    assert posts(calls, calls_before_preparing) == dict(expected)


class Unhashed(str):
    """A text that has no hash."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise ZeroDivisionError


class Incomparable:
    """What has the hash of a text, and cannot be compared with it."""

    def __hash__(self) -> int:
        return hash("m1")

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError

    def __str__(self) -> str:
        return "m2"


@pytest.mark.lenient
@pytest.mark.parametrize("calls_before_preparing", [0, inf])
def test_labels_that_cannot_be_looked_up_are_counted_by_their_text(
    registry: CollectorRegistry, calls_before_preparing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
    with subscribe(LLM, registry, namespace="acme"), receiver_failed.captured() as failures:
        models: list[Any] = ["m1", Unhashed("m1"), Incomparable(), Unhashed("m1")]
        for model in models:
            llm_called.emit(model=model, status="success", duration=0.5, prompt_tokens=7)
        counted = [
            registry.get_sample_value("acme_llm_tokens_total", {"model": model, "token_type": "prompt"})
            for model in ("m1", "m2")
        ]
    assert counted == [21, 7]
    assert failures == []
