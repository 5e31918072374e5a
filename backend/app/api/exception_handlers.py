"""The responses to the studio's exceptions, and their description in OpenAPI."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import UndefinedTable
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from app.database import DatabaseUnavailable, is_passing
from app.database.repositories.brands import BrandInUse, BrandNameTaken
from app.workflows.workflow_errors import IdempotencyConflict, QueueFull, RunAlreadyEnded, RunNotFound, WorkflowNotFound
from events import limit_reached

from .allowed_methods import handle_http_exception
from .schemas.errors import ErrorBody

logger = logging.getLogger(__name__)


class BrandNotFound(Exception):
    """No brand has that id."""

    def __init__(self, brand_id: int) -> None:
        super().__init__(f"There is no brand {brand_id}; GET /api/v1/brands lists them.")


# fmt: off
STATUS_CODES: dict[type[Exception], int] = {
    WorkflowNotFound:    404,
    RunNotFound:         404,
    BrandNotFound:       404,
    RunAlreadyEnded:     409,
    BrandNameTaken:      409,
    BrandInUse:          409,
    IdempotencyConflict: 422,  # as draft-ietf-httpapi-idempotency-key-header has it, section 2.7
}
# fmt: on


def error_responses(descriptions: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route for these status codes and for 503, which every route may answer with."""
    responses = {503: "The database does not answer.", **(descriptions or {})}
    return {code: {"model": ErrorBody, "description": text} for code, text in sorted(responses.items())}


def register(app: FastAPI, max_errors: int) -> None:
    """Register the handlers of the studio's exceptions with an application."""
    for error_class, code in STATUS_CODES.items():
        app.add_exception_handler(error_class, _message_handler(code))
    app.add_exception_handler(RequestValidationError, _validation_error_handler(max_errors))
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(QueueFull, _handle_full_queue)
    for error_class in (DatabaseUnavailable, OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(error_class, _handle_database_error)
    app.add_exception_handler(DBAPIError, _handle_statement_error)
    app.add_exception_handler(Exception, _handle_failure)


def _message_handler(code: int) -> Any:
    async def handle(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, code)

    return handle


def _validation_error_handler(max_errors: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        # FastAPI's own format, without the input: that may be huge, or hold what UTF-8 cannot encode.
        assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for no other
        errors = error.errors()
        details = [{"type": one["type"], "loc": one["loc"], "msg": one["msg"]} for one in errors[:max_errors]]
        if details[:1] and details[0]["loc"] == ("body",) and not is_json(request):
            details[0]["msg"] = "Send the body as JSON, with the header Content-Type: application/json"
        body = {"detail": _encodable(details)}
        if len(errors) > max_errors:
            limit_reached.emit(limit="validation_errors")
            body["omitted"] = len(errors) - max_errors
        return JSONResponse(body, 422)

    return handle


def is_json(request: Request) -> bool:
    """Return whether a request says that its body is JSON: application/json, or as application/problem+json."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    is_bad_request = isinstance(error, HTTPException) and error.status_code == 400
    if is_bad_request and isinstance(error.__cause__, (ValueError, RecursionError)):
        # FastAPI answers 400 to JSON that cannot be decoded, and 422 to all other that is not valid.
        problem = {"type": "json_invalid", "loc": ["body"], "msg": _json_fault(error.__cause__)}
        return JSONResponse({"detail": [problem]}, 422)
    return await handle_http_exception(request, error)


def _json_fault(error: BaseException) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "The body is not encoded in UTF-8"
    return "The body is nested too deeply" if isinstance(error, RecursionError) else "A number in the body is too long"


async def _handle_full_queue(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QueueFull)  # noqa: S101 - it is registered for no other
    return JSONResponse({"detail": str(error)}, 429, {"Retry-After": str(error.retry_after)})


async def _handle_database_error(_request: Request, error: Exception) -> JSONResponse:
    # The driver's message is not sent: it may name hosts and statements.
    logger.error("the database does not answer: %s", type(getattr(error, "orig", None) or error).__name__)
    return JSONResponse(
        {"detail": "The database does not answer; try again soon, GET /health tells when it is back."},
        503,
        {"Retry-After": "5"},
    )


async def _handle_statement_error(request: Request, error: Exception) -> JSONResponse:
    # As of a server that has become read-only by a failover, an internal error to the driver, or has lost a table. For
    # SQLite's driver both are operational errors.
    assert isinstance(error, DBAPIError)  # noqa: S101 - it is registered for no other
    if not is_passing(error) and not isinstance(error.orig, UndefinedTable):
        raise error
    return await _handle_database_error(request, error)


async def _handle_failure(request: Request, _error: Exception) -> JSONResponse:
    # Starlette raises the error again after this answer, and uvicorn then closes the connection: a client that did not
    # know would lose its next request. HTTP/2 has streams, and no such header.
    headers = {"Connection": "close"} if request.scope["http_version"].startswith("1") else None
    return JSONResponse({"detail": "The studio failed at this request; its log says where."}, 500, headers)


def _encodable(value: Any) -> Any:
    """Return a JSON value with what UTF-8 cannot encode (lone surrogates) replaced by question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(item) for item in value]
    return value
