"""What a request is billed: sums of it, and costs that are impossible."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.usage import RequestUsage

from events import value_dropped
from events.bridges.pydantic_ai.cost import Billing, billing_of
from events.bridges.pydantic_ai.usage import TokenUsage

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Billing(), Billing(), Billing()),
        (Billing(cost=1.0, cost_source="provider"), Billing(), Billing(cost=1.0, cost_source="provider")),
        (Billing(), Billing(cost=1.0, cost_source="price_table"), Billing(cost=1.0, cost_source="price_table")),
        (
            Billing(usage=TokenUsage(usage_source="provider", prompt_tokens=1, completion_tokens=0)),
            Billing(usage=TokenUsage(usage_source="estimated", prompt_tokens=2, estimated_completion_tokens=3)),
            Billing(
                usage=TokenUsage(
                    usage_source="estimated", prompt_tokens=3, completion_tokens=0, estimated_completion_tokens=3
                )
            ),
        ),
    ],
)
def test_what_is_unknown_in_both_billings_stays_unknown(one: Billing, other: Billing, both: Billing) -> None:
    assert one + other == both


@pytest.mark.parametrize(("billed", "reason"), [("-1", "negative"), ("1e9", "too_large"), ("NaN", "not_finite")])
def test_an_impossible_cost_from_a_gateway_is_dropped(billed: str, reason: str) -> None:
    response = ModelResponse(parts=[], usage=RequestUsage(input_tokens=1, output_tokens=1, cost=Decimal(billed)))
    with value_dropped.captured() as dropped:
        billing = billing_of(response, PROMPT, "gateway", "m", None, complete=True)
    assert (billing.cost, billing.cost_source) == (None, "unpriced")
    assert [(one.metric, one.reason) for one in dropped] == [("llm_called.cost", reason)]
