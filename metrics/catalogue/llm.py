"""Model calls: their attempts, tokens, cost, latency and outcomes."""

from __future__ import annotations

from events import llm_attempted, llm_call, llm_called, llm_configured, llm_process_read, llm_usage_billed

from .. import buckets
from ..rows import counter, gauge, histogram, in_flight, info

LABEL_LIMITS = {
    "from_model": 4,
    "model": 12,
    "provider": 8,
    "response_model": 16,
    "role": 8,  # pairs of model and role
    "to_model": 6,  # pairs of from_model and to_model
}
"""How many values an open label takes, by its name."""

# Help texts that several rows share.
TOKENS = "Tokens of model calls; prompt tokens include cached ones, completion tokens reasoning."
PER_REQUEST = "Tokens of one model call, or of each model that was billed for it."
DETAILS = "Tokens of a kind, already inside llm_tokens_total: do not add the two."
ESTIMATED = "Tokens estimated for answers without usage; not in llm_tokens_total."
COST = "USD of model calls, as the provider says or by the price table; a local model costs 0."
COST_BY_KIND = "USD of model calls by kind of token; a split of llm_cost_usd_total."
COST_BY_AGENT = "USD of model calls by agent and model; a split of llm_cost_usd_total."
COST_BY_RESULT = "USD of model calls by how they ended; a split of llm_cost_usd_total."
MISSING = "Model calls that brought an answer without usage."
UNPRICED = "Model calls with usage, but without a known price; their cost is in no total."
ERRORS = "Model calls that came to nothing, by why the last attempt failed."
FINISH_REASONS = "Answers of models, by why they end; length is one that was cut."
QUEUE = "Time a model call waited in a limiter's queue; it is in no other time."
INFO = "1 for each name that answers gave themselves, by the name that was asked for."
LIMIT = "Rate limit of a model, as its provider says; no series after ten minutes without a word of it."
REMAINING = (
    "What is left of a model's rate limit, as its provider says; no series after ten minutes without a word of it."
)
RATE_LIMIT_EXPIRY = 600.0
"""Seconds after which a rate limit is not known any more; the limits of OpenAI and Anthropic are those of a minute."""

# Of each operation that occurs every status is to be seen the first time.
STATUSES = {"status": ("success", "error", "timeout", "cancelled")}

# What the share of answers is made of that were cut.
JUDGED_REASONS = {"finish_reason": ("stop", "length")}

