"""The route of the live feed: what happens, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any, cast

import anyio
from fastapi import APIRouter, Header, HTTPException, Query, Request
from pydantic import AfterValidator, WithJsonSchema
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from app.listeners.live_client import FeedClient, Wanted
from app.listeners.live_feed import FeedUnavailable, LiveFeed
from app.listeners.signals import STORY

from ..exception_handlers import error_responses

PING_SECONDS = 15
"""Seconds between two comments, which keep proxies from closing a quiet connection."""

SEND_SECONDS = 60.0
"""Seconds after which a client that reads nothing is given up, where the server did not do it before."""

FAREWELL_SECONDS = 1.0
"""Seconds for the last messages, where the server announces its stop to the responses."""

RETRY_SECONDS = "5"

SIGNALS = tuple(sorted(signal.name for signal in STORY))

router = APIRouter(tags=["live"])

EXAMPLE = """event: status
data: {"resumed":false,"missed":0,"reach":"process","processes":1}

id: 9f2c41d7-18
data: {"schema":1,"signal":"agent_started","time":1796000000.1,"fields":{"execution_id":"e1"},"process":"9f2c41d7"}
"""
RESPONSES: dict[int | str, dict[str, Any]] = {
    **error_responses(
        {404: "SPARKLIO_LIVE is off.", 503: "As many clients follow the feed as may, or the process stops."}
    ),
    200: {
        "description": "A stream of server-sent events that does not end.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
}


def _check_signal(name: str) -> str:
    if name not in SIGNALS:
        raise ValueError(f"it is none of {', '.join(SIGNALS)}")
    return name


SignalName = Annotated[str, AfterValidator(_check_signal), WithJsonSchema({"type": "string", "enum": [*SIGNALS]})]


class FeedResponse(EventSourceResponse):
    """The stream of one client, which leaves the feed when it ends.

    Args:
        feed: The feed.
        client: The client, which has joined it.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: LiveFeed, client: FeedClient) -> None:
        super().__init__(
            client.messages(),
            ping=PING_SECONDS,
            send_timeout=SEND_SECONDS,
            shutdown_event=cast("anyio.Event", _Farewell(client)),
            shutdown_grace_period=FAREWELL_SECONDS,
        )
        self._feed = feed
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            return  # the server closes the connection
        finally:
            self._feed.leave(self._client)


class _Farewell:
    """The event by which a server such as uvicorn announces its stop to the responses; ours calls the feed."""

    def __init__(self, client: FeedClient) -> None:
        self._client = client

    def set(self) -> None:
        self._client.end()


@router.get("/events", summary="Follow what happens", status_code=200, response_class=FeedResponse, responses=RESPONSES)
async def follow_events(
    request: Request,
    *,
    signal: Annotated[list[SignalName] | None, Query(description="Only events of these signals")] = None,
    run_id: Annotated[str | None, Query(max_length=64, description="Only events of this run")] = None,
    workflow_type: Annotated[str | None, Query(max_length=64, description="Only events of this workflow")] = None,
    numbers: Annotated[bool, Query(description="Send the numbers of the live page too, once a second")] = False,
    last_event_id: Annotated[
        str | None, Query(max_length=64, description="The last event that the client has; 0 for all that are kept")
    ] = None,
    last_event_header: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=64, description="The same, as browsers send it")
    ] = None,
) -> FeedResponse:
    """Send each event as it happens, as `text/event-stream`.

    A message without a name is an event: `signal`, `time` (Unix time in seconds), `fields`, and `process`, the process
    that emitted it. Prompts, answers and what else somebody wrote are in none.

    `status` comes first, and whenever it changes: whether the stream goes on where the client was (`resumed`), how many
    events it has `missed` for good (null: not known), and whose events the stream has (`reach`): those of this
    `process`, of all `workers` on its host, or of several `hosts`; `processes` says how many. `numbers` has the numbers
    of the live page, where they are asked for.

    A client that does not read is disconnected; it resumes by `Last-Event-ID`, as browsers do by themselves.
    """
    feed: LiveFeed | None = request.app.state.live_feed
    if feed is None:
        raise HTTPException(404, "There is no live feed: SPARKLIO_LIVE is off.")
    wanted = Wanted(frozenset(signal or ()), run_id, workflow_type)
    resumed_from = last_event_header if last_event_header is not None else last_event_id
    try:
        client = feed.join(wanted, resumed_from, request.app.state.live_numbers if numbers else None)
    except FeedUnavailable as error:
        detail = (
            "The process stops."
            if error.reason == "stopping"
            else "As many clients follow the feed as may (SPARKLIO_LIVE_CLIENTS); try again later."
        )
        raise HTTPException(503, detail, {"Retry-After": RETRY_SECONDS}) from None
    return FeedResponse(feed, client)
