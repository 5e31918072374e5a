"""An event that the garbage collector emits while another one makes its series is counted, and waits for nothing."""

from __future__ import annotations

import gc
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry

from events import llm_called
from metrics import CATALOGUE, subscribe
from tests.support.samples import samples

MODELS = [f"model {number}" for number in range(100)]


def call(model: str) -> None:
    llm_called.emit(model=model, status="success", duration=1.0, prompt_tokens=10, completion_tokens=2)


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["another", "the same"])
def test_an_event_in_the_middle_of_another_one_is_counted(registry: CollectorRegistry, inner: str) -> None:
    nested: list[str] = []
    current: list[str] = []

    def emit_inside(phase: str, _info: dict[str, int]) -> None:
        if phase == "start" and current and len(nested) < 500:
            model = current[0] if inner == "the same" else f"inner {len(nested)}"
            nested.append(model)
            call(model)

    def emit_all() -> None:
        threshold = gc.get_threshold()
        gc.callbacks.append(emit_inside)
        gc.set_threshold(7)
        try:
            for model in MODELS:
                current[:] = [model]
                call(model)
        finally:
            current.clear()
            gc.set_threshold(*threshold)
            gc.callbacks.remove(emit_inside)

    with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"model": 2_000}):
        thread = Thread(target=emit_all, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "it waits for itself"
        assert nested
        counted = sum(value for _, value in samples(registry, "llm_requests_total"))
    assert counted == len(MODELS) + len(nested)
