"""The cost that a seller says in an answer or its headers, and functions that are asked for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events import value_dropped
from events.bridges.model_calls.cost import NO_COST, PART_FIELDS, Cost, billed_cost, check_price, cost_fields

HEADER = {"x-litellm-response-cost": "0.5"}


@pytest.mark.parametrize(
    ("usage", "headers", "cost"),
    [
        (None, {}, None),
        ({"prompt_tokens": 5}, {}, None),
        ({"cost": 0.5}, {}, 0.5),
        ({"cost": 0}, {}, 0.0),
        ({"cost": "much"}, {}, None),
        ({"cost": {"total_cost": 0.5}}, {}, 0.5),
        (SimpleNamespace(cost=SimpleNamespace(total_cost=0.5)), {}, 0.5),
        ({"estimated_cost": 0.5}, {}, 0.5),
        ({"cost": 0.25, "estimated_cost": 0.5}, {}, 0.25),
        ({"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, {}, 0.75),
        ({"cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, {}, 0.25),
        ({"cost": 0.25, "is_byok": True}, {}, 0.25),
        ({"cost_in_usd_ticks": 5 * 10**9}, {}, 0.5),
        (None, HEADER, 0.5),
        ({"cost": 0.25}, HEADER, 0.25),
    ],
)
def test_the_cost_is_what_the_seller_says_that_it_bills(
    usage: Any, headers: dict[str, str], cost: float | None
) -> None:
    assert billed_cost(usage, headers) == cost


@pytest.mark.parametrize(
    ("cost", "kept"), [(0.0, 0.0), (999_999.0, 999_999.0), (10**6, None), (-1.0, None), (None, None)]
)
def test_a_cost_that_cannot_be_is_no_price(cost: float | None, kept: float | None) -> None:
    with value_dropped.captured() as dropped:
        fields = cost_fields(cost, "price_table")
    assert fields == ({"cost_source": "unpriced"} if kept is None else {"cost": kept, "cost_source": "price_table"})
    assert len(dropped) == (kept is None and cost is not None)


@pytest.mark.parametrize(
    ("cost", "parts"),
    [
        (NO_COST, [0.0, 0.0, 0.0, 0.0]),
        (Cost(1.0, input=0.25, output=0.5, cache_read=0.25, cache_write=0.0), [0.25, 0.5, 0.25, 0.0]),
        (Cost(1.0, input=0.25, output=None, cache_read=0.25, cache_write=0.0), [0.25, None, 0.25, 0.0]),
        (Cost(1.0, input=-0.25, output=0.75, cache_read=0.0, cache_write=0.0), [None, 0.75, 0.0, 0.0]),
        (Cost(1.0, input=-1.0, output=0.75, cache_read=0.0, cache_write=0.0), [None, 0.75, 0.0, 0.0]),
        (Cost(1.0, input=1e6, output=0.75, cache_read=0.0, cache_write=0.0), [None, 0.75, 0.0, 0.0]),
        (Cost(1.0, input=0.75, output=0.5, cache_read=0.0, cache_write=0.0), None),  # after a discount
        (Cost(0.3, input=0.1, output=0.1, cache_read=0.1, cache_write=0.0), [0.1, 0.1, 0.1, 0.0]),
    ],
)
def test_a_part_of_a_cost_that_cannot_be_spoils_no_other(cost: Cost, parts: list[float | None] | None) -> None:
    fields = cost_fields(cost, "price_table")
    assert fields["cost"] == cost
    assert [fields.get(name) for name in PART_FIELDS] == (parts or [None] * 4)
    assert (PART_FIELDS[0] in fields) is (parts is not None)


@pytest.mark.parametrize(
    ("price", "word"),
    [
        (0.001, "float"),
        ({"m": 1.0}, "dict"),
        (lambda usage: 0.1, "three arguments"),
        (lambda provider, model, usage, response: 0.1, "three arguments"),
    ],
)
def test_a_price_function_that_cannot_be_asked_is_refused(price: Any, word: str) -> None:
    with pytest.raises(TypeError, match=word):
        check_price(price)


def test_a_price_function_that_nobody_would_await_is_refused() -> None:
    async def price(provider: str, model: str, usage: Any) -> float:
        return 0.1

    with pytest.raises(TypeError, match="coroutine"):
        check_price(price)


@pytest.mark.parametrize(
    "price",
    [None, lambda *_: 0.1, lambda provider, model, usage, more=1: 0.1, max],
    ids=["none", "any", "default", "max"],
)
def test_what_takes_three_arguments_is_a_price_function(price: Any) -> None:
    check_price(price)
