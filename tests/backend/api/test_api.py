"""The API says what it takes, keeps its bounds, and answers every error in words."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import api
from app.api.routers import health, page
from app.database import Database, Run
from app.database.repositories import brands, runs
from app.llm.factory import ModelUnavailable
from app.settings import Settings
from app.workflows.definitions import WORKFLOWS
from app.workflows.service import IdempotencyConflict, RunAlreadyEnded, RunNotFound, WorkflowNotFound

ASKED = {"product": "wireless earbuds", "features": ["noise cancelling"], "audience": "commuters"}
BRIEF: dict[str, Any] = {"brand": "Acme Audio", **ASKED}
START = "/api/v1/workflows/product_content/runs"


class PaperStudio:
    """Takes runs in and cancels them; nobody performs them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def submit(self, workflow_type: str, brand: str, brief: Mapping[str, Any], key: str | None) -> Run:
        if workflow_type not in WORKFLOWS:
            raise WorkflowNotFound(workflow_type)
        try:
            async with self.database.session() as session, session.begin():
                whose = await brands.get_or_create(session, brand)
                return await runs.create(
                    session,
                    run_id=str(uuid.uuid4()),
                    workflow_type=workflow_type,
                    brand_id=whose.id,
                    brief=dict(brief),
                    idempotency_key=key,
                )
        except runs.IdempotencyKeyTaken as taken:
            asked = (taken.run.workflow_type, taken.run.brand.name, taken.run.brief)
            if asked != (workflow_type, brand, brief):
                raise IdempotencyConflict(str(key), taken.run) from None
            return taken.run

    async def cancel(self, run_id: str) -> Run:
        async with self.database.session() as session, session.begin():
            ended = await runs.finish(session, run_id, "cancelled", None, None, datetime.now(UTC))
            run = await runs.get(session, run_id)
        if run is None:
            raise RunNotFound(run_id)
        if not ended:
            raise RunAlreadyEnded(run)
        return run


