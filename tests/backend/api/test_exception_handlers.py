"""The studio's exceptions are answered with a status code and a message."""

from __future__ import annotations

import sqlite3

import httpx
from fastapi import FastAPI

from app.database import Database
from app.settings import Settings
from tests.backend.api.conftest import BRIEF, START, on_sqlite


@on_sqlite
async def test_a_locked_database_is_answered_with_503(
    client: httpx.AsyncClient, settings: Settings, app: FastAPI
) -> None:
    assert settings.sqlite_file is not None
    impatient = Database(Settings(database_url=f"{settings.database_url}?timeout=0.05"))
    async with impatient.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=50")
    app.state.workflows.database = impatient
    other = sqlite3.connect(settings.sqlite_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = await client.post(START, json=BRIEF)
    other.close()
    await impatient.close()
    assert response.status_code == 503
    assert response.json()["detail"].startswith("The database does not answer; try again soon")
    assert response.headers["retry-after"] == "5"
