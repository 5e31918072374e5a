"""Guardrails: how their checks of inputs, outputs and uses of tools come out, and what time they take."""

from __future__ import annotations

from events import guardrail_checked

from .. import buckets
from ..rows import counter, histogram

LABEL_LIMITS = {
    "guardrail": 8,  # also pairs of kind and guardrail
}
"""How many values an open label takes, by its name."""

# Of each guardrail that checks, for what it checks, every outcome is to be seen the first time.
OUTCOMES = {"outcome": ("passed", "triggered", "error")}

# fmt: off
GUARDRAILS = (
    counter("guardrail_checks_total",
        "Checks of guardrails; triggered let nothing pass, error failed itself.",
        guardrail_checked, labels=("kind", "guardrail", "outcome"), nested_in={"guardrail": "kind"},
        initialize=False, expected=OUTCOMES),
    histogram("guardrail_duration_seconds", "Time that the check of a guardrail took.",
        guardrail_checked, value="duration", labels=("guardrail",), buckets=buckets.GUARDRAIL),
)
# fmt: on
