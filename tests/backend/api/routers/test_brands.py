"""Brands are created, read, changed and deleted."""

from __future__ import annotations

import httpx
import pytest

from tests.backend.api.conftest import BRIEF, START

pytestmark = pytest.mark.slow


async def test_a_brand_is_created_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    """Stored, found, changed, forgotten."""
    stored = await client.post("/api/v1/brands", json={"name": " Acme ", "tone": "dry"})
    assert stored.status_code == 201
    place = stored.headers["location"]
    assert place == f"/api/v1/brands/{stored.json()['id']}"
    changed = await client.patch(place, json={"tone": "warm", "description": "Two\nlines", "name": None})
    assert changed.status_code == 200
    found = (await client.get(place)).json()
    assert found == changed.json()
    assert (found["name"], found["tone"], found["description"], found["audience"]) == ("Acme", "warm", "Two\nlines", "")
    assert found["created_at"].endswith("Z")
    assert (await client.get("/api/v1/brands")).json()["items"] == [found]
    forgotten = await client.delete(place)
    assert (forgotten.status_code, forgotten.content) == (204, b"")
    for gone in (await client.get(place), await client.delete(place), await client.patch(place, json={"tone": "x"})):
        assert gone.status_code == 404
        assert "GET /api/v1/brands lists them" in gone.json()["detail"]


async def test_a_taken_name_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/brands", json={"name": "Acme"})
    place = (await client.post("/api/v1/brands", json={"name": "Other"})).headers["location"]
    for response in (
        await client.post("/api/v1/brands", json={"name": "Acme"}),
        await client.patch(place, json={"name": "Acme"}),
    ):
        assert response.status_code == 409
        assert "'Acme' is there already" in response.json()["detail"]


async def test_a_brand_with_runs_cannot_be_deleted(client: httpx.AsyncClient) -> None:
    await client.post(START, json=BRIEF)
    brand = (await client.get("/api/v1/brands")).json()["items"][0]
    response = await client.delete(f"/api/v1/brands/{brand['id']}")
    assert response.status_code == 409
    assert "has runs" in response.json()["detail"]


async def test_a_brand_id_out_of_bounds_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/brands/2147483647")).status_code == 404
    for brand_id in (0, -1, 2**31, 10**40, "x"):
        assert (await client.get(f"/api/v1/brands/{brand_id}")).status_code == 422
