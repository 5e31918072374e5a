"""Observes the requests of Bedrock's SDK by botocore's events, which it sends for each try.

https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...bus.failures import report_failure
from ...llm import llm_attempted
from .current_request import current_request
from .http_attempts import HTTPAttempt

SERVICE = "bedrock-runtime"

QUOTA_ERROR = "ServiceQuotaExceededException"
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"""


def has_botocore_events(client: Any) -> bool:
    """Return whether an SDK's client is one of botocore's for Bedrock."""
    return hasattr(getattr(client, "meta", None), "events")


def observe_botocore_client(client: Any) -> None:
    """Make each request that a client of Bedrock sends for a model an attempt of its own."""
    events = client.meta.events
    events.register_last(f"before-send.{SERVICE}", start_attempt, unique_id="events-before-send")
    events.register_first(f"response-received.{SERVICE}", end_attempt, unique_id="events-response-received")


def start_attempt(request: Any, **_: Any) -> None:
    """Record that a request is sent: it returns None, so that botocore sends it."""
    ongoing = current_request.get()  # pydantic-ai calls the SDK in a thread with the context of the request
    try:
        if ongoing is not None:
            ongoing.start_http_request(HTTPAttempt(request.method, request.url))
    except Exception as failure:
        report_failure(llm_attempted.name, "pydantic_ai", failure)


def end_attempt(
    response_dict: Mapping[str, Any] | None,
    parsed_response: Mapping[str, Any] | None = None,
    exception: BaseException | None = None,
    **_: Any,
) -> None:
    """Record the response to the request that was sent last, or why it has none."""
    ongoing = current_request.get()
    if ongoing is None or not ongoing.http_requests:
        return
    try:
        attempt = ongoing.http_requests[-1]
        attempt.end(exception)
        if response_dict is not None:
            attempt.status_code, attempt.headers = response_dict["status_code"], response_dict["headers"]
            attempt.exceeds_quota = (parsed_response or {}).get("Error", {}).get("Code") == QUOTA_ERROR
    except Exception as failure:
        report_failure(llm_attempted.name, "pydantic_ai", failure)