# fmt: off
LLM = (
    # What was billed: under the model that was billed, on the call itself or itemized.
    counter("llm_tokens_total", TOKENS, llm_called, value="prompt_tokens",
        labels=("model",), where={"itemized": False}, const_labels={"token_type": "prompt"}),
    counter("llm_tokens_total", TOKENS, llm_called, value="completion_tokens",
        labels=("model",), where={"itemized": False}, const_labels={"token_type": "completion"}),
    counter("llm_tokens_total", TOKENS, llm_usage_billed, value="prompt_tokens",
        labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_total", TOKENS, llm_usage_billed, value="completion_tokens",
        labels=("model",), const_labels={"token_type": "completion"}),
    histogram("llm_tokens_per_request", PER_REQUEST, llm_called, value="prompt_tokens",
        labels=("model",), where={"itemized": False}, const_labels={"token_type": "prompt"}, buckets=buckets.TOKENS),
    histogram("llm_tokens_per_request", PER_REQUEST, llm_called, value="completion_tokens",
        labels=("model",), where={"itemized": False}, const_labels={"token_type": "completion"},
        buckets=buckets.TOKENS),
    histogram("llm_tokens_per_request", PER_REQUEST, llm_usage_billed, value="prompt_tokens",
        labels=("model",), const_labels={"token_type": "prompt"}, buckets=buckets.TOKENS),
    histogram("llm_tokens_per_request", PER_REQUEST, llm_usage_billed, value="completion_tokens",
        labels=("model",), const_labels={"token_type": "completion"}, buckets=buckets.TOKENS),
    # Calls, under the model that answered or was asked last.
    histogram("llm_request_duration_seconds",
        "Time a successful model call took, to the end of its stream, without its reader's pauses.",
        llm_called, value="duration", labels=("model",), where={"status": "success"}, buckets=buckets.MODEL),
    counter("llm_requests_total", "Model calls that ended: logical ones, retries and fallbacks inside.",
        llm_called, labels=("model", "provider", "status"), nested_in={"model": "provider"}),
    counter("llm_operations_total", "Model calls that ended, by what the model was asked for.",
        llm_called, labels=("operation", "status"), initialize=False, expected=STATUSES),
    counter("llm_errors_total", ERRORS, llm_called, labels=("model", "error_type"),
        where={"status": "error"}, default={"error_type": "other"}, initialize=False),
    counter("llm_errors_total", ERRORS, llm_called, labels=("model", "error_type"),
        where={"status": "timeout"}, default={"error_type": "timeout"}, initialize=False),
    counter("llm_errors_total", ERRORS, llm_called, labels=("model", "error_type"),
        where={"status": "cancelled"}, default={"error_type": "cancelled"}, initialize=False),
    histogram("llm_queue_wait_seconds", QUEUE,
        llm_called, value="queue_wait", labels=("model",), buckets=buckets.MODEL_QUEUE),
    # Attempts, under the model that was asked.
    counter("llm_attempts_total", "Attempts at model calls that ended: each request that was sent.",
        llm_attempted, labels=("model", "provider", "outcome"), nested_in={"model": "provider"}),
    histogram("llm_attempt_duration_seconds",
        "Time one attempt at a model call took, however it ended, without its reader's pauses.",
        llm_attempted, value="duration", labels=("provider", "outcome"), buckets=buckets.MODEL),
    counter("llm_attempt_seconds_total", "Time of attempts at model calls, by the model that was asked.",
        llm_attempted, value="duration", labels=("model", "provider", "outcome"), nested_in={"model": "provider"},
        initialize=False),
    counter("llm_retries_total", "Attempts at the model that had failed just before, by why.",
        llm_attempted, labels=("model", "retry_reason"), rename={"retry_reason": "reason"}, initialize=False),
    counter("llm_fallbacks_total", "Attempts at another model or provider than had failed just before, by why.",
        llm_attempted, labels=("from_model", "to_model", "fallback_reason"), nested_in={"to_model": "from_model"},
        rename={"fallback_reason": "reason"}, initialize=False),
    counter("llm_backoff_seconds_total", "Time waited before retries.",
        llm_attempted, value="backoff", labels=("provider",)),
    gauge("llm_rate_limit", LIMIT, llm_attempted, value="limit_requests",
        labels=("model", "provider"), nested_in={"model": "provider"}, const_labels={"resource": "requests"},
        initialize=False, multiprocess_mode="livemostrecent", expires_after=RATE_LIMIT_EXPIRY),
    gauge("llm_rate_limit", LIMIT, llm_attempted, value="limit_tokens",
        labels=("model", "provider"), nested_in={"model": "provider"}, const_labels={"resource": "tokens"},
        initialize=False, multiprocess_mode="livemostrecent", expires_after=RATE_LIMIT_EXPIRY),
    gauge("llm_rate_limit_remaining", REMAINING, llm_attempted, value="remaining_requests",
        labels=("model", "provider"), nested_in={"model": "provider"}, const_labels={"resource": "requests"},
        initialize=False, multiprocess_mode="livemostrecent", expires_after=RATE_LIMIT_EXPIRY),
    gauge("llm_rate_limit_remaining", REMAINING, llm_attempted, value="remaining_tokens",
        labels=("model", "provider"), nested_in={"model": "provider"}, const_labels={"resource": "tokens"},
        initialize=False, multiprocess_mode="livemostrecent", expires_after=RATE_LIMIT_EXPIRY),
    info("llm_model_info", INFO, llm_called,
        labels=("model", "response_model", "provider"), nested_in={"response_model": "model"}),
    info("llm_model_info", INFO, llm_attempted,
        labels=("model", "response_model", "provider"), nested_in={"response_model": "model"}),
    info("llm_configured_info", "1 for each model that is configured, by its role.",
        llm_configured, value="configured", labels=("model", "provider", "role"), nested_in={"role": "model"},
        multiprocess_mode="livemax"),
    counter("llm_process_cpu_seconds_total", "Processor time of the process of a model that the application runs.",
        llm_process_read, value="cpu_time", labels=("model",)),
    gauge("llm_process_resident_memory_bytes", "Memory of the process of a model that the application runs.",
        llm_process_read, value="resident_memory", labels=("model",)),
    in_flight("llm_active_requests", "Model calls under way, by the model asked first.",
        llm_call, labels=("model",)),
    histogram("llm_time_to_first_token_seconds",
        "Time from a call's begin to its first token, where it was seen.",
        llm_called, value="time_to_first_token", labels=("model",), buckets=buckets.FIRST_TOKEN),
    histogram("llm_time_to_first_token_by_agent_seconds",
        "Time from a call's begin to its first token, by agent.",
        llm_called, value="time_to_first_token", labels=("agent_name",), buckets=buckets.FIRST_TOKEN_OF_AGENT),
    histogram("llm_time_per_output_token_seconds", "Time between tokens after the first, where they were seen.",
        llm_called, value="time_per_output_token", labels=("model",), where={"status": "success"},
        buckets=buckets.NEXT_TOKEN),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="cache_read_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "cache_read"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="cache_read_tokens", labels=("model",), const_labels={"detail": "cache_read"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="cache_write_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "cache_write"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="cache_write_tokens", labels=("model",), const_labels={"detail": "cache_write"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="reasoning_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "reasoning"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="reasoning_tokens", labels=("model",), const_labels={"detail": "reasoning"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="prompt_audio_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "prompt_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="prompt_audio_tokens", labels=("model",), const_labels={"detail": "prompt_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="completion_audio_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "completion_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="completion_audio_tokens", labels=("model",),
        const_labels={"detail": "completion_audio"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="prompt_image_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "prompt_image"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="prompt_image_tokens", labels=("model",), const_labels={"detail": "prompt_image"}),
    counter("llm_token_details_total", DETAILS,
        llm_called, value="completion_image_tokens", labels=("model",), where={"itemized": False},
        const_labels={"detail": "completion_image"}),
    counter("llm_token_details_total", DETAILS,
        llm_usage_billed, value="completion_image_tokens", labels=("model",),
        const_labels={"detail": "completion_image"}),
    counter("llm_usage_missing_total", MISSING,
        llm_called, labels=("model",), where={"itemized": False, "lacks_usage": True}),
    counter("llm_usage_missing_total", MISSING,
        llm_usage_billed, labels=("model",), where={"lacks_usage": True}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_called, value="estimated_prompt_tokens", labels=("model",), where={"itemized": False},
        const_labels={"token_type": "prompt"}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_usage_billed, value="estimated_prompt_tokens", labels=("model",), const_labels={"token_type": "prompt"}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_called, value="estimated_completion_tokens", labels=("model",), where={"itemized": False},
        const_labels={"token_type": "completion"}),
    counter("llm_tokens_estimated_total", ESTIMATED,
        llm_usage_billed, value="estimated_completion_tokens", labels=("model",),
        const_labels={"token_type": "completion"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"itemized": False, "cost_source": "provider"},
        const_labels={"source": "provider"}),
    counter("llm_cost_usd_total", COST,
        llm_usage_billed, value="cost", labels=("model",), where={"cost_source": "provider"},
        const_labels={"source": "provider"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"itemized": False, "cost_source": "price_table"},
        const_labels={"source": "price_table"}),
    counter("llm_cost_usd_total", COST,
        llm_usage_billed, value="cost", labels=("model",), where={"cost_source": "price_table"},
        const_labels={"source": "price_table"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"itemized": False, "cost_source": "unknown"},
        const_labels={"source": "unknown"}),
    counter("llm_cost_usd_total", COST,
        llm_usage_billed, value="cost", labels=("model",), where={"cost_source": "unknown"},
        const_labels={"source": "unknown"}),
    counter("llm_cost_usd_total", COST,
        llm_called, value="cost", labels=("model",), where={"itemized": False, "cost_source": None},
        const_labels={"source": "unknown"}),
    counter("llm_cost_usd_total", COST,
        llm_usage_billed, value="cost", labels=("model",), where={"cost_source": None},
        const_labels={"source": "unknown"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="input_cost", labels=("model",), where={"itemized": False}, const_labels={"kind": "input"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_usage_billed, value="input_cost", labels=("model",), const_labels={"kind": "input"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="output_cost", labels=("model",), where={"itemized": False}, const_labels={"kind": "output"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_usage_billed, value="output_cost", labels=("model",), const_labels={"kind": "output"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="cache_read_cost", labels=("model",), where={"itemized": False},
        const_labels={"kind": "cache_read"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_usage_billed, value="cache_read_cost", labels=("model",), const_labels={"kind": "cache_read"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="cache_write_cost", labels=("model",), where={"itemized": False},
        const_labels={"kind": "cache_write"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_usage_billed, value="cache_write_cost", labels=("model",), const_labels={"kind": "cache_write"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_called, value="unsplit_cost", labels=("model",), where={"itemized": False},
        const_labels={"kind": "unsplit"}),
    counter("llm_cost_by_kind_usd_total", COST_BY_KIND,
        llm_usage_billed, value="unsplit_cost", labels=("model",), const_labels={"kind": "unsplit"}),
    counter("llm_cost_by_agent_usd_total", COST_BY_AGENT,
        llm_called, value="cost", labels=("agent_name", "model"), where={"itemized": False}),
    counter("llm_cost_by_agent_usd_total", COST_BY_AGENT,
        llm_usage_billed, value="cost", labels=("agent_name", "model")),
    counter("llm_unpriced_requests_total",
        UNPRICED,
        llm_called, labels=("model",), where={"itemized": False, "cost_source": "unpriced"}),
    counter("llm_unpriced_requests_total",
        UNPRICED,
        llm_usage_billed, labels=("model",), where={"cost_source": "unpriced"}),
    counter("llm_cost_by_result_usd_total", COST_BY_RESULT, llm_called, value="cost", labels=("model", "result"),
        initialize=False),
    counter("llm_finish_reasons_total", FINISH_REASONS, llm_called, labels=("model", "finish_reason"),
        rename={"finish_reason": "reason"}, where={"status": "success"}, default={"finish_reason": "unknown"},
        expected=JUDGED_REASONS),
    counter("llm_finish_reasons_total", FINISH_REASONS, llm_called, labels=("model", "finish_reason"),
        rename={"finish_reason": "reason"}, where={"status": "error"}, expected=JUDGED_REASONS),
    counter("llm_invalid_outputs_total", "Answers of models that are not what was asked for.",
        llm_called, labels=("model", "output_fault"), rename={"output_fault": "reason"}, initialize=False),
)
# fmt: on
