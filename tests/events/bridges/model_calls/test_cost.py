"""The cost that a seller says in an answer or its headers, and functions that are asked for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.model_calls.cost import billed_cost, check_price

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
