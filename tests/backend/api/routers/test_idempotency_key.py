"""The Idempotency-Key makes a repeated request give the same run."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.backend.api.conftest import BRIEF, START, on_sqlite

pytestmark = pytest.mark.slow


async def test_a_repeated_request_gives_the_same_run(client: httpx.AsyncClient) -> None:
    """With quotes around the key, as the draft writes it, or without."""
    responses = [
        await client.post(START, json=BRIEF, headers={"Idempotency-Key": key}) for key in ("one", '"one"', "two")
    ]
    assert [response.status_code for response in responses] == [202] * 3
    first, again, other = (response.json()["run_id"] for response in responses)
    assert first == again != other


async def test_concurrent_requests_with_one_key_give_one_run(client: httpx.AsyncClient) -> None:
    """Also when the brand is new to all of them."""
    responses = await asyncio.gather(
        *(client.post(START, json=BRIEF, headers={"Idempotency-Key": "key"}) for _ in range(10))
    )
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["run_id"] for response in responses}) == 1
    assert (await client.get("/api/v1/runs")).json()["total"] == 1
    assert (await client.get("/api/v1/brands")).json()["total"] == 1


@pytest.mark.parametrize("other", [{"brand": "Other"}, {"product": "speakers"}, {"features": []}])
async def test_the_key_of_another_request_is_refused(client: httpx.AsyncClient, other: Any) -> None:
    """422, as the draft standard says, and nothing of the second request is stored."""
    first = await client.post(START, json=BRIEF, headers={"Idempotency-Key": "key"})
    second = await client.post(START, json={**BRIEF, **other}, headers={"Idempotency-Key": "key"})
    elsewhere = await client.post("/api/v1/workflows/campaign/runs", json=BRIEF, headers={"Idempotency-Key": "key"})
    assert [second.status_code, elsewhere.status_code] == [422, 422]
    assert first.json()["run_id"] in second.json()["detail"]
    assert (await client.get("/api/v1/runs")).json()["total"] == 1
    assert (await client.get("/api/v1/brands")).json()["total"] == 1


@on_sqlite
@pytest.mark.parametrize("key", [b"", b"x" * 201, b"\xfc"])
async def test_a_key_out_of_bounds_is_refused(client: httpx.AsyncClient, key: bytes) -> None:
    response = await client.post(START, json=BRIEF, headers=[(b"Idempotency-Key", key)])
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]
