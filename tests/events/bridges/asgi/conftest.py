"""Fixtures that capture the events of requests and websockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import events
from events import HTTPRequestFinished, WebsocketFinished


@pytest.fixture
def requests() -> Iterator[list[HTTPRequestFinished]]:
    with events.http_request_finished.captured() as captured:
        yield captured


@pytest.fixture
def sessions() -> Iterator[list[WebsocketFinished]]:
    with events.websocket_finished.captured() as captured:
        yield captured


@pytest.fixture
def files(tmp_path: Path) -> Path:
    tmp_path.joinpath("a.txt").write_text("a")
    return tmp_path
