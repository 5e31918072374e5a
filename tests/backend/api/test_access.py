"""With keys set, the API and its pages are for their holders; monitoring systems need none."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.api import EdgeMiddleware
from app.api.keyring import open_keyring
from app.settings import Settings
from events import access_refused
from tests.backend.api.conftest import BRIEF, START
from tests.support.limited_server import serving

KEY = "alices-long-key-0001"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    app.state.keyring = keyring = open_keyring(Settings(api_keys=f"alice:{KEY},bob:another-long-key-02"))
    app.add_middleware(EdgeMiddleware, hosts=[], keyring=keyring, max_body=1000, receive_timeout=10.0)
    async with (
        serving(app) as served,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as opened,
    ):
        yield opened


async def test_without_a_valid_key_nothing_of_the_api_is_served(client: httpx.AsyncClient) -> None:
    with access_refused.captured() as refused:
        for path in ("/api/v1/runs", "/openapi.json", "/docs", "/", "/nowhere", "/health/other", "/metrics/x"):
            for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "sparklio_session=1.2"}):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert "/login" in answer.json()["detail"]
        assert (await client.post(START, json=BRIEF)).status_code == 401
    assert {event.reason for event in refused} == {"key"}
    assert len(refused) == 22


async def test_a_key_opens_the_api(client: httpx.AsyncClient) -> None:
    for key in (KEY, "another-long-key-02"):
        answer = await client.post(START, json=BRIEF, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 202


async def test_health_checks_need_no_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200
    assert (await client.get("/health")).status_code == 200


async def test_a_browser_logs_in_by_the_form(client: httpx.AsyncClient) -> None:
    as_browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    own = str(client.base_url).rstrip("/")
    for path, login in (("/", "/login"), ("/docs", "/login?page=docs"), ("/api/v1/runs", "/login")):
        sent_on = await client.get(path, headers=as_browser)
        assert (sent_on.status_code, sent_on.headers["location"]) == (303, login)
    form = await client.get("/login", headers=as_browser)
    assert (form.status_code, 'type="password"' in form.text) == (200, True)
    wrong = await client.post("/login", data={"key": "wrong"}, headers={"origin": own})
    assert (wrong.status_code, "The key is not valid." in wrong.text) == (401, True)
    assert "set-cookie" not in wrong.headers
    foreign = await client.post("/login", data={"key": KEY}, headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403

    opened = await client.post("/login", data={"key": KEY}, headers={"origin": own})
    assert (opened.status_code, opened.headers["location"]) == (303, "./")
    attributes = {part.strip().lower() for part in opened.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=604800"} <= attributes
    assert (await client.get("/", headers=as_browser)).status_code == 200
    assert (await client.post(START, json=BRIEF, headers={"origin": own})).status_code == 202
    assert (await client.post(START, json=BRIEF, headers={"origin": "http://evil.example"})).status_code == 403
    assert (await client.get("/", headers={"authorization": "Bearer wrong"})).status_code == 401


@pytest.mark.parametrize(
    ("page", "then"), [("live", "./live"), ("", "./"), ("//evil.example", "./"), ('"><b>', "./"), ("../x", "./")]
)
async def test_a_login_leads_back_to_the_page_that_was_asked_for_and_nowhere_else(
    client: httpx.AsyncClient, page: str, then: str
) -> None:
    own = {"origin": str(client.base_url).rstrip("/")}
    form = await client.get("/login", params={"page": page})
    assert ('name="page"' in form.text) == (page == "live")
    assert "evil" not in form.text
    wrong = await client.post("/login", data={"key": "wrong", "page": page}, headers=own)
    assert ('name="page"' in wrong.text) == (page == "live")
    opened = await client.post("/login", data={"key": KEY, "page": page}, headers=own)
    assert (opened.status_code, opened.headers["location"]) == (303, then)


@pytest.mark.parametrize("body", [b"", b"key", b"key=%ff%00", b"\xff\xfe", b"key="])
async def test_a_login_without_a_key_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/login", content=body, headers=form)).status_code == 401


async def test_every_page_and_answer_has_its_security_headers(client: httpx.AsyncClient) -> None:
    authorization = {"authorization": f"Bearer {KEY}"}
    for path in ("/", "/docs", "/login"):
        page = await client.get(path, headers=authorization)
        assert page.status_code == 200
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert "unsafe-inline" not in page.headers["content-security-policy"] or path == "/docs"
    for path in ("/api/v1/runs", "/health/live", "/nowhere", "/openapi.json"):
        for headers in (authorization, {}, {"host": "evil.example"}):
            answer = await client.get(path, headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