class PaperModel:
    """A model that only says how it fares."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        await self.answers.wait()
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def app(database: Database) -> FastAPI:
    made = FastAPI()
    api.include(made)
    made.state.database, made.state.llm, made.state.studio = database, PaperModel(), PaperStudio(database)
    return made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://studio") as opened:
        yield opened


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# Runs


async def test_run_is_accepted_and_found(client: httpx.AsyncClient, database: Database) -> None:
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
    spent: dict[str, Any] = {"llm_calls": 2, "prompt_tokens": 30, "completion_tokens": 12, "cost": 0.25}
    async with database.session() as session, session.begin():
        await runs.begin(session, run_id, moment)
        step: dict[str, Any] = {
            "position": 0,
            "name": "copywriter",
            "agent_name": "copywriter",
            "status": "success",
            "error": None,
        }
        output = {"text": "Hear less."}
        done: dict[str, Any] = {"output": output, "started_at": moment, "duration": 1.5, **spent}
        await runs.save_step(session, run_id, **step, **done)
        await runs.finish(session, run_id, "completed", None, output, moment)

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
        "brief": ASKED,
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


@pytest.mark.parametrize("brief", [BRIEF, {}], ids=["a brief", "no brief"])
async def test_unknown_workflow_is_told_with_the_known_ones(
    client: httpx.AsyncClient, brief: dict[str, object]
) -> None:
    answer = await client.post("/api/v1/workflows/poetry/runs", json=brief)
    assert answer.status_code == 404
    assert all(name in answer.json()["detail"] for name in ["poetry", *WORKFLOWS])
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
async def test_bad_brief_is_refused_where_it_is_bad(client: httpx.AsyncClient, changed: Any, where: str) -> None:
    answer = await client.post(START, json={**BRIEF, **changed})
    assert answer.status_code == 422
    assert [one["loc"][1] for one in answer.json()["detail"]] == [where]
    assert (await client.get("/api/v1/runs")).json()["total"] == 0


@on_sqlite
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"brand": "\xff"}', b'{"brand": "\\ud800"}', b'{"brand\\ud800": 1}', b"[" * 100_000]
)
async def test_rubbish_is_refused_in_words(client: httpx.AsyncClient, body: bytes) -> None:
    """Nothing that a client sends ends in an error of ours."""
    answer = await client.post(START, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]


async def test_longest_brief_is_taken_and_stripped(client: httpx.AsyncClient) -> None:
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


async def test_unknown_run_is_told(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/api/v1/runs/nothing"),
        await client.get("/api/v1/runs/%00%ff"),
        await client.post("/api/v1/runs/nothing/cancel"),
    ):
        assert answer.status_code == 404
        assert "GET /api/v1/runs lists them" in answer.json()["detail"]


async def test_run_is_cancelled_once(client: httpx.AsyncClient) -> None:
    run_id = (await client.post(START, json=BRIEF)).json()["run_id"]
    first = await client.post(f"/api/v1/runs/{run_id}/cancel")
    second = await client.post(f"/api/v1/runs/{run_id}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert second.status_code == 409
    assert f"Run {run_id} is cancelled" in second.json()["detail"]


async def test_pages_hold_every_run_once(client: httpx.AsyncClient) -> None:
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
@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/brands", "/api/v1/workflows"])
@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}, {"offset": 10**30}])
async def test_page_out_of_bounds_is_refused(client: httpx.AsyncClient, path: str, asked: Any) -> None:
    answer = await client.get(path, params=asked)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", *asked]


@on_sqlite
async def test_unknown_state_is_told_with_the_known_ones(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/runs", params={"status": "sleeping"})
    assert answer.status_code == 422
    assert "'queued', 'running', 'completed'" in answer.json()["detail"][0]["msg"]


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


# Idempotency-Key


async def test_repeated_request_is_the_same_run(client: httpx.AsyncClient) -> None:
    """With quotes around the key, as the draft writes it, or without."""
    answers = [
        await client.post(START, json=BRIEF, headers={"Idempotency-Key": key}) for key in ("one", '"one"', "two")
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    first, again, other = (answer.json()["run_id"] for answer in answers)
    assert first == again != other


async def test_requests_with_one_key_at_once_are_one_run(client: httpx.AsyncClient) -> None:
    """Also when the brand is new to all of them."""
    answers = await asyncio.gather(
        *(client.post(START, json=BRIEF, headers={"Idempotency-Key": "key"}) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert (await client.get("/api/v1/runs")).json()["total"] == 1
    assert (await client.get("/api/v1/brands")).json()["total"] == 1


@pytest.mark.parametrize("other", [{"brand": "Other"}, {"product": "speakers"}, {"features": []}])
async def test_key_of_another_request_is_refused(client: httpx.AsyncClient, other: Any) -> None:
    """422, as the draft has it; and nothing of the second request is kept."""
    first = await client.post(START, json=BRIEF, headers={"Idempotency-Key": "key"})
    second = await client.post(START, json={**BRIEF, **other}, headers={"Idempotency-Key": "key"})
    elsewhere = await client.post("/api/v1/workflows/campaign/runs", json=BRIEF, headers={"Idempotency-Key": "key"})
    assert [second.status_code, elsewhere.status_code] == [422, 422]
    assert first.json()["run_id"] in second.json()["detail"]
    assert (await client.get("/api/v1/runs")).json()["total"] == 1
    assert (await client.get("/api/v1/brands")).json()["total"] == 1


@on_sqlite
@pytest.mark.parametrize("key", [b"", b"x" * 201, b"\xfc"])
async def test_key_out_of_bounds_is_refused(client: httpx.AsyncClient, key: bytes) -> None:
    answer = await client.post(START, json=BRIEF, headers=[(b"Idempotency-Key", key)])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


# Brands


async def test_brand_lives(client: httpx.AsyncClient) -> None:
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


async def test_name_that_is_taken_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/brands", json={"name": "Acme"})
    place = (await client.post("/api/v1/brands", json={"name": "Other"})).headers["location"]
    for answer in (
        await client.post("/api/v1/brands", json={"name": "Acme"}),
        await client.patch(place, json={"name": "Acme"}),
    ):
        assert answer.status_code == 409
        assert "'Acme' is there already" in answer.json()["detail"]


async def test_brand_with_runs_is_kept(client: httpx.AsyncClient) -> None:
    await client.post(START, json=BRIEF)
    brand = (await client.get("/api/v1/brands")).json()["items"][0]
    answer = await client.delete(f"/api/v1/brands/{brand['id']}")
    assert answer.status_code == 409
    assert "has runs" in answer.json()["detail"]


async def test_brand_id_out_of_bounds_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/brands/2147483647")).status_code == 404
    for brand_id in (0, -1, 2**31, 10**40, "x"):
        assert (await client.get(f"/api/v1/brands/{brand_id}")).status_code == 422


# Health


async def test_health_is_good_when_both_parts_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    part = {"status": "ok", "reason": None}
    assert answer.json() == {"status": "ok", "database": part, "model": part}
    assert (await client.get("/health/live")).json() == {"status": "ok"}


@on_sqlite
async def test_health_tells_which_part_is_down(client: httpx.AsyncClient, app: FastAPI, settings: Settings) -> None:
    app.state.llm.problem = ModelUnavailable("The model is not installed; run make setup.")
    assert settings.sqlite_file is not None
    settings.sqlite_file.rename(settings.sqlite_file.with_suffix(".away"))
    answer = await client.get("/health")
    assert answer.status_code == 503
    told = answer.json()
    assert told["status"] == told["database"]["status"] == told["model"]["status"] == "unavailable"
    assert told["model"]["reason"] == "The model is not installed; run make setup."
    assert "the file is gone or read-only" in told["database"]["reason"]
    assert (await client.get("/health/live")).status_code == 200


@on_sqlite
async def test_health_keeps_to_itself_what_an_unexpected_error_says(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.llm.problem = RuntimeError("https://user:geheim@host")
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["model"]["reason"] == "The check itself failed (RuntimeError)."
    assert answer.json()["database"]["status"] == "ok"


@on_sqlite
async def test_health_does_not_wait_for_a_part_that_hangs(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    app.state.llm.answers.clear()
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["model"]["reason"] == "No answer within 0.05 seconds."


async def test_database_that_is_down_is_told_as_such(client: httpx.AsyncClient, database: Database) -> None:
    """503 in words, for whoever asks while the tables are gone."""
    async with database.engine.begin() as connection:
        for table in ("steps", "runs", "brands"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    health = await client.get("/health")
    assert health.status_code == 503
    assert health.json()["database"]["status"] == "unavailable"


@on_sqlite
async def test_locked_database_is_answered_with_503(
    client: httpx.AsyncClient, settings: Settings, app: FastAPI
) -> None:
    assert settings.sqlite_file is not None
    impatient = Database(Settings(database_url=f"{settings.database_url}?timeout=0.05"))
    async with impatient.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=50")
    app.state.studio.database = impatient
    other = sqlite3.connect(settings.sqlite_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = await client.post(START, json=BRIEF)
    other.close()
    await impatient.close()
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("The database does not answer; try again soon")
    assert answer.headers["retry-after"] == "5"


# Description and page


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    paths = app.openapi()["paths"]
    return [(method, path, told) for path, methods in paths.items() for method, told in methods.items()]


def test_every_operation_is_described() -> None:
    """Each has a name of its own, a summary, a description, a tag and the shape of every answer."""
    app = FastAPI()
    api.include(app)
    told = operations(app)
    names = [operation["operationId"] for _, _, operation in told]
    assert len(set(names)) == len(names)
    assert {"start_run", "list_runs", "get_run", "cancel_run", "list_workflows", "health"} <= set(names)
    tags = {tag["name"] for tag in app.openapi()["tags"]}
    for method, path, operation in told:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        for code, answer in operation["responses"].items():
            assert answer["description"], f"{where} {code}"
            assert code == "204" or answer["content"], f"{where} {code}"


def test_codes_that_the_api_answers_with_are_described() -> None:
    app = FastAPI()
    api.include(app)
    codes = {operation["operationId"]: set(operation["responses"]) for _, _, operation in operations(app)}
    assert codes["start_run"] == {"202", "404", "422", "503"}
    assert codes["list_runs"] == {"200", "422", "503"}
    assert codes["get_run"] == {"200", "404", "422", "503"}
    assert codes["cancel_run"] == {"200", "404", "409", "422", "503"}
    assert codes["create_brand"] == {"201", "409", "422", "503"}
    assert codes["delete_brand"] == {"204", "404", "409", "422", "503"}
    assert codes["health"] == {"200", "503"}


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@on_sqlite
async def test_start_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", page)
    parser = _Elements()
    parser.feed(page)
    for tag, attributes in parser.found:
        assert "src" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), "the policy lets no such handler run"
        assert "style" not in attributes, "the policy lets no such style apply"


@on_sqlite
async def test_start_page_writes_no_markup(client: httpx.AsyncClient) -> None:
    """What comes out of models becomes text, never markup; the policy lets nothing but the page's own script run."""
    answer = await client.get("/")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}=';", policy)
    assert "unsafe" not in policy


@on_sqlite
async def test_every_field_of_the_start_page_has_a_label(client: httpx.AsyncClient) -> None:
    parser = _Elements()
    parser.feed((await client.get("/")).text)
    labelled = {attributes["for"] for tag, attributes in parser.found if tag == "label"}
    fields = {attributes["id"] for tag, attributes in parser.found if tag in {"input", "select", "textarea"}}
    assert fields == labelled


@on_sqlite
async def test_every_link_of_the_start_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    parser = _Elements()
    parser.feed((await client.get("/")).text)
    links = {str(attributes["href"]) for tag, attributes in parser.found if tag == "a"}
    assert links == {"docs", "metrics", "health", "api/v1/runs", "api/v1/brands"}
    for link in links - {"metrics"}:  # added where the application is put together
        assert (await client.get(f"/{link}")).status_code == 200


def test_start_page_travels_with_the_package() -> None:
    assert Path(page.__file__).with_name("start_page.html").is_file()
