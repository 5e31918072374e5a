"""The dashboard of models: money, speed, and trouble with providers."""

from __future__ import annotations

from . import promql
from .objectives import ANSWERS_CUT
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, Variable, q

OF = 'model=~"$model"'
CALL = "llm_request_duration_seconds"
RANGE = "$__range"
CALLS = promql.increase("llm_requests_total", "model", OF)
SUCCEEDED = promql.increase("llm_requests_total", "model", f'{OF},status="success"')
FAILED = promql.increase("llm_requests_total", "model", f'{OF},status=~"error|timeout"')
ATTEMPTS = promql.increase("llm_attempts_total", "model", OF)
FAILED_ATTEMPTS = promql.increase("llm_attempts_total", "model", f'{OF},outcome=~"error|timeout|rate_limited"')
COST = promql.increase("llm_cost_usd_total", "model", OF)
READ_FROM_CACHE = promql.rate("llm_token_details_total", "model", f'{OF},detail="cache_read"')
PROMPT = promql.rate("llm_tokens_total", "model", f'{OF},token_type="prompt"')
WRITTEN = promql.rate("llm_tokens_total", "model", f'{OF},token_type="completion"')
CUT = promql.rate("llm_finish_reasons_total", "model", f'{OF},reason="length"')
ENDED = promql.rate("llm_finish_reasons_total", "model", OF)
UNUSABLE = promql.rate("llm_invalid_outputs_total", "model", OF)
ANSWERED = promql.rate("llm_requests_total", "model", f'{OF},status="success"')
WASTED = "No run was wasted."

