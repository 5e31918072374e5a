"""The uses of tools by agents: each one that an agent of pydantic-ai runs emits `tool_called`.

A model is not told of tools being run. But while it is asked, the run of the agent can be reached, and with it the
toolset by which the run calls its tools. That is public, as is how a toolset is wrapped; the way to the run is public
where a request is streamed, and else the one private part, in `current_run_context`.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN, Status
from ...bus.span import outcome_of
from ...tools import tool_called
from ..model_calls.names import truncate_name
from ..model_calls.tool_use import ToolUse

try:
    from pydantic_ai import _run_context  # private: another version may lack it
except ImportError:
    _run_context = None  # type: ignore[assignment]

MCP_MODULES = frozenset({"pydantic_ai.mcp", "pydantic_ai.toolsets.fastmcp"})
"""Where pydantic-ai's toolsets of MCP servers are defined; not imported, as they need a package of their own."""

_reported: set[str] = set()  # the types of the errors that kept tools from being observed, each reported once


class ObservedToolset(WrapperToolset[Any]):
    """A toolset that emits `tool_called` for each use of a tool."""

    @property
    def label(self) -> str:
        """The wrapped toolset's name, for messages."""
        return self.wrapped.label

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Run a tool, and emit its use when it ends; one that is put off until it is approved was not used."""
        use = ToolUse("pydantic_ai", name, mcp_server=mcp_server(tool))
        try:
            try:
                with use.in_effect():
                    result = await self.wrapped.call_tool(name, tool_args, ctx, tool)
            finally:
                if use.mcp_server == UNKNOWN:  # before the call it may not have been connected
                    use.mcp_server = mcp_server(tool)
        except (ApprovalRequired, CallDeferred):
            use.drop()
            raise
        except BaseException as error:
            use.finish(tool_status(error), type(error).__name__)
            raise
        use.finish()
        return result


def tool_status(failure: BaseException | None) -> Status:
    """Return how a use of a tool ended; of a tool's own time limit pydantic-ai makes a `ModelRetry`."""
    if isinstance(failure, ModelRetry) and isinstance(failure.__context__, TimeoutError):
        return "timeout"
    return outcome_of(failure)


def observe_tools(context: RunContext[Any] | None) -> None:
    """Have the agent's run whose model is asked just now emit the uses of its tools.

    Where that is not possible, since another version of pydantic-ai has another way, it is reported once.

    Args:
        context: The run, where it is at hand.
    """
    try:
        run = context or current_run_context()
        tools = None if run is None else run.tool_manager
        if tools is not None and not is_observed(tools.toolset):
            tools.toolset = ObservedToolset(tools.toolset)
    except Exception as failure:
        kind = type(failure).__name__
        if kind not in _reported:
            _reported.add(kind)
            report_failure(tool_called.name, "pydantic_ai", failure)


def current_run_context() -> RunContext[Any] | None:
    """Return the context of the agent's run that asks a model just now; None outside of all.

    Raises:
        AttributeError: Another version of pydantic-ai has it elsewhere.
    """
    run: RunContext[Any] | None = _run_context.get_current_run_context()
    return run


def is_observed(toolset: AbstractToolset[Any]) -> bool:
    """Return whether a toolset emits the uses of its tools already."""
    while isinstance(toolset, WrapperToolset):
        if isinstance(toolset, ObservedToolset):
            return True
        toolset = toolset.wrapped
    return False


def mcp_server(tool: ToolsetTool[Any]) -> str | None:
    """Return the name of the MCP server that a tool is on, None if it is on none.

    It is the id of the toolset, which by default is the host of the server's URL, or else what the server calls itself.
    """
    try:
        while (source := getattr(tool, "source_tool", None)) is not None:  # of toolsets that were combined
            tool = source
        sources: list[Any] = []
        tool.toolset.apply(sources.append)
        server: Any = sources[0] if len(sources) == 1 else None
        while hasattr(server, "wrapped"):  # of a wrapper that shows itself
            server = server.wrapped
        if not MCP_MODULES & {parent.__module__ for parent in type(server).__mro__}:
            return None
        name = getattr(server, "id", None) or getattr(getattr(server, "server_info", None), "name", None)
        return truncate_name(name or getattr(server, "tool_prefix", None)) or UNKNOWN
    except Exception as failure:
        report_failure(tool_called.name, "pydantic_ai", failure)
        return None
