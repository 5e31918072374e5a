"""Workflows are listed, and a run of one is started with a brief within its bounds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.workflows.definitions import WORKFLOWS
from tests.backend.api.conftest import BRIEF, START, on_sqlite

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("brief", [BRIEF, {}], ids=["a brief", "no brief"])
async def test_the_error_of_an_unknown_workflow_lists_the_workflows(
    client: httpx.AsyncClient, brief: dict[str, object]
) -> None:
    response = await client.post("/api/v1/workflows/poetry/runs", json=brief)
    assert response.status_code == 404
    assert all(name in response.json()["detail"] for name in ["poetry", *WORKFLOWS])
    assert (await client.get("/api/v1/brands")).json()["total"] == 0


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"brand": ""}, "brand"),
        ({"brand": "   "}, "brand"),
        ({"brand": "x" * 121}, "brand"),
        ({"brand": "a\nb"}, "brand"),
        ({"brand": "a\x00b"}, "brand"),
        ({"brand": None}, "brand"),
        ({"product": "x" * 201}, "product"),
        ({"product": 7}, "product"),
        ({"audience": "x" * 201}, "audience"),
        ({"features": ["x"] * 11}, "features"),
        ({"features": ["x" * 101]}, "features"),
        ({"features": [" "]}, "features"),
        ({"features": "noise cancelling"}, "features"),
        ({"feature": ["misspelt"]}, "feature"),
    ],
)
async def test_an_invalid_brief_is_refused_with_the_invalid_field(
    client: httpx.AsyncClient, changed: Any, where: str
) -> None:
    response = await client.post(START, json={**BRIEF, **changed})
    assert response.status_code == 422
    assert [one["loc"][1] for one in response.json()["detail"]] == [where]
    assert (await client.get("/api/v1/runs")).json()["total"] == 0


@on_sqlite
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"brand": "\xff"}', b'{"brand": "\\ud800"}', b'{"brand\\ud800": 1}', b"[" * 100_000]
)
async def test_a_malformed_body_is_refused_with_a_message(client: httpx.AsyncClient, body: bytes) -> None:
    """Nothing that a client sends ends in an error of ours."""
    response = await client.post(START, content=body, headers={"content-type": "application/json"})
    assert response.status_code in {400, 422}
    assert response.json()["detail"]


async def test_the_longest_brief_is_accepted_and_stripped(client: httpx.AsyncClient) -> None:
    longest: dict[str, Any] = {
        "brand": f"  {'ü' * 120} ",
        "product": "🎧" * 200,
        "features": ["é" * 100] * 10,
        "audience": "a" * 200,
    }
    accepted = await client.post(START, json=longest)
    assert accepted.status_code == 202
    found = (await client.get(accepted.headers["location"])).json()
    assert found["brand"] == "ü" * 120
    assert found["brief"]["product"] == "🎧" * 200


async def test_workflows_are_listed_with_their_steps(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/v1/workflows")).json()
    assert [workflow["name"] for workflow in page["items"]] == list(WORKFLOWS)
    campaign = next(workflow for workflow in page["items"] if workflow["name"] == "campaign")
    assert campaign["description"]
    assert [(step["name"], step["agent_name"], step["stage"]) for step in campaign["steps"]] == [
        ("strategist", "strategist", 1),
        ("copywriter", "copywriter", 2),
        ("copywriter_2", "copywriter", 2),
        ("reviewer", "reviewer", 3),
    ]
