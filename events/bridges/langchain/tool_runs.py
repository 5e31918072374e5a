"""Runs of tools and of retrievers: the uses of tools, and lookups."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from ...bus.span import outcome_of
from ..model_calls.document_retrieval import Lookup
from ..model_calls.model_call import error_name
from ..model_calls.names import truncate_name
from ..model_calls.tool_use import ToolUse
from .runs import BRIDGE, HANDS_OVER, WAITS, Run

VECTOR_STORE_RETRIEVER = "VectorStoreRetriever"


def begin_tool(run: Run, metadata: Mapping[str, Any] | None) -> None:
    """Begin the use of the tool that a run is of."""
    run.tool_use = ToolUse(BRIDGE, run.name, mcp_server=server_of_tool(metadata), scope=run.scope)
    run.tool_use.enter()


def end_tool(run: Run, output: Any, error: BaseException | None) -> None:
    """End the use of a tool; one that waits for a person has not ended: it is run again, from its beginning."""
    if run.tool_use is None:
        return
    if isinstance(error, Exception) and type(error).__name__ in WAITS:
        run.tool_use.drop()
    elif error is None or type(error).__name__ in HANDS_OVER:
        run.tool_use.finish("error" if getattr(output, "status", None) == "error" else "success")
    else:
        run.tool_use.finish(outcome_of(error), error_name(error))


def begin_lookup(run: Run) -> None:
    """Begin the lookup that a run of a retriever is."""
    run.lookup = Lookup(BRIDGE, run.name, scope=run.scope)
    run.lookup.enter()


def end_lookup(run: Run, documents: Any, error: BaseException | None) -> None:
    """End the lookup that a run of a retriever is."""
    if run.lookup is not None:
        found = len(documents) if error is None and isinstance(documents, Sized) else None
        run.lookup.finish(outcome_of(error), error_name(error), documents=found)


def data_source(name: Any, metadata: Mapping[str, Any] | None) -> Any:
    """Return where a retriever looks: its name, or the class of its store where it has none of its own."""
    if name == VECTOR_STORE_RETRIEVER:
        return (metadata or {}).get("ls_vector_store_provider") or name
    return name


def server_of_tool(metadata: Mapping[str, Any] | None) -> str | None:
    """Return the name of the MCP server that a tool is on, as ``langchain.mcp`` writes it; None of any other tool."""
    mcp = (metadata or {}).get("mcp")
    server = mcp.get("server") if isinstance(mcp, dict) else None
    return truncate_name(server.get("name")) or None if isinstance(server, dict) else None
