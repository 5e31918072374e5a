"""Have the spans of a tracer provider tell events, until that is undone."""

from __future__ import annotations

import logging
from collections.abc import Collection
from threading import Lock
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from ...bus.after_fork import free_after_fork
from ..model_calls.cost import UsagePriceFunction
from ..model_calls.token_prices import list_price
from .sampling import sampling_fault
from .span_processor import GenAISpanProcessor

log = logging.getLogger(__name__)

_lock = free_after_fork(Lock())
_instrumented: WeakKeyDictionary[Any, InstrumentedProvider] = WeakKeyDictionary()


class InstrumentedProvider:
    """A tracer provider whose spans are emitted as events, until `undo`; as a context manager, until the block's end.

    Attributes:
        processor: The span processor. A provider has no way to remove one, so it stays, and does nothing.
    """

    def __init__(self, processor: GenAISpanProcessor) -> None:
        self.processor = processor

    def undo(self) -> None:
        """Emit nothing more; what is open is told as cancelled."""
        self.processor.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def instrument(
    tracer_provider: Any = None,
    *,
    price: UsagePriceFunction | None = list_price,
    ignore: Collection[str] = (),
    server_tools: bool = False,
) -> InstrumentedProvider:
    """Emit the spans of GenAI libraries as events: calls of models, uses of tools, runs of agents.

    A warning is logged where the provider's sampler drops spans. One that is instrumented already has one handle, which
    is returned again.

    Args:
        tracer_provider: A provider of the SDK; the global one by default.
        price: Returns the cost of a call's tokens, where no span says it; None for no costs. The list of genai-prices,
            if that is installed, by default.
        ignore: Names of instrumentation scopes whose spans tell nothing.
        server_tools: Whether tools count that this process runs for others, as a server of MCP does.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It takes no span processors, as the global one before the SDK is set up.
    """
    if tracer_provider is None:
        from opentelemetry.trace import get_tracer_provider  # an application without it has no provider to pass

        tracer_provider = get_tracer_provider()
    if not callable(getattr(tracer_provider, "add_span_processor", None)):
        raise TypeError(
            f"{type(tracer_provider).__name__} takes no span processors: pass a TracerProvider of opentelemetry-sdk, or"
            " set one by opentelemetry.trace.set_tracer_provider(...) before"
        )
    with _lock:
        known = _instrumented.get(tracer_provider)
        if known is not None and known.processor.is_active:
            return known
        if (fault := sampling_fault(tracer_provider)) is not None:
            log.warning("%s", fault)
        processor = GenAISpanProcessor(price=price, ignore=ignore, server_tools=server_tools)
        tracer_provider.add_span_processor(processor)
        handle = _instrumented[tracer_provider] = InstrumentedProvider(processor)
        return handle
