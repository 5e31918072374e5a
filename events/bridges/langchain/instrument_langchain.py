"""Have everything that LangChain and LangGraph run emit events."""

from __future__ import annotations

from collections.abc import Collection
from threading import Lock
from types import TracebackType
from typing import Self

from ...bus.after_fork import free_after_fork
from ..model_calls.cost import UsagePriceFunction, check_price
from ..model_calls.token_prices import list_price
from .run_tracker import RunTracker

_lock = free_after_fork(Lock())
_active: Instrumentation | None = None


class Instrumentation:
    """The events of LangChain, until `undo`; as a context manager, until the end of the block."""

    def __init__(self, tracker: RunTracker) -> None:
        self.tracker = tracker

    def undo(self) -> None:
        """Emit nothing of what starts from now on; what is under way has its events to its end, and what is inside."""
        global _active  # noqa: PLW0603  # what is registered at LangChain is there once for the process
        with _lock:
            if _active is self:
                _active = None
                self.tracker.is_active = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()


def instrument(
    *, price: UsagePriceFunction | None = list_price, agents: Collection[str] | None = None
) -> Instrumentation:
    """Have everything that LangChain and LangGraph run in this process emit events.

    Where that is so already, the same handle is returned.

    Args:
        price: Returns the cost of a call's tokens; None for no costs. The list of genai-prices, if that is installed,
            by default.
        agents: The names of the runs that are agents, such as those of a graph's nodes; by default, each graph that was
            given a name is one.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        ImportError: langchain-core is not installed.
        TypeError: ``agents`` is a text.
        ValueError: It is so with other settings.
    """
    check_price(price)
    global _active  # noqa: PLW0603  # the same
    if isinstance(agents, str):
        raise TypeError(f"agents of instrument() is a collection of names, not {agents!r}: [{agents!r}]")
    from .callback_handler import handler  # imports LangChain, which takes a quarter of a second

    tracker, names = handler.tracker, None if agents is None else frozenset(agents)
    undo = "call undo() of the handle that instrument() returned, and then instrument() again"
    with _lock:
        if _active is None:
            tracker.price, tracker.agents, tracker.is_active = price, names, True
            _active = Instrumentation(tracker)
        elif tracker.agents != names:
            raise ValueError(f"LangChain is instrumented with other agents already: {undo}")
        elif tracker.price != price:
            raise ValueError(
                "LangChain is instrumented with another price already, and two functions are equal only where they are"
                f" one object: pass that one, such as a function of a module, or {undo}"
            )
        return _active
