"""A method that a path does not have is answered with all that it has."""

from __future__ import annotations

import httpx
import pytest

from .conftest import on_sqlite


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/brands", {"GET", "POST"}),
        ("PUT", "/api/v1/brands/1", {"GET", "PATCH", "DELETE"}),
        ("DELETE", "/api/v1/runs/one", {"GET"}),
        ("GET", "/api/v1/runs/one/cancel", {"POST"}),
        ("DELETE", "/health", {"GET"}),
    ],
)
async def test_a_405_names_all_methods_of_the_path(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    assert response.json() == {"detail": "Method Not Allowed"}


@on_sqlite
async def test_an_unknown_path_is_answered_as_ever(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere")
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
