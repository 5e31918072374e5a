"""The health checks show which component is unavailable, and why."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from app.api.routers import health
from app.database import Database
from app.llm.factory import ModelUnavailable
from app.settings import Settings
from tests.backend.api.conftest import on_sqlite


async def test_health_is_ok_when_both_components_are(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")
    assert response.status_code == 200
    part = {"status": "ok", "reason": None}
    assert response.json() == {"status": "ok", "database": part, "model": part}
    assert (await client.get("/health/live")).json() == {"status": "ok"}


@on_sqlite
async def test_health_shows_which_component_is_unavailable(
    client: httpx.AsyncClient, app: FastAPI, settings: Settings
) -> None:
    app.state.llm.problem = ModelUnavailable("The model is not installed; run make setup.")
    assert settings.sqlite_file is not None
    settings.sqlite_file.rename(settings.sqlite_file.with_suffix(".away"))
    response = await client.get("/health")
    assert response.status_code == 503
    body = response.json()
    assert body["status"] == body["database"]["status"] == body["model"]["status"] == "unavailable"
    assert body["model"]["reason"] == "The model is not installed; run make setup."
    assert "the file is gone or read-only" in body["database"]["reason"]
    assert (await client.get("/health/live")).status_code == 200


@on_sqlite
async def test_health_does_not_show_the_message_of_an_unexpected_error(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.llm.problem = RuntimeError("https://user:geheim@host")
    response = await client.get("/health")
    assert response.status_code == 503
    assert response.json()["model"]["reason"] == "The check itself failed (RuntimeError)."
    assert response.json()["database"]["status"] == "ok"


@on_sqlite
async def test_health_does_not_wait_for_a_component_that_hangs(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.05)
    app.state.llm.answers.clear()
    response = await client.get("/health")
    assert response.status_code == 503
    assert response.json()["model"]["reason"] == "No answer within 0.05 seconds."


async def test_health_shows_a_database_without_tables(client: httpx.AsyncClient, database: Database) -> None:
    """503 with a reason while the tables are missing."""
    async with database.engine.begin() as connection:
        for table in ("steps", "runs", "brands"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    health = await client.get("/health")
    assert health.status_code == 503
    assert health.json()["database"]["status"] == "unavailable"
