"""What a seller bills for a call, as its answer or its headers say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.model_calls.cost import billed_cost

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
