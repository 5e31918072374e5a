"""Have the OpenAI Agents SDK emit the events of its runs."""

from __future__ import annotations

import logging
from threading import Lock
from types import TracebackType
from typing import Any, Self, cast

from ...bus.after_fork import free_after_fork
from ..model_calls.cost import UsagePriceFunction, check_price
from ..model_calls.token_prices import list_price
from .processor import EventProcessor
from .sdk_internals import makes_traces

log = logging.getLogger("events")

NO_TRACES = (
    "the OpenAI Agents SDK makes no traces, so events.bridges.openai_agents emits nothing:"
    " unset OPENAI_AGENTS_DISABLE_TRACING, or call agents.set_tracing_disabled(False);"
    " agents.set_trace_processors([]) before instrument() keeps traces from being sent to OpenAI"
)

_instrumenting = free_after_fork(Lock())
_active: list[InstrumentedTraces] = []  # one, or none


class InstrumentedTraces:
    """The SDK's traces that emit events, until `undo`; as a context manager, until the end of the block."""

    def __init__(self, processor: EventProcessor) -> None:
        self._processor = processor

    def undo(self) -> None:
        """Emit nothing more of runs that start from now on; calling it again does nothing.

        The SDK has no way to take one processor off: it stays in its list, and does nothing.
        """
        with _instrumenting:
            self._processor.is_active = False
            if self in _active:
                _active.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def instrument(*, price: UsagePriceFunction | None = list_price, provider: str | None = None) -> InstrumentedTraces:
    """Have the agents, tools and models of the SDK's runs emit events, all there are in this process.

    It adds a processor of traces, beside those that there are: the SDK's own sends each trace to OpenAI unless
    ``agents.set_trace_processors([])`` was called before. Called after, that takes this one off too. What is
    instrumented already has one handle, which is returned again.

    Args:
        price: Returns the cost of a call's tokens; None for no costs. The list of genai-prices, if that is installed,
            by default.
        provider: Who is asked, of all calls that no other bridge tells. By default it is known by the URL where the
            trace has it, which it has not for the Responses API.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        ModuleNotFoundError: The SDK is not installed.
        TypeError: The price function cannot be asked.
    """
    check_price(price)
    try:
        import agents  # an SDK, which is imported where it is used
    except ModuleNotFoundError as missing:
        if missing.name == "agents":
            message = "the bridge to the OpenAI Agents SDK needs it: pip install openai-agents"
            raise ModuleNotFoundError(message, name="agents") from None
        raise

    with _instrumenting:
        if not _active:
            processor = EventProcessor(price, provider)
            agents.add_trace_processor(cast(Any, processor))  # it has the methods, not the base class
            _active.append(InstrumentedTraces(processor))
            if not makes_traces():
                log.warning(NO_TRACES)
        return _active[0]
