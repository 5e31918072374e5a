"""Why an agent failed, as one of a few words: what its errors are counted by."""

from __future__ import annotations

from events.bridges.pydantic_ai import error_type_of
from events.bus.fields import ErrorType

from .tools import ToolFailed


def cause(error: Exception) -> ErrorType:
    """Name the cause of an agent's failure; of several models tried in turn, the last one's."""
    return "other" if isinstance(error, ToolFailed) else error_type_of(error)


def timed_out(error: Exception) -> bool:
    """Tell whether time ran out, ours or the transport's."""
    return cause(error) == "timeout"
