"""OpenAPI describes every operation and every response."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from app import api

pytestmark = pytest.mark.slow


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    paths = app.openapi()["paths"]
    return [(method, path, described) for path, methods in paths.items() for method, described in methods.items()]


def test_every_operation_is_described() -> None:
    """Each has a name of its own, a summary, a description, a tag and the shape of every response."""
    app = FastAPI()
    api.include(app)
    described = operations(app)
    names = [operation["operationId"] for _, _, operation in described]
    assert len(set(names)) == len(names)
    assert {"start_run", "list_runs", "get_run", "cancel_run", "list_workflows", "health"} <= set(names)
    tags = {tag["name"] for tag in app.openapi()["tags"]}
    for method, path, operation in described:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        for code, response in operation["responses"].items():
            assert response["description"], f"{where} {code}"
            assert code == "204" or response["content"], f"{where} {code}"


def test_the_status_codes_of_responses_are_described() -> None:
    app = FastAPI()
    api.include(app)
    codes = {operation["operationId"]: set(operation["responses"]) for _, _, operation in operations(app)}
    refusals = {"401", "421"}
    assert codes["start_run"] == refusals | {"202", "403", "404", "408", "413", "422", "429", "503"}
    assert codes["list_runs"] == refusals | {"200", "422", "503"}
    assert codes["get_run"] == refusals | {"200", "404", "422", "503"}
    assert codes["cancel_run"] == refusals | {"200", "403", "404", "409", "422", "503"}
    assert codes["create_brand"] == refusals | {"201", "403", "408", "409", "413", "422", "503"}
    assert codes["delete_brand"] == refusals | {"204", "403", "404", "409", "422", "503"}
    assert codes["health"] == codes["ready"] == {"200", "503"}


def test_the_key_of_the_api_is_described() -> None:
    app = FastAPI()
    api.include(app)
    document = app.openapi()
    assert app.openapi() is document
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/runs"]["get"]["security"] == [{"key": []}, {}]
    assert "security" not in document["paths"]["/health"]["get"]
