"""Listeners that raise, never return or flood hurt nobody, and what they lose is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import studio_with_bad_listeners
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.studio import StudioProcess
from tests.support.studio_with_bad_listeners import FLOOD, ROOM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RUNS = 12


def test_bad_listeners_hurt_no_run_no_page_and_no_number(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with OpenAIServer(matching_reply) as server:
        studio = StudioProcess(tmp_path, free_port(), llm="openai:gpt-4o-mini", llm_base_url=server.base_url)
        studio.module = studio_with_bad_listeners.__name__
        with studio:
            check_numbers(studio, server)
    assert "canary" not in studio.output
    assert studio.process.poll() == 0


def check_numbers(studio: StudioProcess, server: OpenAIServer) -> None:
    """Run workflows, and compare what the studio counted with what it did."""
    runs = [studio.wait_for_end(run_id) for run_id in [studio.submit("product_content") for _ in range(RUNS)]]
    assert {run["status"] for run in runs} == {"completed"}
    for path in ("/", "/live", "/health", "/api/v1/runs"):
        assert studio.client.get(path).status_code == 200, path
    calls = studio.total("llm_requests_total")
    assert calls == server.tally.requests == sum(run["llm_calls"] for run in runs)
    # One event is under way in each listener that never returns, and ten wait for it.
    assert studio.total("events_dropped_total", signal="llm_called") == calls - ROOM - 1
    assert studio.total("events_dropped_total", signal="flood_emitted") == FLOOD * calls - ROOM - 1
    assert studio.total("receiver_failures_total", receiver="raises") == calls
