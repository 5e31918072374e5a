"""Model calls: their attempts, tokens, cost, latency and outcomes."""

from __future__ import annotations

from events import llm_attempted, llm_call, llm_called

from .. import buckets
from ..rows import counter, gauge, histogram, in_flight

LABEL_LIMITS = {
    "from_model": 4,
    "model": 12,
    "provider": 8,
    "to_model": 4,
}
"""How many values an open label takes, by its name."""

# Help texts that several rows share.
TOKENS = "Tokens of model calls that ended. Prompt tokens include cached ones, completion tokens include reasoning."
DETAILS = "Tokens of a kind, already inside llm_tokens_total: do not add the two."
ESTIMATED = "Tokens estimated from bytes for answers without usage; they are not in llm_tokens_total."
COST = "USD of model calls, as the provider says or by the price table; a local model costs 0."
COST_BY_KIND = "USD of model calls by kind of token; the kinds add up to llm_cost_usd_total: do not add the two."
COST_BY_AGENT = "USD of model calls by agent and model, as they end; adds up to llm_cost_usd_total: do not add the two."
REMAINING = "What the provider says is left of its rate limit; no series where it does not say."

# fmt: off
LLM = (
    counter("llm_tokens_total", TOKENS,
        llm_called, value="prompt_tokens", labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_total", TOKENS,
        llm_called, value="completion_tokens", labels=("model",), const_labels={"token_type": "completion"}),
    histogram("llm_request_duration_seconds", "Time a successful model call took, to the end of its stream.",
        llm_called, value="duration", labels=("model",), where={"status": "success"}, buckets=buckets.MODEL),
    counter("llm_requests_total", "Model calls that ended: logical ones, retries and fallbacks inside.",
        llm_called, labels=("model", "status")),
    counter("llm_errors_total", "Model calls that came to nothing, by why the last attempt failed.",
        llm_called, labels=("model", "error_type")),
    counter("llm_attempts_total", "Attempts at model calls that ended.",
        llm_attempted, labels=("provider", "outcome")),
    histogram("llm_attempt_duration_seconds", "Time one attempt at a model call took, however it ended.",
        llm_attempted, value="duration", labels=("provider", "outcome"), buckets=buckets.MODEL),
    counter("llm_retries_total", "Attempts at the model that had failed just before, by why.",
        llm_attempted, labels=("model", "retry_reason"), rename={"retry_reason": "reason"}),
    counter("llm_fallbacks_total", "Attempts at another model than the one that had failed just before, by why.",
        llm_attempted, labels=("from_model", "to_model", "fallback_reason"), rename={"fallback_reason": "reason"}),
    counter("llm_backoff_seconds_total", "Time waited before retries.",
        llm_attempted, value="backoff", labels=("provider",)),
    gauge("llm_rate_limit_remaining", REMAINING,
        llm_attempted, value="remaining_requests", labels=("provider",), const_labels={"resource": "requests"},
        initialize=False, multiprocess_mode="livemostrecent"),
    gauge("llm_rate_limit_remaining", REMAINING,
        llm_attempted, value="remaining_tokens", labels=("provider",), const_labels={"resource": "tokens"},
        initialize=False, multiprocess_mode="livemostrecent"),
    in_flight("llm_active_requests", "Model calls under way in this process, by the model asked first.",
        llm_call, labels=("model",)),
    histogram("llm_time_to_first_token_seconds",
        "Time from a call's begin to its first token, where it was seen to come.",
        llm_called, value="time_to_first_token", labels=("model",), where={"status": "success"},
        buckets=buckets.FIRST_TOKEN),
    histogram("llm_time_per_output_token_seconds", "Time between tokens after the first, where they were seen to come.",
        llm_called, value="time_per_output_token", labels=("model",), where={"status": "success"},
        buckets=buckets.NEXT_TOKEN),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="cache_read_tokens", labels=("model",), const_labels={"detail": "cache_read"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="cache_write_tokens", labels=("model",), const_labels={"detail": "cache_write"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="reasoning_tokens", labels=("model",), const_labels={"detail": "reasoning"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="prompt_audio_tokens", labels=("model",), const_labels={"detail": "prompt_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="completion_audio_tokens", labels=("model",), const_labels={"detail": "completion_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="prompt_image_tokens", labels=("model",), const_labels={"detail": "prompt_image"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="completion_image_tokens", labels=("model",), const_labels={"detail": "completion_image"}),
    counter("llm_usage_missing_total", "Model calls that brought an answer, or a part of one, without usage.",
        llm_called, labels=("model",), where={"lacks_usage": True}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_called, value="estimated_prompt_tokens", labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_called, value="estimated_completion_tokens", labels=("model",), const_labels={"token_type": "completion"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"cost_source": "provider"},
        const_labels={"source": "provider"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"cost_source": "price_table"},
        const_labels={"source": "price_table"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"cost_source": "unknown"},
        const_labels={"source": "unknown"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"cost_source": None},
        const_labels={"source": "unknown"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="input_cost", labels=("model",), const_labels={"kind": "input"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="output_cost", labels=("model",), const_labels={"kind": "output"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="cache_read_cost", labels=("model",), const_labels={"kind": "cache_read"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="cache_write_cost", labels=("model",), const_labels={"kind": "cache_write"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="unsplit_cost", labels=("model",), const_labels={"kind": "unsplit"}),
    counter("llm_cost_by_agent_usd_total", COST_BY_AGENT,
        llm_called, value="cost", labels=("agent_name", "model")),
    counter("llm_unpriced_requests_total",
        "Model calls with usage whose model nobody knows a price of; their cost is in no total.",
        llm_called, labels=("model",), where={"cost_source": "unpriced"}),
    counter("llm_finish_reasons_total", "Answers of models, by why they end; length is one that was cut.",
        llm_called, labels=("model", "finish_reason"), rename={"finish_reason": "reason"}),
    counter("llm_invalid_outputs_total", "Answers of models that are not what was asked for.",
        llm_called, labels=("model", "output_fault"), rename={"output_fault": "reason"}),
)
# fmt: on
