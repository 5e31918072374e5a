"""What a seller bills, and what a price function says: which of several figures is the cost."""

from __future__ import annotations

import math
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from events import receiver_failed, value_dropped
from events.bridges.model_calls.cost import MAX_COST, cost_fields, number, valid_cost
from events.bridges.model_calls.token_usage import TokenUsage
from events.bridges.pydantic_ai import Cost
from events.bridges.pydantic_ai.billing import (
    Billing,
    billing_of,
    with_response,
)
from events.bridges.pydantic_ai.reported import Reported
from events.bridges.pydantic_ai.seller_cost import seller_cost

PROMPT: list[ModelMessage] = []


def reported(usage: Any = None, *, details: Any = None, ticks: Any = None, **more: Any) -> ModelResponse:
    """Return a response with what a provider's SDK told beside it."""
    counted = RequestUsage(input_tokens=5, output_tokens=3, details={} if ticks is None else ticks)
    response = ModelResponse(parts=[], provider_details=details, usage=counted)
    response._events_reported = Reported(usage=usage, **more)  # type: ignore[attr-defined]  # as `observe_usage` does
    return response


HEADER = {"x-litellm-response-cost": "0.5"}


@pytest.mark.parametrize(
    ("response", "cost"),
    [
        (reported(), None),
        (reported({"cost": 0.5}), 0.5),
        (reported({"cost": 0}), 0.0),
        (reported({"cost": {"total_cost": 0.5}}), 0.5),
        (reported(SimpleNamespace(cost=SimpleNamespace(total_cost=0.5))), 0.5),
        (reported({"estimated_cost": 0.5}), 0.5),
        (reported({"cost": 0.25, "estimated_cost": 0.5}), 0.25),
        (reported({"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}), 0.75),
        (reported({"cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}), 0.25),
        (reported({"cost": 0.25, "is_byok": "yes", "cost_details": {"upstream_inference_cost": 0.5}}), 0.25),
        (reported({"cost": 0.25, "is_byok": True}), 0.25),
        (reported(details={"cost": 0.5}), 0.5),
        (reported(details={"upstream_inference_cost": 0.5}), 0.0),
        (reported(details={"upstream_inference_cost": 0.5, "is_byok": True}), 0.5),
        (reported(ticks={"cost_in_usd_ticks": 5 * 10**9}), 0.5),
        (reported(ticks={"cost_in_usd_ticks": 0}), 0.0),
        (reported({"cost_in_usd_ticks": 5 * 10**9}), 0.5),
        (reported({"cost_in_usd_ticks": 0}), None),
        (reported(headers=HEADER), 0.5),
        (reported(headers=HEADER, streamed=True), None),
        (reported({"cost": 0.25}, headers=HEADER), 0.25),
    ],
)
def test_the_cost_is_what_the_seller_says_that_it_bills(response: ModelResponse, cost: float | None) -> None:
    assert seller_cost(response) == cost


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (0.5, 0.5), ("0.5", 0.5), ("much", None), (True, None), (None, None), ([1], None), (10**400, None)],
)
def test_a_number_is_one_or_a_text_that_is_one(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("cost", "valid", "reason"),
    [
        (None, None, None),
        (0, 0.0, None),
        (Decimal("0.5"), 0.5, None),
        (MAX_COST - 0.5, MAX_COST - 0.5, None),
        (MAX_COST, None, "too_large"),
        (-0.001, None, "negative"),
        (math.nan, None, "not_finite"),
    ],
)
def test_a_cost_is_at_least_nothing_and_below_a_million(cost: Any, valid: float | None, reason: str | None) -> None:
    with value_dropped.captured() as dropped:
        assert valid_cost(cost) == valid
        fields = cost_fields(cost, "provider")
    assert fields == ({"cost_source": "unpriced"} if valid is None else {"cost": valid, "cost_source": "provider"})
    assert {(each.metric, each.reason) for each in dropped} == ({("llm_called.cost", reason)} if reason else set())


def test_only_a_cost_with_parts_has_parts() -> None:
    parts = {"input_cost": 2.0, "output_cost": 0.0, "cache_read_cost": None, "cache_write_cost": None}
    assert cost_fields(Cost(2.5, input=2, output=0), "provider") == {"cost": 2.5, "cost_source": "provider", **parts}


def three(_provider: str, _model: str, usage: RequestUsage, *, _named: int = 0) -> float:
    return usage.input_tokens / 4


def four(_provider: str, _model: str, usage: RequestUsage, response: ModelResponse) -> float:
    assert response.parts == []
    return usage.input_tokens / 4


@pytest.mark.parametrize(("price", "takes_it"), [(three, False), (four, True), (lambda *_: 1.25, True), (max, False)])
def test_a_price_function_that_takes_three_arguments_is_given_three(price: Any, takes_it: bool) -> None:
    assert (with_response(price) is price) is takes_it
    if price is not max:
        assert with_response(price)("p", "m", RequestUsage(input_tokens=5), ModelResponse(parts=[])) == 1.25


def bill(response: ModelResponse, price: Any) -> tuple[float | None, str | None]:
    billing = billing_of(response, PROMPT, "p", "m", price, complete=True)
    assert billing.usage.prompt_tokens == (response.usage.input_tokens or None)
    return billing.cost, billing.cost_source


def test_a_price_is_asked_where_the_seller_says_nothing_and_all_was_counted() -> None:
    assert bill(reported({"cost": 0.5}), three) == (0.5, "provider")
    assert bill(reported(), three) == (1.25, "price_table")
    assert bill(reported(), None) == (None, None)
    assert bill(reported(), lambda *_: None) == (None, "unpriced")
    uncounted = ModelResponse(parts=[], usage=RequestUsage(output_tokens=3))
    assert bill(uncounted, three) == (None, None)


@pytest.mark.lenient
def test_a_price_function_that_fails_leaves_the_tokens() -> None:
    with receiver_failed.captured() as failures:
        assert bill(reported(), lambda *_: 1 / 0) == (None, "unpriced")
    assert [(each.signal, each.error) for each in failures] == [("llm_called", "ZeroDivisionError")]


def test_a_sum_of_bills_is_unpriced_where_a_part_is() -> None:
    priced = Billing(usage=TokenUsage(prompt_tokens=5), cost=0.5, cost_source="provider", input_cost=0.25)
    other = Billing(cost=0.25, cost_source="price_table", output_cost=0.25)
    unpriced = Billing(usage=TokenUsage(prompt_tokens=2), cost_source="unpriced")
    assert priced + other == Billing(
        usage=TokenUsage(prompt_tokens=5), cost=0.75, cost_source="provider", input_cost=0.25, output_cost=0.25
    )
    assert (Billing() + other).cost_source == "price_table"
    for both in (priced + unpriced, unpriced + priced):
        assert (both.cost, both.cost_source, both.usage.prompt_tokens) == (0.5, "unpriced", 7)
    assert "usage" not in priced.costs