# fmt: off
MODELS = Dashboard(uid="models", title="Models and cost",
    what="What models cost, how fast they answer, and what is wrong with their providers.",
    variables=(Variable(name="model", family="llm_requests_total", label="model"),),
    sections=(
        Section(title="Money", panels=(
            Panel(title="Cost an hour, by model", show="stacked", unit="currencyUSD", queries=(q(f"{promql.rate('llm_cost_usd_total', 'model', OF)} * 3600", "{{model}}"),)),
            Panel(title="Cost in the range", show="bar gauge", unit="currencyUSD", width=4, queries=(q(COST, "{{model}}"),)),
            Panel(title="Cost of a completed run, 1 h", show="bar gauge", unit="currencyUSD", width=4, what="In the last hour, with what failed beside it.",
                queries=(q("workflow:NS_run_cost_usd:mean1h", "{{workflow_type}}"),)),
            Panel(title="Useful and wasted cost an hour", show="stacked", unit="currencyUSD", colours={"useful": "green", "wasted": "red"},
                queries=(q(f"{promql.rate('workflow_cost_usd_total', 'outcome')} * 3600", "{{outcome}}"),)),
            Panel(title="Models at a glance", show="table", what="Cost is that of 1000 calls that succeed. A call that a fallback answered is one of the fallback: that the first model failed is in its attempts.", unit="short", width=24, height=7, join="model", queries=(
                q(CALLS, "calls"), q(COST, "cost", "currencyUSD"), q(f"1000 * {promql.share(COST, SUCCEEDED)}", "cost of 1000", "currencyUSD"),
                q(promql.increase("llm_tokens_total", "model", OF), "tokens"), q(promql.quantile(0.95, CALL, "model", OF, RANGE), "p95", "s"),
                q(promql.share(FAILED, CALLS), "calls failed", "percentunit"), q(promql.share(FAILED_ATTEMPTS, ATTEMPTS), "attempts failed", "percentunit"))),
            Panel(title="Cost by kind of token, an hour", show="stacked", unit="currencyUSD", width=6, queries=(q(f"{promql.rate('llm_cost_by_kind_usd_total', 'kind', OF)} * 3600", "{{kind}}"),)),
            Panel(title="Cost by agent and model, in the range", show="bar gauge", unit="currencyUSD", width=6,
                queries=(q(f"topk(8, {promql.increase('llm_cost_by_agent_usd_total', 'agent_name, model', OF)})", "{{agent_name}} {{model}}"),)),
            Panel(title="Why cost was wasted, an hour", show="stacked", what="rejected: a reviewer rejected the result of a run that completed.", unit="currencyUSD", width=6, empty=WASTED,
                queries=(q(promql.causes("workflow_wasted_cost_usd_total", "reason", times=3600), "{{reason}}"),)),
            Panel(title="Calls without a price or usage", show="stat", unit="short", width=6, steps={0: "green", 1: "orange"},
                what="Calls without a price and answers without usage: with any of them the cost shown is too low.",
                queries=(q(promql.increase("llm_unpriced_requests_total"), "no price"), q(promql.increase("llm_usage_missing_total"), "no usage"))),
            Panel(title="Cost by what became of calls, an hour", show="stacked", unit="currencyUSD", width=12, colours={"success": "green", "error": "red", "timeout": "orange", "cancelled": "gray", "invalid_output": "purple"}, queries=(q(f"{promql.rate('llm_cost_by_result_usd_total', 'result', OF)} * 3600", "{{result}}"),)),
            Panel(title="Models that are configured", show="table", unit="short", width=12, queries=(q("max by (model, provider, role) (NS_llm_configured_info)", "configured"),)),
            Panel(title="Tokens a second", show="stacked", unit="short", width=12, queries=(q(promql.rate("llm_tokens_total", "model, token_type", OF), "{{model}} {{token_type}}"),)),
            Panel(title="Prompt tokens from the cache", show="lines", unit="percentunit", width=12, queries=(q(promql.share(READ_FROM_CACHE, PROMPT), "{{model}}"),)),
        )),
        Section(title="Speed", panels=(
            Panel(title="Time of a call", show="heatmap", width=6, queries=(q(promql.buckets(CALL, OF), "{{le}}"),)),
            Panel(title="Time of a call, p50 and p95", show="lines", width=6, queries=(q(promql.quantile(0.5, CALL, "model", OF), "{{model}} p50"), q(promql.quantile(0.95, CALL, "model", OF), "{{model}} p95"))),
            Panel(title="Time to first token, p95", show="lines", width=6, what="Of calls whose answers are streamed.",
                queries=(q(promql.quantile(0.95, "llm_time_to_first_token_seconds", "model", OF), "{{model}}"),)),
            Panel(title="Tokens written, a second of a call", show="lines", unit="short", width=6, queries=(q(promql.share(WRITTEN, promql.observed(CALL, "model", OF)), "{{model}}"),)),
            Panel(title="Calls under way", show="lines", what="By the model that was asked first: which one answers is known at the end.", unit="short", width=12, height=6, queries=(q(f"sum by (model) (NS_llm_active_requests{{{OF}}})", "{{model}}"),)),
            Panel(title="Wait in client-side limiters, p95", show="lines", width=12, height=6, queries=(q(promql.quantile(0.95, "llm_queue_wait_seconds", "model", OF), "{{model}}"),)),
        )),
        Section(title="Trouble with providers", panels=(
            Panel(title="Calls by status", show="stacked", unit="reqps", width=6, colours={"success": "green", "error": "red", "timeout": "orange", "cancelled": "gray"}, queries=(q(promql.rate("llm_requests_total", "status", OF), "{{status}}"),)),
            Panel(title="Why calls come to nothing, a minute", show="bars", unit=A_MINUTE, width=6, empty="Every call came to something.",
                queries=(q(promql.causes("llm_errors_total", "error_type", OF), "{{error_type}}"),)),
            Panel(title="Attempts by outcome", show="stacked", unit="reqps", width=6, colours={"success": "green", "error": "red", "timeout": "orange", "rate_limited": "purple", "cancelled": "gray"}, queries=(q(promql.rate("llm_attempts_total", "outcome", OF), "{{outcome}}"),)),
            Panel(title="Answers cut or unusable", show="lines", unit="percentunit", width=6, steps={0: "green", ANSWERS_CUT: "red"},
                queries=(q(promql.share(CUT, ENDED), "{{model}} cut"), q(promql.share(UNUSABLE, ANSWERED), "{{model}} unusable"))),
            Panel(title="Time of an attempt, p95", show="lines", width=6, queries=(q(promql.quantile(0.95, "llm_attempt_duration_seconds", "provider, outcome"), "{{provider}} {{outcome}}"),)),
            Panel(title="Mean time of an attempt, by model", show="lines", unit="s", width=6, queries=(q(promql.share(promql.rate("llm_attempt_seconds_total", "model, outcome", OF), promql.rate("llm_attempts_total", "model, outcome", OF)), "{{model}} {{outcome}}"),)),
            Panel(title="Attempts for a call", show="lines", unit="short", width=6, steps={0: "green", 1.5: "orange"}, what="1 is best.",
                queries=(q(promql.share(promql.rate("llm_attempts_total"), promql.rate("llm_requests_total")), "attempts"),)),
            Panel(title="Waited before retries", show="lines", unit="s", width=6, what="Seconds a second.", queries=(q(promql.rate("llm_backoff_seconds_total", "provider"), "{{provider}}"),)),
            Panel(title="Rate limit left", show="lines", unit="percentunit", width=6, what="As the last answer said, of requests and of tokens where the provider tells both.", empty="The provider says nothing of its limits.",
                queries=(q("NS_llm_rate_limit_remaining / (NS_llm_rate_limit > 0)", "{{provider}} {{model}} {{resource}}"),)),
            Panel(title="Retries by reason, a minute", show="bars", unit=A_MINUTE, width=6, empty="No attempt was repeated.", queries=(q(f"{promql.rate('llm_retries_total', 'model, reason', OF)} * 60 > 0", "{{model}} {{reason}}"),)),
            Panel(title="Fallbacks, in the range", show="table", unit="short", width=12, empty="No model was asked for another.",
                queries=(q(f"{promql.increase('llm_fallbacks_total', 'from_model, to_model, reason')} > 0", "times"),)),
        )),
    ))
# fmt: on
