"""The attempts at a call of LiteLLM: each request that is sent for it, and each inner call of which none is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from ...bus.fields import ErrorType, Status
from ..model_calls.error_types import error_type_of, status_of_error
from ..model_calls.model_call import Attempt, ModelCall, error_name
from .inner_calls import InnerCall
from .sent_requests import Send


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as LiteLLM has it."""

    status: Status
    error: BaseException | None = None
    error_type: ErrorType | None = None


class CallAttempts:
    """The attempts at a call; the last request is kept until its outcome is known.

    Args:
        model_call: Returns the call that emits them.
    """

    def __init__(self, model_call: Callable[[], ModelCall]) -> None:
        self._model_call = model_call
        self._pending: tuple[InnerCall, Send] | None = None
        self._transport: ErrorType | None = None

    def add_send(self, inner: InnerCall, send: Send) -> None:
        """Add a request that was sent, and emit the one before: it failed, since this is its retry."""
        self._emit_pending(None)
        self._pending = inner, send
        self._transport = None if send.error is None else send.as_attempt().error_type

    def add_broken_stream(self) -> None:
        """Emit the last request: its stream broke off, since LiteLLM asks again."""
        self._emit_pending(Outcome("error", error_type="other"))

    def add_failure(self, inner: InnerCall, error: BaseException) -> None:
        """Emit the attempt of an inner call that failed."""
        outcome = self.outcome_of(error)
        if self._pending is not None and self._pending[0] is inner:
            self._emit_pending(outcome)
        self._emit_unsent(inner, outcome, perf_counter())

    def end(self, inner: InnerCall, outcome: Outcome, *, ended_at: float, response_model: str | None) -> None:
        """Emit the last attempt, by the outcome of the call; ``inner`` is the last one of its inner calls."""
        self._emit_pending(outcome, ended_at=ended_at, response_model=response_model)
        self._emit_unsent(inner, outcome, ended_at)

    def outcome_of(self, error: BaseException) -> Outcome:
        """Return the outcome of an attempt that raised; of a stream that broke off, by what broke it.

        LiteLLM has a class for a broken connection, and uses others for it too: what became of the last request says
        more.
        """
        cause = getattr(error, "original_exception", None)
        source = cause if isinstance(cause, BaseException) else error
        status = status_of_error(source)
        if status == "error":
            return Outcome(status, error, self._transport or error_type_of(source))
        return Outcome(status, error, "timeout" if status == "timeout" else "cancelled")

    def _emit_pending(
        self, outcome: Outcome | None, *, ended_at: float | None = None, response_model: str | None = None
    ) -> None:
        """Emit the last request, if there is one that was not: as it ended by itself, or by an outcome."""
        if self._pending is None:
            return
        (inner, send), self._pending = self._pending, None
        own = send.as_attempt()
        attempt = Attempt(
            started_at=own.started_at,
            ended_at=own.ended_at if own.status != "success" or ended_at is None else ended_at,
            status=outcome.status if outcome else own.status,
            error=error_name(outcome.error) if outcome else own.error,
            error_type=outcome.error_type if outcome else own.error_type,
            status_code=own.status_code,
            headers=own.headers,
            model=inner.model,
            provider=inner.provider,
        )
        self._model_call().add_attempt(attempt, response_model=response_model)

    def _emit_unsent(self, inner: InnerCall, outcome: Outcome, ended_at: float) -> None:
        """Emit the one attempt of an inner call of which no request is seen, unless that was done."""
        if inner.sends or inner.is_emitted:
            return
        inner.is_emitted = True
        attempt = Attempt(
            started_at=inner.started_at,
            ended_at=ended_at,
            status=outcome.status,
            error=error_name(outcome.error),
            error_type=outcome.error_type,
            model=inner.model,
            provider=inner.provider,
        )
        self._model_call().add_attempt(attempt)
