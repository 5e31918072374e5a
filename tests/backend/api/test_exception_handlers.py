"""The studio's exceptions are answered with a status code and a message."""

from __future__ import annotations

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database import Database
from app.settings import Settings
from app.workflows.workflow_errors import QueueFull
from events import limit_reached
from tests.backend.api.conftest import BRIEF, START, on_sqlite
from tests.support.outages import locked_here


@on_sqlite
async def test_a_locked_database_is_answered_with_503(
    client: httpx.AsyncClient, settings: Settings, app: FastAPI
) -> None:
    assert settings.sqlite_file is not None
    impatient = Database(Settings(database_url=f"{settings.database_url}?timeout=0.05"))
    async with impatient.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=50")
    app.state.workflows.database = impatient
    async with locked_here(settings.sqlite_file):
        response = await client.post(START, json=BRIEF)
    await impatient.close()
    assert response.status_code == 503
    assert response.json()["detail"].startswith("The database does not answer; try again soon")
    assert response.headers["retry-after"] == "5"


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_read_only_database_is_answered_with_503(
    client: httpx.AsyncClient, settings: Settings, app: FastAPI
) -> None:
    """As after a failover, for whoever still has connections to the old primary."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as other:
        name = other.info.dbname
        other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    read_only = Database(settings)
    app.state.workflows.database = read_only
    response = await client.post(START, json=BRIEF)
    await read_only.close()
    assert response.status_code == 503
    assert response.json()["detail"].startswith("The database does not answer; try again soon")


async def test_a_lost_table_is_answered_with_503(client: httpx.AsyncClient, app: FastAPI) -> None:
    async with app.state.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE brands RENAME TO away"))
    for response in (await client.post(START, json=BRIEF), await client.get("/health")):
        assert response.status_code == 503


@on_sqlite
async def test_a_mistake_of_a_statement_is_answered_with_500(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def submit(*_: object) -> None:
        async with app.state.database.session() as session:
            await session.execute(text("INSERT INTO brands (id) VALUES (1)"))

    monkeypatch.setattr(app.state.workflows, "submit", submit)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://studio") as client:
        response = await client.post(START, json=BRIEF)
    assert response.status_code == 500


@on_sqlite
async def test_an_invalid_request_is_told_ten_errors_and_how_many_more_there_are(client: httpx.AsyncClient) -> None:
    unknown = {f"field{number}": number for number in range(25)}
    with limit_reached.captured() as reached:
        response = await client.post(START, json={**BRIEF, **unknown})
    assert response.status_code == 422
    assert len(response.json()["detail"]) == 10
    assert response.json()["omitted"] == 15
    assert [event.limit for event in reached] == ["validation_errors"]

    with limit_reached.captured() as reached:
        response = await client.post(START, json={**BRIEF, "field": 1})
    assert len(response.json()["detail"]) == 1
    assert "omitted" not in response.json()
    assert reached == []


@on_sqlite
@pytest.mark.parametrize("body", [b"\x19\xff\x0e", b'{"brand": "\xe4"}', b'{"brand": ', b"[" * 60_000, b"9" * 60_000])
async def test_a_body_that_is_no_json_in_utf_8_is_invalid(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(START, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["type"] == "json_invalid"
    assert response.json()["detail"][0]["loc"][0] == "body"


@on_sqlite
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_does_not_say_that_it_is_json_is_told_the_header(
    client: httpx.AsyncClient, kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await client.post(START, content=b'{"brand": "Acme"}', headers=headers)
    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["detail"][0]["msg"]


@on_sqlite
async def test_a_failure_is_answered_with_500_on_a_connection_that_is_closed(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(*_: object) -> None:
        raise RuntimeError("a canary")

    monkeypatch.setattr(app.state.workflows, "submit", submit)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://studio") as client:
        response = await client.post(START, json=BRIEF)
    assert (response.status_code, response.headers["connection"]) == (500, "close")
    assert response.json() == {"detail": "The studio failed at this request; its log says where."}


@on_sqlite
async def test_a_full_queue_is_answered_with_429_and_when_to_try_again(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(*_: object) -> None:
        raise QueueFull(3)

    monkeypatch.setattr(app.state.workflows, "submit", submit)
    response = await client.post(START, json=BRIEF)
    assert (response.status_code, response.headers["retry-after"]) == (429, "10")
    assert response.json()["detail"].startswith("3 runs are queued")
