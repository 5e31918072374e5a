"""Secrets, briefs and answers with a canary in each: none of them is logged, measured, or told to a stranger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, fails, says, sends
from tests.support.postgresql import postgresql_server
from tests.support.studio import StudioProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

KEYS = {name: f"canary-{name}-0123456789" for name in ("alice", "metrics", "provider", "query", "cookie", "wrong")}
BRIEF = {
    "brand": "Canary brand",
    "product": "canary product",
    "features": ["canary feature"],
    "audience": "canary audience",
}
START = "/api/v1/workflows/product_content/runs"


def reply(request: ChatRequest) -> Reply:
    """Answer each workflow in its own way, which is in the brief."""
    prompt = str(request.messages)
    if "refused" in prompt:
        return fails(400, "canary in an error: your prompt was ...")
    if "garbage" in prompt:
        return sends(b'data: {"canary in garbage": \n\ndata: [DONE]\n\n', "text/event-stream")
    if "shapeless" in prompt:
        return says("canary that fits no schema")
    answer = matching_reply(request)
    return says("A canary in an answer.") if answer.text and not answer.text.startswith("{") else answer


def test_no_canary_gets_out(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["provider"])
    with (
        OpenAIServer(reply) as server,
        StudioProcess(
            tmp_path,
            free_port(),
            llm="openai:gpt-4o-mini",
            llm_base_url=server.base_url,
            llm_retries=0,
            log_level="debug",
            api_keys=f"alice:{KEYS['alice']}",
            metrics_token=KEYS["metrics"],
        ) as studio,
    ):
        strangers: list[httpx.Response] = []

        def stranger(method: str, path: str, **options: object) -> None:
            strangers.append(httpx.request(method, studio.url + path, **options))  # type: ignore[arg-type]

        studio.client.headers["authorization"] = f"Bearer {KEYS['alice']}"
        for fault in ("", " refused", " garbage", " shapeless"):
            run_id = studio.submit("product_content", **{**BRIEF, "product": f"canary product{fault}"})
            run = studio.wait_for_end(run_id)
            assert (run["status"] == "completed") == (fault == ""), run
            assert "canary" not in str(run["error"]).lower()
        studio.client.post(START, json={**BRIEF, "canary": "canary"})
        studio.client.post(START, content=b'{"brand": "canary', headers={"content-type": "application/json"})
        studio.client.get(f"/api/v1/runs?status={KEYS['query']}&canary={KEYS['query']}")

        for path in ("/", "/api/v1/runs", "/health", "/metrics", "/login", f"/metrics?token={KEYS['query']}"):
            stranger("GET", path, headers={"authorization": f"Bearer {KEYS['wrong']}"})
            stranger("GET", path, headers={"cookie": f"sparklio_session={KEYS['cookie']}"})
        stranger("POST", "/login", data={"key": KEYS["wrong"]})
        stranger("POST", START, json=BRIEF)

        # A database that fails in the middle: the driver's text, and what the workflow engine makes of it.
        with closing(sqlite3.connect(tmp_path / "data" / "studio.db")) as database:
            database.execute(
                "CREATE TRIGGER canary BEFORE INSERT ON runs BEGIN SELECT RAISE(FAIL, 'canary of a driver'); END"
            )
            database.commit()
        failed = studio.client.post(START, json=BRIEF)
        assert failed.status_code >= 500
        strangers.append(failed)

        scraped = httpx.get(f"{studio.url}/metrics", headers={"authorization": f"Bearer {KEYS['metrics']}"})
        assert scraped.status_code == 200
        openmetrics = httpx.get(
            f"{studio.url}/metrics",
            headers={"authorization": f"Bearer {KEYS['metrics']}", "accept": "application/openmetrics-text"},
        )
        studio.stop()
        said = {
            "log": studio.output,
            "metrics": scraped.text + openmetrics.text,
            **{f"{answer.request.method} {answer.url.path} {n}": answer.text for n, answer in enumerate(strangers)},
        }
    assert " DEBUG " in said["log"]
    found = {place: [line for line in text.splitlines() if "canary" in line.lower()] for place, text in said.items()}
    assert {place: lines for place, lines in found.items() if lines} == {}


CONSTRAINTS = (
    "ALTER TABLE runs ADD CONSTRAINT canary CHECK (brief::text NOT LIKE '%canary refused%') NOT VALID",
    "ALTER TABLE steps ADD CONSTRAINT canary CHECK (output IS NULL) NOT VALID",
)


def test_what_postgresql_says_of_a_row_is_not_logged(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors quote the whole row in their DETAIL, and psycopg's message has that: briefs and answers."""
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["provider"])
    with postgresql_server() as address, OpenAIServer(reply) as server:
        url = address.set(drivername="postgresql").render_as_string(hide_password=False)
        settings = {"llm": "openai:gpt-4o-mini", "llm_base_url": server.base_url, "database_url": url}
        with StudioProcess(
            tmp_path, free_port(), log_level="debug", run_requeues=0, sweep_interval=0.2, **settings
        ) as studio:
            with psycopg.connect(url, autocommit=True) as database:
                for statement in CONSTRAINTS:
                    database.execute(statement.encode())
                refused = studio.client.post(START, json={**BRIEF, "product": "canary refused"})
                failed = studio.wait_for_end(studio.submit("product_content", **BRIEF))
                with pytest.raises(psycopg.errors.CheckViolation, match=r"DETAIL: .*canary audience"):
                    database.execute(
                        "UPDATE runs SET brief = jsonb_set(brief::jsonb, '{product}', '\"canary refused\"')"
                    )
            studio.stop()
        log = studio.output
    assert refused.status_code >= 500
    assert failed["status"] == "failed"
    assert "CheckViolation" in log
    assert [line for line in (log + refused.text + str(failed["error"])).splitlines() if "canary" in line.lower()] == []
