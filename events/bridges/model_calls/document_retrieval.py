"""A lookup of documents while it is under way, for bridges: told once, by the outermost that sees it.

A retriever may ask several others and sum up what they find, and a tracer may see each of them. What is looked up
inside of a lookup is a part of it.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from time import perf_counter

from ...bus.failures import report_failure
from ...bus.fields import Status
from ...bus.scope import Scope, get_effective_scope
from ...retrieval import documents_retrieved
from .event_scope import in_scope
from .names import label_of


class Lookup:
    """A lookup that starts here: `events.documents_retrieved` at its end, unless it is a part of another one.

    Whatever fails in here is reported as a failure of the bridge, and never raised.

    Args:
        bridge: The name of the bridge.
        data_source: Where it looks.
        scope: The scope that the event is of; None for that of the code that makes it.
        around: The lookup that was under way around it when it started, where it is only known later to be one.
    """

    def __init__(
        self, bridge: str, data_source: object, *, scope: Scope | None = None, around: Lookup | None = None
    ) -> None:
        self.bridge = bridge
        self.data_source = label_of(data_source)
        self.has_ended = False
        self.started_at = perf_counter()
        self.is_part = around is not None or lookup_under_way() is not None
        self._scope = scope or get_effective_scope()
        self._token: Token[Lookup | None] | None = None

    def enter(self) -> None:
        """Mark lookups that start from now on as parts of this one, until it ends."""
        self._token = current_lookup.set(self)

    def finish(
        self,
        status: Status = "success",
        error: str = "",
        *,
        documents: int | None = None,
        duration: float | None = None,
    ) -> None:
        """Emit the lookup, once; ``error`` is the class that was raised, ``duration`` None for the time until now."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._token is not None:
            with suppress(ValueError):  # in another context than it was entered in it has no effect
                current_lookup.reset(self._token)
        if self.is_part:
            return
        try:
            with in_scope(self._scope):
                documents_retrieved.emit(
                    data_source=self.data_source,
                    status=status,
                    duration=perf_counter() - self.started_at if duration is None else duration,
                    documents=documents,
                    error=error,
                )
        except Exception as failure:
            report_failure(documents_retrieved.name, self.bridge, failure)


current_lookup: ContextVar[Lookup | None] = ContextVar("events.bridges.lookup", default=None)


def lookup_under_way() -> Lookup | None:
    """Return the lookup that the running code is inside; None outside of all."""
    around = current_lookup.get()
    return None if around is None or around.has_ended else around
