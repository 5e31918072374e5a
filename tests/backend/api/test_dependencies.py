"""The parameters of pages have bounds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.backend.api.conftest import on_sqlite

pytestmark = pytest.mark.slow


@on_sqlite
@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/brands", "/api/v1/workflows"])
@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}, {"offset": 10**30}])
async def test_a_page_out_of_bounds_is_refused(client: httpx.AsyncClient, path: str, asked: Any) -> None:
    response = await client.get(path, params=asked)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", *asked]
