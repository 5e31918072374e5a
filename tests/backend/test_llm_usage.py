"""The usage of models is summed, and unknown costs stay unknown."""

from __future__ import annotations

from app.llm_usage import LLMUsage


def test_a_sum_has_the_cost_of_the_calls_whose_price_is_known() -> None:
    total = LLMUsage.total([LLMUsage(1, 10, 5, 0.1), LLMUsage(2, 20, 6, None), LLMUsage(1, 1, 1, 0.2)])
    assert (total.llm_calls, total.prompt_tokens, total.completion_tokens) == (4, 31, 12)
    assert total.cost == 0.1 + 0.2
    assert total.total_tokens == 43


def test_a_sum_of_unknown_costs_is_unknown_and_not_0() -> None:
    assert LLMUsage.total([LLMUsage(1, 10, 5), LLMUsage(2, 20, 6)]).cost is None
    assert LLMUsage.total([]) == LLMUsage()
    assert LLMUsage.total([LLMUsage(cost=0.0), LLMUsage()]).cost == 0
