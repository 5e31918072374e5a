# ruff: noqa: ARG002  # the signatures are LangChain's
"""The handler that LangChain calls: it passes on what the events are made of, and raises nothing.

This module imports LangChain, and is imported by `instrument`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from sys import _getframe
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from ...bus.failures import report_failure, strict_blocks
from ...bus.scope import running_task
from ...llm import llm_called
from .model_runs import ModelStart
from .run_tracker import RunTracker
from .runs import BRIDGE


class EventHandler(BaseCallbackHandler):  # type: ignore[misc]  # it has no types in the base environment
    """A handler of everything that LangChain runs, which emits events while its tracker is active."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = RunTracker()
        self.tracker.is_active = False

    def __reduce__(self) -> str:
        """Return the name of the one handler there is, which a copy of a configuration has too."""
        return "handler"

    @property
    def run_inline(self) -> bool:
        """Whether asynchronous code calls it in its own context, as a contextvar has to be set there.

        Not at the start of a text completion: LangChain then calls no handler that is not inline (1.8).
        """
        return not _is_start_of_text(_getframe(1))

    @property
    def raise_error(self) -> bool:
        """Whether LangChain raises what is raised here: that is done in a strict block alone."""
        return bool(strict_blocks)

    @property
    def ignore_llm(self) -> bool:
        """Whether it is not called for models."""
        return self._is_over()

    @property
    def ignore_chat_model(self) -> bool:
        """Whether it is not called for the start of chat models."""
        return self._is_over()

    @property
    def ignore_chain(self) -> bool:
        """Whether it is not called for chains, graphs and nodes."""
        return self._is_over()

    @property
    def ignore_agent(self) -> bool:
        """Whether it is not called for tools."""
        return self._is_over()

    @property
    def ignore_retriever(self) -> bool:
        """Whether it is not called for retrievers."""
        return self._is_over()

    def on_chain_start(
        self,
        serialized: Mapping[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin a run of a chain, a graph or a node."""
        self._pass_on(
            lambda tracker: tracker.start_chain(run_id, parent_run_id, more.get("name"), tags=tags, metadata=metadata)
        )

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **more: Any) -> None:
        """End it."""
        self._pass_on(lambda tracker: tracker.end(run_id, None, None))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """End it with an error."""
        self._pass_on(lambda tracker: tracker.end(run_id, None, error))

    def on_tool_start(
        self,
        serialized: Mapping[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin a run of a tool."""
        name = (serialized or {}).get("name") or more.get("name")
        self._pass_on(lambda tracker: tracker.start_tool(run_id, parent_run_id, name, metadata))

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        """End it."""
        self._pass_on(lambda tracker: tracker.end(run_id, output, None))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """End it with an error."""
        self._pass_on(lambda tracker: tracker.end(run_id, None, error))

    def on_retriever_start(
        self,
        serialized: Mapping[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin a run of a retriever."""
        self._pass_on(lambda tracker: tracker.start_retriever(run_id, parent_run_id, more.get("name"), metadata))

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **more: Any) -> None:
        """End it."""
        self._pass_on(lambda tracker: tracker.end(run_id, documents, None))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """End it with an error."""
        self._pass_on(lambda tracker: tracker.end(run_id, None, error))

    def on_llm_start(
        self,
        serialized: Mapping[str, Any] | None,
        prompts: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin a call to a model that completes texts; in asynchronous code LangChain makes a task for this alone."""
        is_detached = running_task()[1] is not None
        start = ModelStart(
            serialized=serialized,
            metadata=metadata,
            params=params_of(more),
            operation="text_completion",
            batch_size=more.get("batch_size") or 1,
            is_detached=is_detached,
        )
        self._pass_on(lambda tracker: tracker.start_model(run_id, parent_run_id, start))

    def on_chat_model_start(
        self,
        serialized: Mapping[str, Any] | None,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin a call to a chat model."""
        size = more.get("batch_size") or 1
        start = ModelStart(serialized=serialized, metadata=metadata, params=params_of(more), batch_size=size)
        self._pass_on(lambda tracker: tracker.start_model(run_id, parent_run_id, start))

    def on_llm_new_token(self, token: Any, *, run_id: UUID, chunk: Any = None, **more: Any) -> None:
        """Take a chunk of a stream."""
        self._pass_on(lambda tracker: tracker.add_chunk(run_id, token, chunk))

    def on_stream_event(self, event: Any, *, run_id: UUID, **more: Any) -> None:
        """Take an event of a stream."""
        self._pass_on(lambda tracker: tracker.add_event(run_id, event))

    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        """End a call to a model."""
        self._pass_on(lambda tracker: tracker.end(run_id, response, None))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """End it with an error."""
        self._pass_on(lambda tracker: tracker.end(run_id, more.get("response"), error))

    def _is_over(self) -> bool:
        return not self.tracker.is_active and not len(self.tracker.runs)

    def _pass_on(self, act: Callable[[RunTracker], None]) -> None:
        try:
            act(self.tracker)
        except Exception as failure:
            report_failure(llm_called.name, BRIDGE, failure)


def params_of(more: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the parameters that a model is asked with, among what else a handler is called with."""
    params = more.get("invocation_params")
    return params if isinstance(params, dict) else None


def _is_start_of_text(frame: FrameType | None) -> bool:
    """Return whether a frame is in ``AsyncCallbackManager.on_llm_start``, or in a comprehension of it."""
    if frame is not None and frame.f_code.co_name == "<listcomp>":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "on_llm_start"


handler = EventHandler()
"""The handler; there is one, since what is registered stays so for the life of the process."""

# The value is the default one, as each thread has a context of its own, in which nothing else would be set.
register_configure_hook(ContextVar("events.bridges.langchain", default=handler), inheritable=True)
