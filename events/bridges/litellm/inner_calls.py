"""A call that LiteLLM makes for one of the program's, or as that one, and the block in which it does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self

from ..model_calls.claims import Claim, current_claim
from .functions import AskedModel
from .sent_requests import Send, current_sender


class OuterCall(Protocol):
    """The program's call that an inner one is made for."""

    claim: Claim
    has_ended: bool

    def record_send(self, inner: InnerCall, send: Send) -> None:
        """Record a request that was sent for an inner call; must not raise."""

    def report(self, failure: Exception) -> None:
        """Report a failure of the bridge."""


class InnerCall:
    """A call that LiteLLM makes: the sender of its requests.

    Attributes:
        call: The program's call that it is made for.
        sends: The requests that were sent for it.
        is_emitted: Whether an attempt stands for it although no request was seen.
    """

    __slots__ = ("call", "is_emitted", "model", "provider", "sends", "started_at")

    def __init__(self, call: OuterCall, asked: AskedModel | None) -> None:
        self.call = call
        self.model = asked.model if asked else None
        self.provider = asked.provider if asked else None
        self.sends = 0
        self.is_emitted = False
        self.started_at = perf_counter()

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record a request that was answered, or failed."""
        if self.call.has_ended:
            return
        try:
            self.sends += 1
            self.call.record_send(self, Send.of(started_at, response, error))
        except Exception as failure:
            self.call.report(failure)


class Running(AbstractContextManager["Running"]):
    """A block in which LiteLLM works for a call: requests are attempts, and other bridges tell nothing.

    Never entered across a ``yield`` to the reader of a stream.
    """

    __slots__ = ("_claim", "_inner", "_sender")

    def __init__(self, inner: InnerCall) -> None:
        self._inner = inner

    def __enter__(self) -> Self:
        self._sender = current_sender.set(self._inner)
        self._claim = current_claim.set(self._inner.call.claim)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current_claim.reset(self._claim)
        current_sender.reset(self._sender)
