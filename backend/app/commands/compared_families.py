"""Which families of counters are compared with the audit trail, and what of its events each of them counts."""

from __future__ import annotations

from dataclasses import dataclass

from app.database.repositories.audit_sums import Amount


@dataclass(frozen=True, slots=True)
class Comparison:
    """A family of counters, and the amounts of the trail's events that it counts."""

    title: str
    family: str
    amounts: tuple[Amount, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that both are added up by."""
        return self.amounts[0].labels


_BY_MODEL = ("model", "token_type")
_PART = {"itemized": True}  # its bill is in events of its own, a model each
_UNPRICED = {"cost_source": "unpriced"}

# fmt: off
COMPARISONS = (
    Comparison("runs", "workflows_total", (Amount("workflow_finished", ("workflow_type", "status")),)),
    Comparison("agent executions", "agent_executions_total", (Amount("agent_finished", ("agent_name", "status")),)),
    Comparison("model calls", "llm_requests_total", (Amount("llm_called", ("model", "status")),)),
    Comparison("tokens", "llm_tokens_total", tuple(
        Amount(signal, _BY_MODEL, f"{kind}_tokens", without=without, fixed={"token_type": kind})
        for signal, without in (("llm_called", _PART), ("llm_usage_billed", {}))
        for kind in ("prompt", "completion")
    )),
    Comparison("USD", "llm_cost_usd_total", (
        Amount("llm_called", ("model",), "cost", without={**_PART, **_UNPRICED}),
        Amount("llm_usage_billed", ("model",), "cost", without=_UNPRICED),
    )),
    Comparison("tool calls", "tool_calls_total", (Amount("tool_called", ("tool_name", "status")),)),
    Comparison("events", "events_total", (Amount("", ("signal",)),)),
)
# fmt: on

FAMILIES = (
    *(each.family for each in COMPARISONS),
    "workers_started_total",
    "listener_events_total",
    "rows_expired_total",
)
"""The families that are read, without their namespace."""
