"""The cause of an agent's failure, as one of the few values by which errors are counted."""

from __future__ import annotations

from events.bridges.pydantic_ai import error_type_of
from events.bus.fields import ErrorType

from .tools import ToolFailed


def agent_error_type(error: Exception) -> ErrorType:
    """Return the type of an agent's error; of several models that were tried in turn, that of the last one."""
    return "other" if isinstance(error, ToolFailed) else error_type_of(error)


def is_timeout(error: Exception) -> bool:
    """Return whether time ran out, by our limit or by the transport's."""
    return agent_error_type(error) == "timeout"
