"""A test of the shop, by the fixtures that sparklio has for pytest. ``pytest`` runs it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sparklio.metrics.testing import CapturedEvents, SampleValue

from shop import app, client, order_placed


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Return a client of the shop, which has an empty database and no model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "base_url", "http://127.0.0.1:9/v1")
    return TestClient(app)


def test_an_order_is_counted_though_no_model_answers(
    browser: TestClient, events_captured: CapturedEvents, sample_value: SampleValue
) -> None:
    with browser:
        placed = browser.post("/orders", json={"product": "chair", "country": "KR"})
    assert placed.json() == {"id": 1, "price": 90.0, "thanks": "Thank you for your order."}
    assert [event.order_id for event in events_captured[order_placed]] == ["1"]
    assert sample_value("orders_total", {"product": "chair", "country": "KR"}) == 1
    assert sample_value("revenue_usd_total", {"product": "chair"}) == 90
    failed = {"model": "gpt-4o-mini", "provider": "openai-compatible", "status": "error"}
    assert sample_value("llm_requests_total", failed) == 1
