"""The health checks show which component is unavailable, and why."""

from __future__ import annotations

import asyncio
import shutil

import httpx
import pytest
from fastapi import FastAPI

from app.api import health_checks
from app.database import Database
from app.llm.factory import ModelUnavailable
from app.settings import Settings
from app.workflows.workflow_errors import QueueFull, RunsUnavailable
from events import component_checked
from tests.backend.api.conftest import BRIEF, START, on_sqlite
from tests.support.outages import locked_here


async def test_health_is_ok_when_all_components_are(client: httpx.AsyncClient) -> None:
    with component_checked.captured() as checked:
        response = await client.get("/health")
    assert [(event.component, event.up) for event in checked] == [("database", 1), ("model", 1), ("workflows", 1)]
    assert response.status_code == 200
    part = {"status": "ok", "reason": None}
    assert response.json() == {"status": "ok", "database": part, "model": part, "workflows": part}
    assert (await client.get("/health/live")).json() == {"status": "ok"}


async def test_the_model_is_not_checked_where_runs_are_executed_elsewhere(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    app.state.llm = None
    with component_checked.captured() as checked:
        response = await client.get("/health")
    assert [event.component for event in checked] == ["database", "workflows"]
    assert (response.status_code, response.json()["status"], response.json()["model"]) == (200, "ok", None)


@on_sqlite
async def test_health_shows_which_component_is_unavailable(
    client: httpx.AsyncClient, app: FastAPI, settings: Settings
) -> None:
    app.state.llm.problem = ModelUnavailable("The model is not installed; run make setup.")
    assert settings.sqlite_file is not None
    settings.sqlite_file.rename(settings.sqlite_file.with_suffix(".away"))
    with component_checked.captured() as checked:
        response = await client.get("/health")
    assert {event.component: event.up for event in checked} == {"database": 0, "model": 0, "workflows": 1}
    assert response.status_code == 503
    body = response.json()
    assert body["status"] == body["database"]["status"] == body["model"]["status"] == "unavailable"
    assert body["model"]["reason"] == "The model is not installed; run make setup."
    assert "the file is gone" in body["database"]["reason"]
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
    monkeypatch.setattr(health_checks, "CHECK_TIMEOUT", 0.05)
    app.state.llm.answers.clear()
    response = await client.get("/health")
    assert response.status_code == 503
    assert response.json()["model"]["reason"] == "No answer within 0.05 seconds."


async def test_health_shows_a_database_without_tables(client: httpx.AsyncClient, database: Database) -> None:
    """503 with a reason while the tables are missing."""
    async with database.engine.begin() as connection:
        for table in ("attempts", "steps", "runs", "brands"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    health = await client.get("/health")
    assert health.status_code == 503
    assert health.json()["database"]["status"] == "unavailable"


async def test_health_is_unavailable_while_no_run_can_be_taken(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.workflows.problem = QueueFull(3)
    with component_checked.captured() as checked:
        response = await client.get("/health")
    assert [(event.component, event.up, event.reason) for event in checked][2] == ("workflows", 1, "")  # it works
    assert response.status_code == 503
    assert response.json()["workflows"] == {"status": "unavailable", "reason": "The queue is full."}
    assert response.json()["database"]["status"] == "ok"


async def test_the_workflows_are_down_where_none_is_executed(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.workflows.problem = RunsUnavailable("The tables of the workflow engine cannot be used.")
    with component_checked.captured() as checked:
        assert (await client.get("/health")).status_code == 503
    assert {event.component: event.up for event in checked} == {"database": 1, "model": 1, "workflows": 0}


async def test_health_is_unavailable_while_the_process_stops(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.draining = True
    response = await client.get("/health")
    assert (response.status_code, response.json()["workflows"]["reason"]) == (503, "The process stops.")
    assert (await client.get("/health/live")).status_code == 200


async def test_a_process_is_ready_whatever_is_wrong_with_what_all_share(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    """A load balancer would take all processes out at once, and clients would see none of their answers."""
    app.state.workflows.problem = QueueFull(3)
    app.state.llm.problem = ModelUnavailable("The model is away.")
    with component_checked.captured() as checked:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "reason": None})
    assert [(event.component, event.up, event.reason) for event in checked] == [("database", 1, "")]
    assert (await client.get("/health")).status_code == 503


async def test_a_process_is_not_ready_while_it_stops(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.draining = True
    response = await client.get("/health/ready")
    assert (response.status_code, response.json()["reason"]) == (503, "The process stops.")


async def test_a_process_is_not_ready_without_its_database(client: httpx.AsyncClient, database: Database) -> None:
    async with database.engine.begin() as connection:
        for table in ("attempts", "steps", "runs", "brands"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    with component_checked.captured() as checked:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    assert [(event.component, event.up) for event in checked] == [("database", 0)]
    assert checked[0].reason == response.json()["reason"] != ""


@on_sqlite
async def test_health_is_unavailable_while_nothing_can_be_written(
    client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the lock: reading goes on."""
    monkeypatch.setattr(health_checks, "CHECK_TIMEOUT", 0.2)
    assert settings.sqlite_file is not None
    async with locked_here(settings.sqlite_file):
        response = await client.get("/health")
        assert response.json()["database"]["reason"] == "No answer within 0.2 seconds."
        assert (await client.get("/api/v1/runs")).status_code == 200
    monkeypatch.setattr(health_checks, "CHECK_TIMEOUT", 30)
    assert (await client.get("/health")).status_code == 200


@on_sqlite
async def test_health_shows_a_file_that_was_replaced(client: httpx.AsyncClient, settings: Settings) -> None:
    """What is written goes to the file that nobody will find again."""
    file = settings.sqlite_file
    assert file is not None
    shutil.copy(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").replace(file)
    response = await client.get("/health")
    assert response.status_code == 503
    assert "replaced" in response.json()["database"]["reason"]


async def test_a_check_that_hangs_is_made_once(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_checks, "CHECK_TIMEOUT", 0.01)
    model = app.state.llm
    calls: list[None] = []
    check = model.check

    async def counted() -> None:
        calls.append(None)
        await check()

    monkeypatch.setattr(model, "check", counted)
    model.answers.clear()
    await asyncio.gather(*(client.get("/health") for _ in range(5)))
    assert (await client.get("/health")).status_code == 503
    assert len(calls) == 1
    model.answers.set()
    monkeypatch.setattr(health_checks, "CHECK_TIMEOUT", 30)
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/health")).status_code == 200
    assert len(calls) >= 2


@on_sqlite
async def test_nothing_is_accepted_while_the_databases_file_is_gone(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    """What SQLite would still write to it is lost with it; once it is back, all is as before."""
    brand = (await client.post("/api/v1/brands", json={"name": "Acme"})).json()["id"]
    assert settings.sqlite_file is not None
    away = settings.sqlite_file.rename(settings.sqlite_file.with_suffix(".away"))
    requests: list[tuple[str, str, object]] = [("POST", START, BRIEF), ("POST", "/api/v1/brands", {"name": "Borealis"})]
    requests += [("PATCH", f"/api/v1/brands/{brand}", {"tone": "dry"}), ("DELETE", f"/api/v1/brands/{brand}", None)]
    for method, path, body in requests:
        response = await client.request(method, path, json=body)
        assert response.status_code == 503, (method, path)
    assert (await client.get("/api/v1/runs")).status_code == 200
    away.rename(settings.sqlite_file)
    assert (await client.get("/api/v1/runs")).json()["total"] == 0
    assert (await client.post(START, json=BRIEF)).status_code == 202
