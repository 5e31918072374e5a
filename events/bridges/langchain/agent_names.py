"""Which runs are agents, by the names that LangChain and LangGraph give them.

- ``create_agent(name=...)`` writes the name into the metadata of its runs, as ``lc_agent_name``, and so may anybody.
  All that is run inside has it too, so that the agent is the outermost run with the name.
- A graph has the name of ``compile(name=...)``. A graph is known by its nodes, whose runs are tagged ``graph:step:N``,
  and one that nothing is around already by ``ls_integration`` in its metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...bus.scope import Scope

NAME_KEY = "lc_agent_name"
UNNAMED_GRAPH = "LangGraph"
GRAPHS = frozenset({"langgraph", "langchain_create_agent"})
NODE_TAG = "graph:step:"


def is_node(tags: Sequence[str] | None) -> bool:
    """Return whether a run with these tags is that of a node of a graph."""
    return any(tag.startswith(NODE_TAG) for tag in tags or ())


def name_of_agent(
    name: str,
    metadata: Mapping[str, Any],
    *,
    node: bool,
    around: str | None,
    called_by_tool: bool,
    outermost: bool,
    agents: Collection[str] | None,
) -> str | None:
    """Return the name of the agent that a run is; None for a run that is none, as far as its start shows.

    Args:
        name: The run's name.
        metadata: The run's metadata.
        node: Whether it is the run of a node.
        around: ``lc_agent_name`` of the run around it.
        called_by_tool: Whether the nearest run around it is that of a tool.
        outermost: Whether no run is around it.
        agents: The names of those that are agents; None for every name that a graph was given.
    """
    written = metadata.get(NAME_KEY)
    if not isinstance(written, str):
        written = None
    if agents is not None and name in agents:
        return name
    if written is not None and not node and (written != around or (called_by_tool and name == written)):
        return written if agents is None or written in agents else None
    if agents is None and outermost and written is None and metadata.get("ls_integration") in GRAPHS:
        return name_of_graph(name)
    return None


def name_of_graph(name: str) -> str | None:
    """Return the name that a graph was given; None for the one that it has by default."""
    return None if name in ("", UNNAMED_GRAPH) else name


def is_in_agent(scope: Scope | None, name: str) -> bool:
    """Return whether a scope is that of an agent of this name, or the nearest agent around it is."""
    while scope is not None and scope.kind != "agent":
        scope = scope.parent
    return scope is not None and scope.fields.get("agent_name") == name
