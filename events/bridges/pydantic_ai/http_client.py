"""Observes the HTTP client of a provider's SDK, so that each request that the SDK sends is seen.

The SDKs retry by themselves, and tell nobody. This module alone reaches into them: where an SDK has its client, in
`HTTP_CLIENTS`, and httpx's transports. What is not found, because an SDK has another client or a new version another
place for it, is not observed: a request to the model is then one attempt. `observe_http_client` takes such a client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any
from weakref import WeakSet

from pydantic_ai.models import Model

from ...bus.failures import report_failure
from ...llm import llm_attempted
from .botocore_events import has_botocore_events, observe_botocore_client
from .current_request import current_request
from .error_bodies import exceeds_quota
from .http_attempts import HTTPAttempt

# Where the client of an SDK, which is a model's `client`, has its HTTP client.
# fmt: off
HTTP_CLIENTS = (
    "_client",                                    # OpenAI, Anthropic, Groq and others that are made with Stainless
    "_api_client._async_httpx_client",            # google-genai
    "sdk_configuration.async_client",             # Mistral
    "_client_wrapper.httpx_client.httpx_client",  # Cohere
)
# fmt: on
_ACCESSORS = tuple(attrgetter(path) for path in HTTP_CLIENTS)

_SENDS = "handle_async_request"
_MARK = "_events_observed"
_CLIENT_MARK = "_events_attempts_observed"
_observed: WeakSet[Any] = WeakSet()
"""Clients of Bedrock."""


def observe_model(model: Model) -> None:
    """Observe the HTTP client of a model's SDK, unless that is done; a failure to do so is reported and not raised.

    It is called before each request: pydantic-ai makes a new client for each event loop.
    """
    try:
        sdk = getattr(model, "client", None)
        if sdk is None or hasattr(getattr(sdk, "_client", None), _CLIENT_MARK):
            return
        if has_botocore_events(sdk):
            if sdk not in _observed:
                _observed.add(sdk)
                observe_botocore_client(sdk)
            return
        for accessor in _ACCESSORS:
            try:
                client = accessor(sdk)
            except AttributeError:
                continue
            if hasattr(client, _CLIENT_MARK):
                return
            if is_http_client(client):
                observe_http_client(client)
                return
    except Exception as failure:
        report_failure(llm_attempted.name, "pydantic_ai", failure)


def observe_http_client(client: Any) -> None:
    """Make each request that an ``AsyncClient`` of httpx or httpx2 sends for a model an attempt of its own.

    `instrument` does so by itself for the SDKs of OpenAI, Anthropic, Google, Groq, Mistral and Cohere, and for all that
    speak their protocols. Requests that are not sent for an instrumented model are left alone.
    """
    setattr(client, _CLIENT_MARK, True)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001  # see the module's docstring
        if transport is not None:  # that is a place where no proxy is used
            for innermost in innermost_transports(transport):
                observe_transport(innermost)


def is_http_client(client: Any) -> bool:
    """Return whether an object is an ``AsyncClient`` of httpx or httpx2."""
    return any(
        parent.__name__ == "AsyncClient" and parent.__module__.partition(".")[0] in {"httpx", "httpx2"}
        for parent in type(client).__mro__
    )


def innermost_transports(transport: Any) -> Iterator[Any]:
    """Yield the transports that send: one that retries, such as `AsyncHTTPX2TenacityTransport`, wraps another."""
    inner = [each for each in getattr(transport, "__dict__", {}).values() if has_parent(each, "AsyncBaseTransport")]
    if not inner:
        yield transport
    for each in inner:
        yield from innermost_transports(each)


def has_parent(value: Any, name: str) -> bool:
    """Return whether a class of this name is in the hierarchy of a value's class."""
    return any(parent.__name__ == name for parent in type(value).__mro__)


def observe_transport(transport: Any) -> None:
    """Replace the method that sends, on this one object, by one that records each request for a model."""
    replaced: Callable[[Any], Awaitable[Any]] | None = vars(transport).get(_SENDS)
    if getattr(replaced, _MARK, False):
        return

    has_pool = hasattr(transport, "_pool")

    async def handle_async_request(request: Any) -> Any:
        # The class's method is looked up now: libraries for tests replace it at any time.
        sending = getattr(type(transport), _SENDS)(transport, request) if replaced is None else replaced(request)
        attempt = start_attempt(request, has_pool=has_pool)
        if attempt is None:
            return await sending
        try:
            response = await sending
        except BaseException as error:
            attempt.end(error)
            raise
        record_response(attempt, response)
        if (attempt.status_code or 0) >= 400:
            try:
                attempt.exceeds_quota = await exceeds_quota(response)
            except Exception as failure:
                report_failure(llm_attempted.name, "pydantic_ai", failure)
        return response

    setattr(handle_async_request, _MARK, True)
    setattr(transport, _SENDS, handle_async_request)


def start_attempt(request: Any, *, has_pool: bool = False) -> HTTPAttempt | None:
    """Return a new attempt at the request to a model that is under way here; None where there is none."""
    ongoing = current_request.get()
    if ongoing is None or ongoing.is_polling:
        return None
    try:
        attempt = HTTPAttempt(request.method, request.url)
        attempt.is_traced = has_pool
        ongoing.start_http_request(attempt)
        request.extensions = {**request.extensions}
        begin_at_connection(attempt, request.extensions)
    except Exception as failure:
        report_failure(llm_attempted.name, "pydantic_ai", failure)
        return None
    return attempt


def begin_at_connection(attempt: HTTPAttempt, extensions: dict[str, Any]) -> None:
    """Add a trace for httpcore to a request's extensions that has an attempt begin when it gets a connection.

    httpcore's first event of a request is that it connects, or sends on a connection of the pool
    (https://www.encode.io/httpcore/extensions/#trace). There are a dozen more, each of which takes time: from the first
    one on the trace that there may have been before is there again, or none.
    """
    other = extensions.get("trace")

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if not attempt.has_connection:
            attempt.begin()
        if extensions.get("trace") is trace:
            if other is None:
                del extensions["trace"]
            else:
                extensions["trace"] = other
        if other is not None:
            await other(event, info)

    extensions["trace"] = trace


def record_response(attempt: HTTPAttempt, response: Any) -> None:
    """Record that a response begins; of one that is not a stream, also when its body ends, or breaks off."""
    attempt.end()
    try:
        attempt.status_code, attempt.headers = response.status_code, response.headers
        ongoing = current_request.get()
        if ongoing is not None and not ongoing.is_streamed:
            kind: Any = type(response.stream)
            base = body_class(kind)
            if base is not None:
                response.stream = observed_body(base)(response.stream, attempt)
    except Exception as failure:
        report_failure(llm_attempted.name, "pydantic_ai", failure)


@cache
def body_class(kind: type[Any]) -> Any:
    """Return httpx's or httpx2's class of bodies that a class is derived from; None where it is not."""
    return next((each for each in kind.__mro__ if each.__name__ == "AsyncByteStream"), None)


@cache
def observed_body(base: Any) -> Any:
    """Return a class of bodies that record their end, derived from httpx's or httpx2's, which those check."""

    class ObservedBody(base):  # type: ignore[misc]  # see above
        def __init__(self, body: Any, attempt: HTTPAttempt) -> None:
            self._body = body
            self._attempt = attempt

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in self._body:
                    yield piece
            except GeneratorExit:  # the rest is not read
                raise
            except BaseException as error:
                self._attempt.end(error)
                raise
            self._attempt.end()

        async def aclose(self) -> None:
            await self._body.aclose()

    return ObservedBody
