"""The live numbers of running studios: what the API says they did, by the page and by the feed, of all workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from app.api.schemas.live import LiveOut
from tests.support.scripted_studio import scripted_studios
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RUNS = 4


@pytest.fixture
def new_studio(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., StudioProcess]]:
    with scripted_studios(tmp_path, free_port) as make:
        yield make


def page_of(studio: StudioProcess) -> dict[str, Any]:
    """Return a page by a connection of its own, which any worker may take."""
    answer = httpx.get(f"{studio.url}/api/v1/live", timeout=30.0)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def latest(page: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the last values of a tile or a chart."""
    return {series: values[-1] for series, values in page["history"]["values"][name].items()}


def numbers_of(studio: StudioProcess, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first numbers of the feed that are enough; they come once a second."""
    with (
        httpx.Client(timeout=60.0) as client,
        connect_sse(client, "GET", f"{studio.url}/api/v1/events", params={"numbers": "1"}) as feed,
    ):
        for message in feed.iter_sse():
            if message.event == "numbers":
                numbers: dict[str, Any] = message.json()
                if numbers and is_enough(numbers):
                    return numbers
    raise AssertionError("the feed ended")


def test_a_studio_says_what_its_runs_did(new_studio: Callable[..., StudioProcess]) -> None:
    with new_studio() as studio:
        runs = [studio.wait_for_end(studio.submit("product_content")) for _ in range(RUNS)]
        tokens = sum(run["tokens"]["total"] for run in runs)
        assert tokens > 0

        def is_at_rest(found: dict[str, Any]) -> bool:
            """Return whether all has been read since the last run ended: the queue is every few seconds."""
            shown = found["values"]
            return (
                shown["tokens"]["total"] == tokens
                and shown["slots"] == {"active": 0, "slots": 2}
                and shown["queue"] == {"queued": 0, "oldest": 0}
                and len(found["components"]) == 3
            )

        numbers = numbers_of(studio, is_at_rest)
        values = numbers["values"]
        assert values["success"] == {"value": 1}
        assert sum(values["runs_by_status"].values()) == pytest.approx(values["runs"]["value"])
        assert values["run_time"]["value"] > 0
        assert values["wasted"] == {"value": 0}
        assert values["connections"].keys() >= {"main"}
        assert numbers["components"] == {"database": True, "model": True, "workflows": True}
        assert numbers["uptime"] > 0
        assert numbers["signals"]["workflow_finished"] == RUNS

        page = page_of(studio)
        assert LiveOut.model_validate(page, strict=True)
        assert (page["server"]["processes"], page["server"]["slots"]) == (1, 2)
        assert page["server"]["version"] != "unknown"
        listeners = {each["name"]: each for each in page["map"]["listeners"]}
        assert "workflow_finished" in listeners["live_feed"]["signals"]
        assert {each["failures"] for each in listeners.values()} == {0}
        assert page["pipeline"] == []


def test_numbers_are_those_of_all_workers(
    new_studio: Callable[..., StudioProcess], new_postgres: Callable[[], str]
) -> None:
    """Whichever answers."""
    with new_studio(workers=2, database_url=new_postgres(), concurrency=1) as studio:

        def servers() -> set[tuple[int, int]]:
            pages = [page_of(studio) for _ in range(8)]
            return {(page["server"]["processes"], page["server"]["slots"]) for page in pages}

        # The first to be ready has read the numbers without the other's, and does so again after a second.
        wait_until(lambda: servers() == {(2, 2)}, within=5)
        runs = [studio.wait_for_end(run) for run in [studio.submit("product_content") for _ in range(RUNS)]]
        tokens = sum(run["tokens"]["total"] for run in runs)
        for _ in range(4):
            wait_until(lambda: latest(page_of(studio), "tokens")["total"] == tokens, every=0.5)


def test_a_studio_without_a_live_page_has_none(new_studio: Callable[..., StudioProcess]) -> None:
    with new_studio(live="false") as studio:
        assert studio.client.get("/api/v1/live").status_code == 404
