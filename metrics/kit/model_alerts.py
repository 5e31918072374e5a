"""Alerts on models and on what they cost."""

from __future__ import annotations

from . import promql
from .alert_rows import Alert
from .objectives import (
    ANSWERS_CUT,
    ANSWERS_UNUSABLE,
    LEAST_FAILED,
    MODEL_ERRORS,
    RATE_LIMIT_LEFT,
    RATE_LIMITED,
    SERVED_BY_FALLBACK,
    SPEND_WASTED,
    USD_A_DAY,
)
from .recording_rules import FAILED_CALLS

BUDGET = "NS:cost_budget:usd_per_day"
CAUSES = promql.grown("llm_errors_total", "model, error_type", "10m", 'error_type!="cancelled"') + " > 0"
LATER = "sum by (model, provider, outcome) (increase(NS_llm_attempts_total[10m])) > 0"
REFUSED = promql.increase("llm_attempts_total", "job, provider", 'outcome="rate_limited"', "5m")
SPENDERS = "topk(5, sum by (agent_name, model) (increase(NS_llm_cost_by_agent_usd_total[1h])))"

# fmt: off
MODELS = (
    Alert(name="ModelFails", severity="page", wait="5m",
        expr=f"model:NS_llm_errors:ratio_rate5m > {MODEL_ERRORS}\n"
        f"and on (job, model) {FAILED_CALLS} >= {LEAST_FAILED}",
        summary="{{ $labels.model }}: {{ $value | humanizePercentage }} of the calls come to nothing",
        means=f"{LEAST_FAILED} calls or more failed in five minutes after all retries and fallbacks, too many of all. What is "
        "refused because of what was asked (content_filtered, context_length_exceeded, invalid_request) does not count.",
        hurts="Every run that asks this model.",
        confirm=(CAUSES, LATER),
        act=("auth, quota_exceeded: the key or the bill.",
            "provider_5xx, connection: the provider's status page; configure another model to fall back on.",
            "timeout: see how long attempts take, and what the limit is.",
            "rate_limited: as for RateLimited.",
            "invalid_response: the model answers what does not fit; compare with the last change of prompt or schema.",
            "other: the log has the exception.")),
    Alert(name="FallbackServes", severity="ticket", wait="5m",
        expr=f"{promql.grown('llm_fallbacks_total', 'job, from_model, to_model', '10m')}\n> on (job) group_left () "
        f'{SERVED_BY_FALLBACK} * sum by (job) (increase(NS_llm_requests_total{{status="success"}}[10m]))',
        summary='{{ $labels.to_model }} was asked for {{ $labels.from_model }} {{ $value | printf "%.0f" }} times in ten minutes',
        means="A fallback answers a fifth of all calls or more.",
        hurts="Users get answers of another quality, at another price.",
        confirm=("sum by (from_model, to_model, reason) (increase(NS_llm_fallbacks_total[10m])) > 0", LATER),
        act=("The reason says what ails the first model: as for ModelFails.",
            "See whether the fallback's limit and price allow this for long.")),
    Alert(name="RateLimited", severity="ticket", wait="5m",
        expr=f"provider:NS_llm_rate_limited:ratio_rate5m > {RATE_LIMITED}\nand on (job, provider) {REFUSED} >= {LEAST_FAILED}",
        summary="{{ $labels.provider }} refuses {{ $value | humanizePercentage }} of the attempts (429)",
        means="The provider's rate limit is reached; refused attempts wait and are sent again.",
        hurts="Who waits: the calls come through, later.",
        confirm=(LATER, "sum by (provider) (rate(NS_llm_backoff_seconds_total[10m]))", "NS_llm_rate_limit_remaining"),
        act=("Lower the number of runs at once.", "Ask the provider for a higher limit.")),
    Alert(name="RateLimitNearlyGone", severity="ticket", wait="2m",
        expr=f"NS_llm_rate_limit_remaining / (NS_llm_rate_limit > 0) < {RATE_LIMIT_LEFT}\n"
        "and on (job, provider) sum by (job, provider) (rate(NS_llm_attempts_total[5m])) > 0",
        summary="{{ $labels.provider }}: {{ $value | humanizePercentage }} of the limit of {{ $labels.resource }} is left",
        means="What the provider's last answer said is nearly used up. Without calls an old value says nothing, so it "
        "counts only while there are some.",
        hurts="Nobody yet; refusals follow.",
        confirm=("NS_llm_rate_limit_remaining / NS_llm_rate_limit",
            "sum by (model) (rate(NS_llm_attempts_total[5m])) * 60"),
        act=("Spread the load over time or over another model.",)),
    Alert(name="ModelSlowerThanYesterday", severity="ticket", wait="30m",
        expr="model:NS_llm_request_duration_seconds:p95_rate5m\n"
        "> 2 * (avg_over_time(model:NS_llm_request_duration_seconds:p95_rate5m[1d] offset 1d) > 0)\n"
        "and on (job, model) sum by (job, model) (increase(NS_llm_requests_total[5m])) >= 5",
        summary="{{ $labels.model }}: one call in twenty takes {{ $value | humanizeDuration }}, twice yesterday's",
        means="The 95th percentile of a call's time is twice the mean of the day before.",
        hurts="Who waits for runs.",
        confirm=("model:NS_llm_request_duration_seconds:p95_rate5m",
            promql.mean("llm_tokens_per_request", "model", 'token_type="completion"', "15m")),
        act=("Answers are longer than they were: a prompt changed.", "They are not: it is the provider.")),
    Alert(name="AnswersCut", severity="ticket", wait="15m",
        expr='sum by (job, model) (rate(NS_llm_finish_reasons_total{reason="length"}[15m]))\n'
        f"/ (sum by (job, model) (rate(NS_llm_finish_reasons_total[15m])) > 0) > {ANSWERS_CUT}",
        summary="{{ $labels.model }}: {{ $value | humanizePercentage }} of the answers end in the middle",
        means="Answers end at the limit of tokens, not where the model would have ended them.",
        hurts="Who reads the results.",
        confirm=("sum by (model, reason) (increase(NS_llm_finish_reasons_total[1h])) > 0",),
        act=("Raise the limit of tokens of an answer.", "A model that thinks at length needs room for it as well.")),
    Alert(name="AnswersUnusable", severity="ticket", wait="15m",
        expr=f"{promql.grown('llm_invalid_outputs_total', 'job, model', '15m')}\n/ (sum by (job, model) "
        f'(increase(NS_llm_requests_total{{status="success"}}[15m])) > 0) > {ANSWERS_UNUSABLE}',
        summary="{{ $labels.model }}: {{ $value | humanizePercentage }} of the answers do not fit what was asked",
        means="An answer is no JSON, does not fit the schema, is empty or a refusal; each is asked for again, and paid.",
        hurts="Whoever pays and whoever waits.",
        confirm=("sum by (model, reason) (increase(NS_llm_invalid_outputs_total[1h])) > 0",),
        act=("Mend prompt or schema.", "Ask a model that keeps to schemas.")),
    Alert(name="ContextLost", severity="ticket",
        expr=promql.first_trouble("context_truncations_total", "job, agent_name, reason", "15m",
            'reason=~"provider_silent|rejected"'),
        summary='{{ $labels.agent_name }}: {{ $value | printf "%.0f" }} contexts did not reach the model ({{ $labels.reason }})',
        means="A context was longer than the model's window. provider_silent: the server cut it and said nothing. "
        "rejected: it refused the call. Trimming by the application itself is no alert.",
        hurts="Who reads the results: the model answered without having read everything.",
        confirm=(promql.grown("context_truncations_total", "agent_name, reason", "1h") + " > 0",
            promql.quantile(0.95, "context_window_utilization_ratio", "agent_name", window="1h")),
        act=("Configure the window that the server really takes (Ollama: num_ctx).", "Give the agent less.")),
    Alert(name="SpendsFast", severity="page", wait="5m",
        expr=f"job:NS_llm_cost_usd:rate1h * 86400 > on () group_left () (3 * {BUDGET})\n"
        f"and job:NS_llm_cost_usd:rate10m * 86400 > on () group_left () (3 * {BUDGET})\n"
        f"and job:NS_llm_cost_usd:increase1d > on () group_left () (0.5 * {BUDGET})",
        summary="Models are paid {{ $value | humanize }} USD a day, over three times the budget",
        means=f"At the pace of the last hour and of the last ten minutes a day costs over three times {USD_A_DAY} USD, and "
        "half of that is spent.",
        hurts="Whoever pays.",
        confirm=("sum by (model) (rate(NS_llm_cost_usd_total[10m])) * 86400", SPENDERS,
            "job:NS_llm_cost_usd:increase1d", "sum by (workflow_type) (rate(NS_workflows_started_total[10m])) * 3600"),
        act=("One agent asks again and again: cancel its runs.", "A dear fallback answers: take it out.",
            "There is simply more to do: tell whoever owns the budget.")),
    Alert(name="DayBudgetNearlySpent", severity="ticket",
        expr=f"job:NS_llm_cost_usd:increase1d > on () group_left () (0.8 * {BUDGET})",
        summary="Models cost {{ $value | humanize }} USD in 24 hours: over 80 % of the budget",
        means=f"The budget is {USD_A_DAY} USD a day.",
        hurts="Whoever pays.",
        confirm=("sum by (model) (increase(NS_llm_cost_usd_total[1d]))", SPENDERS),
        act=("Tell whoever owns the budget; compare with the number of runs.",)),
    Alert(name="SpendWasted", severity="ticket", wait="15m",
        expr=f"workflow:NS_cost_wasted:ratio1h > {SPEND_WASTED}\n"
        "and on (job, workflow_type) sum by (job, workflow_type) (increase(NS_workflows_total[1h])) >= 10",
        summary="{{ $labels.workflow_type }}: {{ $value | humanizePercentage }} of the spend is of no use to anybody",
        means="Runs that failed, were cancelled, or whose result the reviewer rejected cost money all the same.",
        hurts="Whoever pays.",
        confirm=("sum by (workflow_type, outcome) (increase(NS_workflow_cost_usd_total[1h]))",
            promql.grown("workflow_wasted_cost_usd_total", "workflow_type, reason", "1h") + " > 0",
            "sum by (workflow_type, verdict) (increase(NS_workflow_review_verdicts_total[1h]))"),
        act=("Failed: as for the budget of runs.", "Rejected: as for ReviewerRejects.",
            "Cancelled: people do not wait so long.")),
    Alert(name="CostUnknown", severity="ticket",
        expr=f"{promql.first_trouble('llm_unpriced_requests_total', 'job, model', '15m')}\n"
        "or sum by (job, model) (increase(NS_llm_usage_missing_total[1h]))\n"
        '  / (sum by (job, model) (increase(NS_llm_requests_total{status="success"}[1h])) > 0) > 0.05',
        summary="{{ $labels.model }}: calls without a price or without usage; the cost that is shown is too low",
        means="Nobody knows a price of this model, or its server does not say how many tokens a call took. A call that is "
            "broken off within its answer says neither, as where its run is cancelled or its process suspended.",
        hurts="Who reads the cost: it leaves out these calls.",
        confirm=("sum by (model) (increase(NS_llm_unpriced_requests_total[1h])) > 0",
            "sum by (model) (increase(NS_llm_usage_missing_total[1h])) > 0"),
        act=("No price: install newer prices, or declare one.",
            "No usage: ask the server for it. Calls that were broken off are in the provider's own list.")),
)
# fmt: on
