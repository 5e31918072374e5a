"""The bill of one answer, and the sum of several: by the seller, by a price function, or by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from events import ValueDropped, receiver_failed, value_dropped
from events.bridges.model_calls.cost import MAX_COST, cost_fields, valid_cost
from events.bridges.model_calls.token_usage import TokenUsage
from events.bridges.pydantic_ai import Cost
from events.bridges.pydantic_ai.billing import Billing, billing_of
from events.bridges.pydantic_ai.interruptions import Interrupted

COUNTED = RequestUsage(input_tokens=10, output_tokens=2)


@pytest.fixture
def dropped() -> Iterator[list[ValueDropped]]:
    with value_dropped.captured() as captured:
        yield captured


def answered(usage: RequestUsage = COUNTED, *, text: str = "Fine.", **more: Any) -> ModelResponse:
    return ModelResponse(parts=[TextPart(text)] if text else [], usage=usage, **more)


def bill(response: ModelResponse, price: Any, *, complete: bool = True) -> Billing:
    return billing_of(response, [], "p", "m", price, complete=complete)


def test_a_price_function_is_asked_where_all_tokens_were_counted() -> None:
    asked: list[Any] = []

    def price(provider: str, model: str, usage: RequestUsage) -> float:
        asked.append((provider, model, usage.input_tokens, usage.output_tokens))
        return 0.5

    billing = bill(answered(), price)
    assert (billing.cost, billing.cost_source, billing.usage.prompt_tokens) == (0.5, "price_table", 10)
    assert asked == [("p", "m", 10, 2)]
    assert bill(answered(), None).cost_source is None


@pytest.mark.parametrize("usage", [RequestUsage(), RequestUsage(input_tokens=10), RequestUsage(output_tokens=2)])
@pytest.mark.parametrize("complete", [True, False])
def test_a_price_function_is_not_asked_where_a_count_is_missing(usage: RequestUsage, complete: bool) -> None:
    billing = bill(answered(usage), lambda *_: 0.5, complete=complete)
    known = billing.usage.prompt_tokens is not None and billing.usage.completion_tokens is not None
    assert (billing.cost, billing.cost_source) == ((0.5, "price_table") if known else (None, None))


class Unreadable:
    """A price function of which Python cannot say what it takes, as of one that is written in C."""

    __signature__ = "nothing that is one"

    def __call__(self, provider: str, model: str, usage: RequestUsage) -> float:
        return 0.5


class Unnamed(Unreadable):
    """The same, by another error."""

    @property
    def __signature__(self) -> Any:  # type: ignore[override]
        raise ValueError


@pytest.mark.parametrize("price", [Unreadable(), Unnamed()])
def test_a_price_function_that_cannot_be_read_is_given_three_arguments(price: Any) -> None:
    assert bill(answered(), price).cost == 0.5


@pytest.mark.lenient
@pytest.mark.parametrize(("error", "reported"), [(LookupError, 1), (Interrupted, 0)])
def test_a_price_function_that_raises_leaves_the_answer_unpriced(error: type[BaseException], reported: int) -> None:
    def price(provider: str, model: str, usage: RequestUsage) -> float:
        raise error

    with receiver_failed.captured() as failures:
        billing = bill(answered(), price)
    assert (billing.cost, billing.cost_source, billing.usage.prompt_tokens) == (None, "unpriced", 10)
    assert len(failures) == reported


@pytest.mark.parametrize(
    ("cost", "valid", "reasons"),
    [
        (None, None, []),
        (0.0, 0.0, []),
        (MAX_COST - 1, MAX_COST - 1.0, []),
        (MAX_COST, None, ["too_large"]),
        (-0.1, None, ["negative"]),
        (float("nan"), None, ["not_finite"]),
    ],
)
def test_a_cost_is_a_number_of_dollars_below_a_million(
    cost: Any, valid: float | None, reasons: list[str], dropped: list[ValueDropped]
) -> None:
    assert MAX_COST == 1_000_000
    assert valid_cost(cost) == valid
    assert [(each.metric, each.reason) for each in dropped] == [("llm_called.cost", reason) for reason in reasons]


def test_parts_that_exceed_the_cost_are_none_of_it() -> None:
    whole = cost_fields(Cost(1.0, input=0.25, output=0.75), "provider")
    assert whole == {
        "cost": 1.0, "cost_source": "provider", "input_cost": 0.25, "output_cost": 0.75,
        "cache_read_cost": None, "cache_write_cost": None,
    }  # fmt: skip
    assert cost_fields(Cost(1.0, input=0.5, output=0.5 + 1e-10), "provider")["output_cost"] == 0.5 + 1e-10
    assert cost_fields(Cost(1.0, input=0.5, output=0.51), "provider") == {"cost": 1.0, "cost_source": "provider"}
    assert cost_fields(1.0, "price_table") == {"cost": 1.0, "cost_source": "price_table"}
    assert cost_fields(None, "price_table") == {"cost_source": "unpriced"}


PRICED = Billing(usage=TokenUsage(prompt_tokens=1), cost=0.5, cost_source="price_table", input_cost=0.5)
UNPRICED = Billing(usage=TokenUsage(prompt_tokens=2), cost_source="unpriced")
UNASKED = Billing(usage=TokenUsage(prompt_tokens=4))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (PRICED, PRICED, (2, 1.0, "price_table", 1.0, None)),
        (PRICED, UNPRICED, (3, 0.5, "unpriced", 0.5, None)),
        (UNPRICED, PRICED, (3, 0.5, "unpriced", 0.5, None)),
        (UNASKED, PRICED, (5, 0.5, "price_table", 0.5, None)),
        (PRICED, UNASKED, (5, 0.5, "price_table", 0.5, None)),
        (UNASKED, Billing(), (4, None, None, None, None)),
    ],
)
def test_a_sum_is_unpriced_where_one_part_is(one: Billing, other: Billing, expected: Any) -> None:
    total = one + other
    amounts = (total.usage.prompt_tokens, total.cost, total.cost_source, total.input_cost, total.output_cost)
    assert amounts == expected
    assert set(total.costs) == {
        "cost", "cost_source", "input_cost", "output_cost", "cache_read_cost", "cache_write_cost",
    }  # fmt: skip
