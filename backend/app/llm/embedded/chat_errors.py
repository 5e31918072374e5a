"""The errors of a llama.cpp server as those of pydantic-ai, whose classes say whether an error passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx2
from pydantic_ai.exceptions import (
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
)


@contextmanager
def transport_errors(model_name: str) -> Iterator[None]:
    """Raise httpx2's errors as pydantic-ai's."""
    try:
        yield
    except httpx2.TransportError as error:
        kind = ModelTimeoutError if isinstance(error, httpx2.TimeoutException) else ModelConnectionError
        raise kind(model_name, str(error) or type(error).__name__) from error


def http_error(model_name: str, status: int, body: object) -> ModelHTTPError:
    """Return the error for a status, of the class that says whether it passes."""
    category: Any = ModelServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ModelRequestRejectedError
    category = {401: ModelAuthenticationError, 503: ModelUnavailableError}.get(status, category)  # 503 while it loads
    return ModelHTTPError.for_category(category, status_code=status, model_name=model_name, body=body)


def stream_error(model_name: str, error: object) -> ModelHTTPError:
    """Return the error that the server writes into a stream which it cannot go on with."""
    status = error.get("code") if isinstance(error, dict) else None
    return http_error(model_name, status if isinstance(status, int) else HTTPStatus.INTERNAL_SERVER_ERROR, error)


def body_of(text: str) -> object:
    """Return a body: parsed if it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
