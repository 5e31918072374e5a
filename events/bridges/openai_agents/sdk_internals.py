"""The private parts of the SDK that the bridge looks at, each with what it does without: another version may lack them.

Tested on the installed version by ``tests/events/bridges/openai_agents``.
"""

from __future__ import annotations

import os
import sys
from types import FrameType

RUNS_TOOL = "_run_single_tool"
"""The SDK's function that asks whether a tool is approved, runs it, and ends its span."""

MAX_FRAMES = 12
"""How far that is from the bridge, and as much again."""


def was_put_off() -> bool:
    """Return whether the tool whose span ends now was not run, since a person has to approve it, or rejected it.

    The trace has the same of a tool that returns nothing; without this, one that waits for approval is a success.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the way to one's callers
    for _ in range(MAX_FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_name == RUNS_TOOL:
            return frame.f_locals.get("approval_result") is not None
        frame = frame.f_back
    return False


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
