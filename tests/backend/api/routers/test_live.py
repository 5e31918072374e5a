"""The live numbers are read by what the composition root puts there, and refused where they are switched off."""

from __future__ import annotations

import threading
from typing import Any

import httpx
from fastapi import FastAPI

from tests.backend.api.conftest import on_sqlite

PAGE: dict[str, Any] = {"server": {"version": "1"}, "tiles": [], "history": {"times": [1.5], "values": {}}}


class Numbers:
    def __init__(self) -> None:
        self.threads: list[str] = []

    def page(self) -> dict[str, Any]:
        self.threads.append(threading.current_thread().name)
        return PAGE


@on_sqlite
async def test_a_page_is_read_off_the_event_loop_and_kept_by_nobody(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.live_numbers = numbers = Numbers()
    answer = await client.get("/api/v1/live")
    assert (answer.status_code, answer.json()) == (200, PAGE)
    assert answer.headers["cache-control"] == "no-store"
    assert numbers.threads != [threading.current_thread().name]


@on_sqlite
async def test_where_it_is_switched_off_the_answer_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/live")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "There are no live numbers: SPARKLIO_LIVE is off."}
