"""Agent executions: how they ended, what they spent, and where their time went."""

from __future__ import annotations

from events import agent_finished, agent_run, review_decided

from .. import buckets
from ..rows import counter, histogram, in_flight

LABEL_LIMITS = {
    "agent_name": 20,
}
"""How many values an open label takes, by its name."""

# Help texts that several rows share.
AGENT_ERRORS = "Agent executions that came to nothing, by cause."
AGENT_TOKENS = "Tokens of agents' own model calls, without those of agents that they asked; inside llm_tokens_total."
AGENT_INCLUSIVE_TOKENS = "Tokens of agents with those of agents that they asked: do not add up."
AGENT_TIME = "Time of agent executions, by what it went to; time of agents that they asked counts at both."

# Few agents review; of one that does, each verdict is to be seen the first time.
VERDICTS = {"verdict": ("approved", "revise", "rejected")}

# fmt: off
AGENTS = (
    counter("agent_executions_total", "Agent executions that ended.",
        agent_finished, labels=("agent_name", "status")),
    histogram("agent_execution_duration_seconds", "Time an agent's execution took, however it ended.",
        agent_finished, value="duration", labels=("agent_name",), buckets=buckets.AGENT),
    in_flight("active_agent_executions", "Agent executions under way.",
        agent_run, labels=("agent_name",)),
    counter("agent_errors_total", AGENT_ERRORS,
        agent_finished, labels=("agent_name", "error_type"), where={"status": "error"},
        initialize=False),
    counter("agent_errors_total", AGENT_ERRORS,
        agent_finished, labels=("agent_name", "error_type"), where={"status": "timeout"},
        initialize=False),
    counter("agent_errors_total", AGENT_ERRORS,
        agent_finished, labels=("agent_name", "error_type"), where={"status": "cancelled"},
        initialize=False),
    histogram("agent_llm_calls",
        "Model calls in one agent execution, with failed ones and those of agents that it asked.",
        agent_finished, value="llm_calls", labels=("agent_name",), buckets=buckets.CALLS),
    histogram("agent_tool_calls",
        "Uses of tools in one agent execution, with failed ones and those of agents that it asked.",
        agent_finished, value="tool_calls", labels=("agent_name",), buckets=buckets.CALLS),
    counter("agent_tokens_total", AGENT_TOKENS,
        agent_finished, value="own_prompt_tokens", labels=("agent_name",), const_labels={"token_type": "prompt"}),
    counter("agent_tokens_total", AGENT_TOKENS,
        agent_finished, value="own_completion_tokens", labels=("agent_name",),
        const_labels={"token_type": "completion"}),
    counter("agent_cost_usd_total",
        "USD of agents' own model calls, as far as prices are known.",
        agent_finished, value="own_cost", labels=("agent_name",)),
    counter("agent_inclusive_tokens_total", AGENT_INCLUSIVE_TOKENS,
        agent_finished, value="prompt_tokens", labels=("agent_name",), const_labels={"token_type": "prompt"}),
    counter("agent_inclusive_tokens_total", AGENT_INCLUSIVE_TOKENS,
        agent_finished, value="completion_tokens", labels=("agent_name",), const_labels={"token_type": "completion"}),
    counter("agent_inclusive_cost_usd_total",
        "USD of agents with that of agents that they asked: do not add up.",
        agent_finished, value="cost", labels=("agent_name",)),
    counter("agent_time_seconds_total", AGENT_TIME,
        agent_finished, value="llm_time", labels=("agent_name",), const_labels={"phase": "llm"}),
    counter("agent_time_seconds_total", AGENT_TIME,
        agent_finished, value="tool_time", labels=("agent_name",), const_labels={"phase": "tool"}),
    counter("agent_time_seconds_total", AGENT_TIME,
        agent_finished, value="backoff_time", labels=("agent_name",), const_labels={"phase": "backoff"}),
    counter("agent_time_seconds_total", AGENT_TIME,
        agent_finished, value="self_time", labels=("agent_name",), const_labels={"phase": "self"}),
    counter("agent_review_verdicts_total", "Verdicts of reviewing agents.",
        review_decided, labels=("agent_name", "verdict"), initialize=False, expected=VERDICTS),
)
# fmt: on
