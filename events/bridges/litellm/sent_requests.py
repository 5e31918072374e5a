"""Each request that is sent for a call of LiteLLM, as an attempt.

LiteLLM and the SDKs that it uses retry by themselves, and tell nobody. They make HTTP clients where they need them, so
what is replaced is the public method ``send`` of the classes of clients, of httpx and of httpx2. A request that is not
sent for a call passes unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any, Protocol, Self

from ...bus.fields import ErrorType, Status
from ..model_calls.error_types import error_type_of, error_type_of_status_code, status_of_error
from ..model_calls.model_call import Attempt, error_name


class Sender(Protocol):
    """Takes what became of the requests that are sent for it."""

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record that a request was answered, or failed; must not raise."""


current_sender: ContextVar[Sender | None] = ContextVar("events.bridges.litellm", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One HTTP request that was sent, and what became of it; times are those of `time.perf_counter`."""

    started_at: float
    ended_at: float
    status_code: int | None
    headers: Mapping[str, str]
    error: BaseException | None

    @classmethod
    def of(cls, started_at: float, response: Any, error: BaseException | None) -> Self:
        """Return a request that ended now: with a response, or with an error."""
        status_code, headers = (None, {}) if response is None else (response.status_code, response.headers)
        return cls(
            started_at=started_at, ended_at=perf_counter(), status_code=status_code, headers=headers, error=error
        )

    def as_attempt(self) -> Attempt:
        """Return it as an attempt that failed, or whose answer had not failed yet, by itself."""
        error_type: ErrorType | None
        if self.error is None:
            error_type = error_type_of_status_code(self.status_code)
            status: Status = "success" if error_type is None else "timeout" if error_type == "timeout" else "error"
        else:
            status = status_of_error(self.error)
            error_type = _transport_error_type(self.error, status)
        return Attempt(
            started_at=self.started_at,
            ended_at=self.ended_at,
            status=status,
            error=error_name(self.error),
            error_type=error_type,
            status_code=self.status_code,
            headers=self.headers,
        )


def observed(send: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method ``send`` of a class of clients that reports each request of a call."""

    @wraps(send)
    def observed_send(self: Any, request: Any, **options: Any) -> Any:
        sender = _sender_of(request)
        if sender is None:
            return send(self, request, **options)
        started_at = perf_counter()
        try:
            response = send(self, request, **options)
        except BaseException as error:
            sender.record_send(started_at, None, error)
            raise
        sender.record_send(started_at, response, None)
        return response

    @wraps(send)
    async def observed_async_send(self: Any, request: Any, **options: Any) -> Any:
        sender = _sender_of(request)
        if sender is None:
            return await send(self, request, **options)
        started_at = perf_counter()
        try:
            response = await send(self, request, **options)
        except BaseException as error:
            sender.record_send(started_at, None, error)
            raise
        sender.record_send(started_at, response, None)
        return response

    return observed_async_send if iscoroutinefunction(send) else observed_send


def _sender_of(request: Any) -> Sender | None:
    """Return for whom a request is sent; None for one that asks no model, such as one that fetches an image."""
    sender = current_sender.get()
    return sender if sender is not None and request.method == "POST" else None


def _transport_error_type(error: BaseException, status: Status) -> ErrorType:
    if status != "error":
        return "timeout" if status == "timeout" else "cancelled"
    names = {parent.__name__ for parent in type(error).__mro__}
    return "connection" if names & {"RequestError", "TransportError"} else error_type_of(error)
