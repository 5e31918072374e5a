"""A login may be tried some times a minute, and a session may be ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI

from app.api import EdgeMiddleware
from app.api.keyring import open_keyring
from app.settings import Settings
from events import limit_reached

KEY = "alices-long-key-0001"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NewClient = Callable[[str], httpx.AsyncClient]


@pytest.fixture
async def new_client(app: FastAPI) -> AsyncIterator[NewClient]:
    """Return a function that returns a client with an address of its own."""
    app.state.keyring = keyring = open_keyring(Settings(api_keys=f"alice:{KEY}"))
    app.add_middleware(EdgeMiddleware, hosts=[], keyring=keyring, max_body=1000, receive_timeout=10.0)
    async with AsyncExitStack() as clients:

        def create(address: str) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app, client=(address, 1234))
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
            clients.push_async_callback(client.aclose)
            return client

        yield create


async def test_the_eleventh_wrong_key_of_an_address_in_a_minute_is_refused_and_so_is_a_right_one(
    new_client: NewClient,
) -> None:
    client = new_client("192.0.2.7")
    with limit_reached.captured() as reached:
        for _ in range(10):
            assert (await client.post("/login", data={"key": "wrong"})).status_code == 401
        for key in ("wrong", KEY):
            refused = await client.post("/login", data={"key": key})
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert f"try again in {refused.headers['retry-after']} seconds" in refused.text
            assert "set-cookie" not in refused.headers
    assert [event.limit for event in reached] == ["login_attempts"] * 2
    assert (await new_client("192.0.2.8").post("/login", data={"key": KEY})).status_code == 303
    # A program with a key is no login.
    assert (await client.get("/api/v1/runs", headers={"authorization": f"Bearer {KEY}"})).status_code == 200


async def test_a_right_key_is_no_attempt(new_client: NewClient) -> None:
    client = new_client("192.0.2.9")
    for _ in range(20):
        assert (await client.post("/login", data={"key": KEY})).status_code == 303


async def test_a_session_ends_with_a_logout(new_client: NewClient) -> None:
    client = new_client("192.0.2.10")
    assert "Log out" not in (await client.get("/", headers={"authorization": f"Bearer {KEY}"})).text
    await client.post("/login", data={"key": KEY})
    assert 'action="logout"' in (await client.get("/")).text
    ended = await client.post("/logout", headers={"origin": "http://localhost"})
    assert (ended.status_code, ended.headers["location"]) == (303, "./login")
    attributes = {part.strip().lower() for part in ended.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=0"} <= attributes
    assert not client.cookies
    assert (await client.get("/")).status_code == 401


async def test_no_other_site_and_no_link_ends_a_session(new_client: NewClient) -> None:
    client = new_client("192.0.2.11")
    await client.post("/login", data={"key": KEY})
    assert (await client.post("/logout", headers={"origin": "http://evil.example"})).status_code == 403
    assert (await client.get("/logout")).status_code == 405
    assert (await client.get("/")).status_code == 200


async def test_a_logout_without_a_session_leads_to_the_login(new_client: NewClient) -> None:
    assert (await new_client("192.0.2.12").post("/logout")).headers["location"] == "./login"
