"""The request to a model that the running code is inside, and who asks it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

from ...agents import agent_run
from ...bus.scope import Scope
from ...bus.span import current_span
from ..model_calls.claims import Claim, current_claim
from .tool_calls import current_run_context

if TYPE_CHECKING:
    from .calls import OngoingRequest

current_request: ContextVar[OngoingRequest | None] = ContextVar("events.bridges.pydantic_ai", default=None)


class AsParent:
    """A ``with`` block in which requests that start are attempts at one, and calls that other bridges see are its."""

    __slots__ = ("_claim", "_request", "_token")

    def __init__(self, request: OngoingRequest) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._token: Token[OngoingRequest | None] = current_request.set(self._request)
        self._claim: Token[Claim | None] = current_claim.set(self._request.call.claim)

    def __exit__(self, *_: object) -> None:
        current_claim.reset(self._claim)
        current_request.reset(self._token)


class Asker(NamedTuple):
    """The asker of a model: the innermost span of an agent, and the run of one by pydantic-ai.

    Attributes:
        has_run: Whether there is a run, or may be in a version that does not say.
    """

    span: object
    run_id: object
    has_run: bool


def current_asker(scope: Scope | None) -> Asker:
    """Return who asks a model in a scope."""
    span = None if scope is None else current_span(agent_run)
    try:
        run = current_run_context()
    except AttributeError:  # a version that has no such way; `tool_calls` reports it
        return Asker(span, None, True)
    return NOBODY if span is None and run is None else Asker(span, getattr(run, "run_id", None), run is not None)


NOBODY = Asker(None, None, False)


async def record_response_headers(response: Any) -> None:
    """Record the status code and headers of an HTTP response, for the rate limits in them.

    It is a response hook for the client of an SDK that `instrument` does not observe by itself; see
    `observe_http_client`, which sees retries too.
    """
    request = current_request.get()
    if request is not None:
        request.headers, request.status_code = response.headers, response.status_code
