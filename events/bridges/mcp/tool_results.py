"""How a call of a tool ended: an error may be raised, or be in the result.

Source: https://modelcontextprotocol.io/specification/2025-11-25/server/tools#error-handling
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...bus.fields import Status
from ...bus.span import outcome_of
from ..model_calls.tool_use import ToolUse

REQUEST_TIMEOUT = -32001
"""The code of the error that the SDK raises when the time to read an answer is over (``mcp_types.REQUEST_TIMEOUT``)."""

INPUT_REQUIRED = "input_required"
"""The type of a result that asks the client for more; it calls again with that."""


def finish_with_result(use: ToolUse, result: Any) -> None:
    """End a use by the result of the call: one that asks for input was not run yet, and calls again."""
    if is_input_request(result):
        use.drop()
    else:
        use.finish("error" if is_error_result(result) else "success")


def finish_with_error(use: ToolUse, error: BaseException) -> None:
    """End a use by what the call raised."""
    use.finish(status_of_error(error), type(error).__name__)


def status_of_error(error: BaseException) -> Status:
    """Return how a call ended that raised an error; the SDK's own timeout is known by its code."""
    if getattr(error, "code", None) == REQUEST_TIMEOUT:
        return "timeout"
    return outcome_of(error)


def is_error_result(result: Any) -> bool:
    """Return whether a result, or the mapping that a server makes of one, says that the tool failed."""
    if isinstance(result, Mapping):
        return result.get("isError") is True
    return getattr(result, "is_error", False) is True


def is_input_request(result: Any) -> bool:
    """Return whether a result asks the client for more."""
    if isinstance(result, Mapping):
        return result.get("resultType") == INPUT_REQUIRED
    return getattr(result, "result_type", None) == INPUT_REQUIRED
