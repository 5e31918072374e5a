"""The part of the OpenAPI document about what the edge refuses, which no route knows: it does so before any."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from .edge import EXEMPT
from .host_check import SAFE_METHODS

_OF_ALL = {
    "401": "Keys are set (SPARKLIO_API_KEYS), and the request has none that is valid.",
    "421": "The Host of the request is not one of the studio's.",
}
_OF_CHANGES = {"403": "The request comes from a page of another site."}
_OF_BODIES = {"408": "The body did not come in time.", "413": "The body has too many bytes."}


def describe_refusals(app: FastAPI) -> None:
    """Add the responses of the edge, and the key of the API, to the OpenAPI document of an application."""
    describe_routes = app.openapi

    def openapi() -> dict[str, Any]:
        is_done = app.openapi_schema is not None
        document = describe_routes()
        if not is_done:
            _add_refusals(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _add_refusals(document: dict[str, Any]) -> None:
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer", "description": "A key of the API, where keys are set."}
    for path, operations in document["paths"].items():
        if path in EXEMPT:
            continue
        for method, operation in operations.items():
            refusals = {
                **_OF_ALL,
                **({} if method.upper() in SAFE_METHODS else _OF_CHANGES),
                **(_OF_BODIES if "requestBody" in operation else {}),
            }
            responses = {code: _response(description) for code, description in refusals.items()}
            operation["responses"] = dict(sorted((responses | operation["responses"]).items()))
            operation["security"] = [{"key": []}, {}]  # or none, where no keys are set


def _response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorBody"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
