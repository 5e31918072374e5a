"""The cost that the seller itself says it bills for a response: providers and gateways that price each answer.

Sources: https://openrouter.ai/docs/use-cases/usage-accounting (``usage.cost``, with a key of one's own also
``cost_details.upstream_inference_cost``), https://docs.litellm.ai/docs/proxy/response_headers
(``x-litellm-response-cost``), https://docs.x.ai/developers/cost-tracking (``cost_in_usd_ticks``),
https://docs.perplexity.ai/api-reference/chat-completions-post (``cost.total_cost``),
https://deepinfra.com/docs/openai_api (``estimated_cost``), https://pydantic.dev/docs/ai/gateway (pydantic-ai reads it).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_ai.messages import ModelResponse

from ..model_calls.cost import LITELLM_HEADER, NAMES_OF_COST, TICKS_PER_DOLLAR, number
from ..model_calls.token_usage import as_mapping
from .reported import Reported, reported_by

NAMES_IN_DETAILS = frozenset({"cost", "upstream_inference_cost"})
"""OpenRouter's, of which pydantic-ai stores one in the details of a response that says what is billed."""


def seller_cost(response: ModelResponse) -> float | None:
    """Return the cost in USD that the response, or its headers, say; None where they say nothing."""
    if (cost := getattr(response.usage, "cost", None)) is not None:  # newer than pydantic-ai 2.0
        return float(cost)
    reported, details = reported_by(response), response.provider_details or {}
    ticks = number(response.usage.details.get("cost_in_usd_ticks"))
    if ticks is None and NAMES_OF_COST.isdisjoint(as_mapping(reported.usage)) and NAMES_IN_DETAILS.isdisjoint(details):
        return header_cost(reported)
    said = cost_in_usage(reported)
    if said is None and not NAMES_IN_DETAILS.isdisjoint(details):  # OpenRouter's; a cost of 0 is left out
        said = number(details.get("cost")) or 0.0
    if said is not None:
        if (reported.get("is_byok") or details.get("is_byok")) is True:  # the model's own seller bills the rest
            upstream = reported.get("cost_details", "upstream_inference_cost")
            said += number(details.get("upstream_inference_cost") if upstream is None else upstream) or 0.0
        return said
    if ticks is None:  # in xAI's own SDK, whose messages have 0 for what is not said
        ticks = number(reported.get("cost_in_usd_ticks")) or None
    if ticks is not None:
        return ticks / TICKS_PER_DOLLAR
    return header_cost(reported)


def header_cost(reported: Reported) -> float | None:
    """Return the cost in the headers of a response; those of a stream are sent before anything is billed."""
    return None if reported.streamed or not reported.headers else number(reported.headers.get(LITELLM_HEADER))


def cost_in_usage(reported: Reported) -> float | None:
    """Return the cost in a response's usage object."""
    cost = reported.get("cost")
    if isinstance(cost, Mapping) or hasattr(cost, "total_cost"):
        cost = reported.get("cost", "total_cost")
    return number(reported.get("estimated_cost") if cost is None else cost)
