"""The span of a function: the use of a tool, of the program or of an MCP server."""

from __future__ import annotations

from typing import Any

from ...bus.span import outcome_of
from ..model_calls.token_usage import get
from ..model_calls.tool_use import ToolUse
from .sdk_internals import was_put_off
from .span_errors import has_error

REJECTED = "was manually rejected by user."
"""How the SDK's error of a tool ends that a person did not allow: it was not run."""


class ToolSpan:
    """The use of a tool, from the start of its span to the end."""

    def __init__(self, span: Any) -> None:
        self._use = ToolUse("openai_agents", span.span_data.name)
        self._use.enter()

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit the use; one that failed in the model's eyes alone has no exception."""
        server = get(span.span_data.mcp_data, "server")
        if server is not None:
            self._use.mcp_server = server
        if error is not None:
            self._use.finish(outcome_of(error), type(error).__name__)
        elif was_put_off() or str(get(get(span.error, "data"), "error")).endswith(REJECTED):
            self._use.drop()
        else:
            self._use.finish("error" if has_error(span) else "success")

    def drop(self) -> None:
        """End a use whose span never ended."""
        self._use.finish("cancelled")
