"""The dialects in which libraries say what a span is of: a call of a model, a use of a tool, or an agent's run.

Sources: OpenTelemetry's conventions for GenAI in three generations (semantic-conventions to 1.36, 1.37 to 1.41, and
semantic-conventions-genai v0.1.0: https://github.com/open-telemetry/semantic-conventions-genai), those of OpenInference
(https://github.com/Arize-ai/openinference/tree/main/spec) and of OpenLLMetry (`opentelemetry-semantic-conventions-ai`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from ...llm import ModelOperation

Operation = ModelOperation | Literal["tool", "agent", "retrieval", "guardrail"]
"""What a span is of: what a model is asked for, or something else that is counted."""

INFERENCE: frozenset[Operation] = frozenset(get_args(ModelOperation))
"""Operations of spans that are calls of models."""

# Operations that are no key are not counted: create_agent, plan, those of memories, invoke_workflow.
# fmt: off
BY_OPERATION_NAME: Mapping[str, Operation] = {
    "chat":               "chat",
    "generate_content":   "chat",
    "text_completion":    "text_completion",
    "embeddings":         "embeddings",
    "image_generation":   "image",
    "execute_tool":       "tool",
    "invoke_agent":       "agent",
    "retrieval":          "retrieval",
    "apply_guardrail":    "guardrail",
    # LiteLLM's, which are the names of its functions.
    "completion":         "chat",
    "acompletion":        "chat",
    "atext_completion":   "text_completion",
    "responses":          "chat",
    "aresponses":         "chat",
    "anthropic_messages": "chat",
    "agenerate_content":  "chat",
    "embedding":          "embeddings",
    "aembedding":         "embeddings",
    "rerank":             "rerank",
    "arerank":            "rerank",
    "aimage_generation":  "image",
    "transcription":      "audio",
    "atranscription":     "audio",
    "speech":             "audio",
    "aspeech":            "audio",
}
BY_OPENINFERENCE_KIND: Mapping[str, Operation] = {
    "LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank", "TOOL": "tool", "AGENT": "agent",
    "RETRIEVER": "retrieval", "GUARDRAIL": "guardrail",
}
BY_TRACELOOP_KIND: Mapping[str, Operation] = {"tool": "tool", "agent": "agent"}
BY_REQUEST_TYPE: Mapping[str, Operation] = {
    "chat": "chat", "completion": "text_completion", "embedding": "embeddings", "rerank": "rerank",
}

# The attribute that says it, the most particular first: a span may have several of them.
SAYS_OPERATION: tuple[tuple[str, Mapping[str, Operation]], ...] = (
    ("openinference.span.kind", BY_OPENINFERENCE_KIND),
    ("gen_ai.operation.name",   BY_OPERATION_NAME),
    ("traceloop.span.kind",     BY_TRACELOOP_KIND),
    ("llm.request.type",        BY_REQUEST_TYPE),
)
# How the name of a span begins that says it before any attribute does.
BY_SPAN_NAME: tuple[tuple[str, Operation], ...] = (("invoke_agent ", "agent"), ("execute_tool ", "tool"))
BY_SPAN_SUFFIX: tuple[tuple[str, Operation], ...] = ((".agent", "agent"), (".tool", "tool"))
# fmt: on

MCP_METHOD = "mcp.method.name"
"""Its value is ``tools/call`` for a use of a tool; the client of the mcp SDK sets no other attribute of it."""

NAMES_AGENTS = "openinference.instrumentation.langchain"
"""It sets the kind of a span at its end, AGENT for each whose name has "agent" in it; so its children can know it."""

OPENLLMETRY = "opentelemetry.instrumentation."
"""How the names of OpenLLMetry's scopes begin."""

SAYING_OPERATION = frozenset({MCP_METHOD, *(attribute for attribute, _ in SAYS_OPERATION)})
NAME_STARTS, NAME_ENDS = tuple(start for start, _ in BY_SPAN_NAME), tuple(end for end, _ in BY_SPAN_SUFFIX)
"""By these most spans are seen, in a step each, to be nothing that is counted."""

BRIDGE = "opentelemetry bridge"
"""The name of the bridge, in reports of its failures."""

CALLED_BACK = ("langchain", "langgraph", "llama")
"""In the names of scopes of frameworks that write spans in callbacks, which cannot make them the current ones.

So the span of the SDK that sends a call of theirs is not inside. Other frameworks make theirs the current ones.
"""


def operation_of(name: str, attributes: Mapping[str, Any], library: str) -> Operation | None:
    """Return what a span is of; None for anything else, and where nothing says it yet.

    Args:
        name: The name of the span.
        attributes: Those that it has so far.
        library: The name of its instrumentation scope.

    >>> operation_of("chat gpt-4o", {"gen_ai.operation.name": "chat"}, "some.library")
    'chat'
    """
    if not attributes.keys().isdisjoint(SAYING_OPERATION):
        for attribute, operations in SAYS_OPERATION:
            said = attributes.get(attribute)
            if said is not None:
                return operations.get(said) if isinstance(said, str) else None
        if attributes.get(MCP_METHOD) == "tools/call":
            return "tool"
    if name.startswith(NAME_STARTS):
        return next(operation for start, operation in BY_SPAN_NAME if name.startswith(start))
    if library.startswith(OPENLLMETRY):
        is_named = name.endswith(NAME_ENDS)
        return next(operation for end, operation in BY_SPAN_SUFFIX if name.endswith(end)) if is_named else None
    if library == NAMES_AGENTS:
        return "agent" if "agent" in name.lower() else None
    return None


def is_called_back(library: str) -> bool:
    """Return whether a library's spans are written in callbacks, and so have those of an SDK outside."""
    return any(word in library for word in CALLED_BACK)
