"""An application with the health checks alone, as a process has that executes runs and serves no API."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app import api
from app.database import Database
from tests.backend.api.conftest import FakeModel, FakeWorkflowService


@pytest.fixture
def app(database: Database) -> FastAPI:
    created = FastAPI(openapi_url=None)
    api.include_health(created)
    created.state.database, created.state.llm = database, FakeModel()
    created.state.workflows = FakeWorkflowService(database)
    return created


async def test_it_has_the_health_checks(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/ready", "/health/live"):
        assert (await client.get(path)).status_code == 200
    assert (await client.post("/health")).status_code == 405


async def test_all_other_paths_say_what_there_is(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/api/v1/runs", "/static/start.js", "/healthy", "/health/", "/login"):
        for method in ("GET", "POST", "DELETE"):
            response = await client.request(method, path)
            assert (response.status_code, response.json()) == (404, {"detail": api.WORKER_SERVES})


def test_a_websocket_is_closed(app: FastAPI) -> None:
    with TestClient(app) as client, pytest.raises(WebSocketDisconnect), client.websocket_connect("/any"):
        pass
