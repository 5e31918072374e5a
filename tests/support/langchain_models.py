"""Models of LangChain that ask a loopback server, and agents and graphs around them.

LangChain is imported where it is used: few environments have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from tests.support.openai_server import OpenAIServer
from tests.support.provider_servers import AnthropicServer
from tests.support.responses_server import ResponsesServer

SERVERS: dict[str, Callable[[Any], OpenAIServer]] = {
    "openai": OpenAIServer,
    "responses": ResponsesServer,
    "anthropic": AnthropicServer,
}
"""The servers, by the protocol that a model speaks."""


def chat_model(server: OpenAIServer, **settings: Any) -> Any:
    """Return a chat model of a server, whose SDK does not retry."""
    settings = {"max_retries": 0, "api_key": "none", **settings}
    if isinstance(server, AnthropicServer):
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model="claude-test", base_url=server.address, **settings)
    from langchain_openai import ChatOpenAI

    responses = {"use_responses_api": True} if isinstance(server, ResponsesServer) else {"stream_usage": True}
    return ChatOpenAI(**{"model": "gpt-4o-mini", "base_url": server.base_url, **responses, **settings})


def agent(server: OpenAIServer, name: str | None, tools: Any = (), **settings: Any) -> Any:
    """Return an agent of ``create_agent`` that asks a server."""
    from langchain.agents import create_agent

    return create_agent(settings.pop("model", None) or chat_model(server), tools=list(tools), name=name, **settings)


class State(TypedDict, total=False):
    """The state of a graph of the tests."""

    text: str
    messages: list[Any]


def graph(nodes: dict[str, Any], name: str | None = None, **settings: Any) -> Any:
    """Return a graph that runs nodes one after another."""
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(State)
    before = START
    for node, run in nodes.items():
        builder.add_node(node, run)
        builder.add_edge(before, node)
        before = node
    builder.add_edge(before, END)
    return builder.compile(name=name, **settings)
