"""Runs are read, listed page by page, and cancelled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.database import Database, Step
from app.database.repositories import attempts, runs
from tests.backend.api.conftest import BRIEF, BRIEF_WITHOUT_BRAND, START, on_sqlite


async def test_a_started_run_can_be_read(client: httpx.AsyncClient, database: Database) -> None:
    """From the brief to the finished run, as a client sees it."""
    accepted = await client.post(START, json=BRIEF)
    assert accepted.status_code == 202
    run_id = accepted.json()["run_id"]
    assert accepted.json() == {
        "run_id": run_id,
        "workflow_type": "product_content",
        "brand": "Acme Audio",
        "status": "queued",
    }
    assert accepted.headers["location"] == f"/api/v1/runs/{run_id}"

    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    usage: dict[str, Any] = {"llm_calls": 2, "prompt_tokens": 30, "completion_tokens": 12, "cost": 0.25}
    async with database.session() as session, session.begin():
        await runs.mark_running(session, run_id, moment)
        step: dict[str, Any] = {
            "position": 0,
            "name": "copywriter",
            "agent_name": "copywriter",
            "status": "success",
            "error": None,
        }
        output = {"text": "Hear less."}
        done: dict[str, Any] = {"output": output, "started_at": moment, "duration": 1.5, **usage}
        await attempts.save_step(session, Step(run_id=run_id, **step, **done))
        await runs.mark_finished(session, run_id, "completed", None, output, moment)

    found = (await client.get(accepted.headers["location"])).json()
    assert found.pop("queued_at").endswith("Z")
    assert found == {
        "run_id": run_id,
        "workflow_type": "product_content",
        "brand": "Acme Audio",
        "status": "completed",
        "error": None,
        "started_at": "2030-01-02T03:04:05Z",
        "finished_at": "2030-01-02T03:04:05Z",
        "llm_calls": 2,
        "tokens": {"prompt": 30, "completion": 12, "total": 42},
        "cost": 0.25,
        "brief": BRIEF_WITHOUT_BRAND,
        "steps": [
            {
                **step,
                "output": {"text": "Hear less."},
                "started_at": "2030-01-02T03:04:05Z",
                "duration": 1.5,
                "llm_calls": 2,
                "tokens": {"prompt": 30, "completion": 12, "total": 42},
                "cost": 0.25,
            }
        ],
        "output": {"text": "Hear less."},
    }


async def test_an_unknown_run_is_not_found(client: httpx.AsyncClient) -> None:
    for response in (
        await client.get("/api/v1/runs/nothing"),
        await client.get("/api/v1/runs/%00%ff"),
        await client.post("/api/v1/runs/nothing/cancel"),
    ):
        assert response.status_code == 404
        assert "GET /api/v1/runs lists them" in response.json()["detail"]


@pytest.mark.slow
async def test_a_run_is_cancelled_once(client: httpx.AsyncClient) -> None:
    run_id = (await client.post(START, json=BRIEF)).json()["run_id"]
    first = await client.post(f"/api/v1/runs/{run_id}/cancel")
    second = await client.post(f"/api/v1/runs/{run_id}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert second.status_code == 409
    assert f"Run {run_id} is cancelled" in second.json()["detail"]


@pytest.mark.slow
async def test_pages_have_every_run_once(client: httpx.AsyncClient) -> None:
    ids = [(await client.post(START, json=BRIEF)).json()["run_id"] for _ in range(5)]
    await client.post("/api/v1/workflows/campaign/runs", json=BRIEF)
    await client.post(f"/api/v1/runs/{ids[0]}/cancel")
    asked: dict[str, Any] = {"workflow_type": "product_content", "limit": 2}
    pages = [(await client.get("/api/v1/runs", params={**asked, "offset": at})).json() for at in (0, 2, 4, 6)]
    assert [item["run_id"] for page in pages for item in page["items"]] == ids[::-1]
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}
    assert [page["offset"] for page in pages] == [0, 2, 4, 6]
    cancelled = (await client.get("/api/v1/runs", params={"status": "cancelled"})).json()
    assert [item["run_id"] for item in cancelled["items"]] == [ids[0]]


@on_sqlite
async def test_the_error_of_an_unknown_status_lists_the_statuses(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/runs", params={"status": "sleeping"})
    assert response.status_code == 422
    assert "'queued', 'running', 'completed'" in response.json()["detail"][0]["msg"]
