"""Series of gauges that expire, labels with defaults, infos, and labels that stand alone and nested."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge

from events import llm_attempted, llm_called
from metrics import LLM, subscribe
from metrics.subscription import expiry
from metrics.subscription.expiry import Expiry
from metrics.subscription.label_limits import LabelLimiter
from tests.support.samples import samples


def remaining(registry: CollectorRegistry) -> dict[str, float]:
    return {labels["model"]: value for labels, value in samples(registry, "llm_rate_limit_remaining")}


def attempt(model: str, left: int | None) -> None:
    llm_attempted.emit(model=model, provider="openai", outcome="success", duration=1.0, remaining_requests=left)


def test_a_limit_that_is_used_up_stays_beside_another_models(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="sparklio"):
        attempt("gpt-4o", 0)
        attempt("gpt-4o-mini", 29_999)
        assert remaining(registry) == {"gpt-4o": 0, "gpt-4o-mini": 29_999}


def test_a_limit_goes_once_nothing_was_heard_of_it(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(expiry, "monotonic", lambda: now)
    with subscribe(LLM, registry, namespace="sparklio"):
        attempt("silent", 5)
        attempt("busy", 5)
        now += 500
        attempt("busy", None)  # an attempt that failed says nothing, and what was known is known
        attempt("busy", 4)
        assert remaining(registry) == {"silent": 5, "busy": 4}
        now += 101
        assert remaining(registry) == {"busy": 4}
        attempt("silent", 3)
        assert remaining(registry) == {"silent": 3, "busy": 4}


def test_a_series_goes_at_its_deadline_and_one_without_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(expiry, "monotonic", lambda: now)
    left, series = Gauge("left", "l", ["of"], registry=None), Expiry()

    def shown_at(elapsed: float) -> set[str]:
        nonlocal now
        now = 1000.0 + elapsed
        series.remove_expired(left)
        return {sample.labels["of"] for family in left.collect() for sample in family.samples}

    left.labels("stays").set(1)
    for name, seconds in (("short", 10.0), ("long", 20.0)):
        series.set(left, (name,), 1, seconds)
    assert shown_at(9.0) == {"short", "long", "stays"}
    assert shown_at(10.0) == {"long", "stays"}
    series.set(left, ("long",), 2, 20.0)
    assert shown_at(29.0) == {"long", "stays"}
    assert shown_at(30.0) == shown_at(1e9) == {"stays"}


def test_an_error_without_a_type_is_other_and_an_answer_without_a_reason_unknown(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="sparklio"):
        for status in ("error", "timeout", "cancelled", "success"):
            llm_called.emit(model="m", status=status, duration=1.0)
        errors = {labels["error_type"]: value for labels, value in samples(registry, "llm_errors_total") if value}
        reasons = {labels["reason"]: value for labels, value in samples(registry, "llm_finish_reasons_total") if value}
    assert errors == {"other": 1, "timeout": 1, "cancelled": 1}
    assert reasons == {"unknown": 1}


def test_a_label_has_as_much_room_nested_as_it_has_alone() -> None:
    limiter = LabelLimiter({"model": 2})
    assert [limiter.admit("model", each, "openai") for each in ("a", "b", "c")] == ["a", "b", "other"]
    assert [limiter.admit("model", each) for each in ("a", "b", "c")] == ["a", "b", "other"]
    assert limiter.admit("model", "a", "azure") == "other"
