"""How the studio's errors are answered, and how the API's description tells of them."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from app.database import DatabaseUnavailable
from app.database.repositories.brands import BrandInUse, BrandNameTaken
from app.workflows.service import IdempotencyConflict, RunAlreadyEnded, RunNotFound, WorkflowNotFound

from .schemas.responses import Problem

logger = logging.getLogger(__name__)


class BrandNotFound(Exception):
    """No brand has that id."""

    def __init__(self, brand_id: int) -> None:
        super().__init__(f"There is no brand {brand_id}; GET /api/v1/brands lists them.")


# fmt: off
CODES: dict[type[Exception], int] = {
    WorkflowNotFound:     404,
    RunNotFound:          404,
    BrandNotFound:        404,
    RunAlreadyEnded:            409,
    BrandNameTaken:          409,
    BrandInUse:          409,
    IdempotencyConflict: 422,  # as draft-ietf-httpapi-idempotency-key-header has it, section 2.7
}
# fmt: on


def problems(**told: str) -> dict[int | str, dict[str, Any]]:
    """Describe answers that are no success: ``problems(c404="No such run.")``."""
    every = {"c503": "The database does not answer.", **told}
    return {
        int(code.removeprefix("c")): {"model": Problem, "description": description}
        for code, description in sorted(every.items())
    }


def register(app: FastAPI) -> None:
    """Answer the studio's errors with their code and their message."""
    for kind, code in CODES.items():
        app.add_exception_handler(kind, _answer(code))
    app.add_exception_handler(RequestValidationError, _does_not_fit)
    for kind in (DatabaseUnavailable, OperationalError, InterfaceError, NoConnectionFree):
        app.add_exception_handler(kind, _database_down)


def _answer(code: int) -> Any:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, code)

    return answer


async def _does_not_fit(_request: Request, error: Exception) -> JSONResponse:
    # FastAPI's own shape, without the input: it may be huge, or hold what no UTF-8 answer can carry.
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for no other
    told = [{"type": one["type"], "loc": one["loc"], "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": _encodable(told)}, 422)


async def _database_down(_request: Request, error: Exception) -> JSONResponse:
    # The driver's text stays in the log: it may name hosts and statements.
    logger.error("the database does not answer: %s", type(getattr(error, "orig", None) or error).__name__)
    return JSONResponse(
        {"detail": "The database does not answer; try again soon, GET /health tells when it is back."},
        503,
        {"Retry-After": "5"},
    )


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _encodable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(one) for one in value]
    return value
