"""The private parts of the SDK that the bridge looks at, each with what it does without: another version may lack them.

Tested on the installed version by ``tests/events/bridges/openai_agents``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType

from ...guardrails import GuardrailKind

RUNS_TOOL = "_run_single_tool"
"""The SDK's function that asks whether a tool is approved, runs it, and ends its span."""

RUNS_GUARDRAIL: dict[str, GuardrailKind] = {
    "run_single_input_guardrail": "input",
    "run_single_output_guardrail": "output",
}
"""The SDK's functions that run a guardrail, inside of its span; those of tools have no span."""

MAX_FRAMES = 12
"""How far they are from the bridge, and as much again."""


def was_put_off() -> bool:
    """Return whether the tool whose span ends now was not run, since a person has to approve it, or rejected it.

    The trace has the same of a tool that returns nothing; without this, one that waits for approval is a success.
    """
    return any(
        frame.f_code.co_name == RUNS_TOOL and frame.f_locals.get("approval_result") is not None
        for frame in calling_frames()
    )


def guarded_kind() -> GuardrailKind:
    """Return what the guardrail checks whose span starts now; ``unknown`` of a span that is not the SDK's own.

    Neither the trace nor the name of a guardrail says it.
    """
    kinds = (RUNS_GUARDRAIL.get(frame.f_code.co_name) for frame in calling_frames())
    return next((kind for kind in kinds if kind is not None), "unknown")


def calling_frames() -> Iterator[FrameType]:
    """Yield the frames of the functions that called this one, from the inside, as far as the SDK's may be."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the way to one's callers
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def makes_traces() -> bool:
    """Return whether a run that starts now has a trace, as far as that is set for the whole process.

    What was set by ``set_tracing_disabled`` is private; without it, the environment says it. A trace that is made to
    see it would have the SDK read the environment too early, once for all.
    """
    from agents.tracing import get_trace_provider  # an SDK, which is imported where it is used

    is_disabled = getattr(get_trace_provider(), "_manual_disabled", None)
    if is_disabled is None:
        return os.environ.get("OPENAI_AGENTS_DISABLE_TRACING", "").lower() not in ("true", "1")
    return not is_disabled
