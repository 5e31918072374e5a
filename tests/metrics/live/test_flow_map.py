"""The map: what feeds what, and who listens."""

from __future__ import annotations

from functools import partial

from events import LLMCalled, background, llm_called, tool_called, workflow_finished
from metrics import CATALOGUE, LABEL_LIMITS, Subscription
from metrics.live import FlowMap, Listener
from metrics.live.flow_map import connected_listeners


class Ledger:
    def store(self, event: LLMCalled) -> None: ...


def test_rows_say_which_signals_feed_an_instrument_and_how_many_series_it_may_have() -> None:
    listener = Listener("store", "direct", ("llm_called",), ("store",))
    counts, series, failures = {"llm_called": 7}, {"acme_llm_tokens_total": 4}, {"store": 2}
    drawn = FlowMap(CATALOGUE, "acme", LABEL_LIMITS).describe(
        [listener], counts=counts, series=series, failures=failures
    )
    instruments = {each["family"]: each for each in drawn["instruments"]}
    assert len(instruments) == len(drawn["instruments"]) == len({row.name for row in CATALOGUE})
    tokens = instruments["acme_llm_tokens_total"]
    assert tokens["signals"] == ["llm_called", "llm_usage_billed"]
    assert (tokens["signal"], tokens["type"], tokens["group"]) == ("llm_called", "counter", "llm")
    assert tokens["labels"] == ["model", "token_type"]
    assert tokens["limit"] > 2
    assert instruments["acme_active_workflows"]["signals"] == [
        "workflow_started", "workflow_resumed", "workflow_finished", "workflow_released",
    ]  # fmt: skip
    assert instruments["acme_events_total"]["signals"] == ["*"]
    signals = {each["name"]: each["group"] for each in drawn["signals"]}
    assert (signals["llm_called"], signals["workflow_finished"], signals["pool_read"]) == (
        "llm", "workflows", "database",
    )  # fmt: skip
    assert {signal for each in instruments.values() for signal in each["signals"]} <= {"*", *signals}
    assert drawn["listeners"] == [{"name": "store", "kind": "direct", "signals": ["llm_called"], "failures": 2}]
    assert {each["name"]: each["count"] for each in drawn["signals"] if each["count"]} == counts
    assert {family: each["series"] for family, each in instruments.items() if each["series"]} == series


def test_whoever_is_connected_is_on_it(subscription: Subscription) -> None:
    """The metrics, a method, a partial, and one in a thread of its own that is connected to two signals."""

    def audit(event: object) -> None: ...

    ledger = Ledger()
    taken = partial(audit)
    with (
        background(audit) as behind,
        llm_called.connected_to(ledger.store),
        tool_called.connected_to(taken),
        workflow_finished.connected_to(behind),
        llm_called.connected_to(behind),
    ):
        first, *others = connected_listeners(lambda receiver: type(receiver).__name__)
        found = {each.name: each for each in others}
    assert (first.name, first.kind, first.receivers) == ("metrics", "metrics", ("metrics",))
    assert len(first.signals) > 40
    assert found["Background"].kind == "background"
    assert found["Background"].signals == ("llm_called", "workflow_finished")
    assert found["Background"].receivers == (audit.__qualname__,)
    assert (found["method"].kind, found["method"].receivers) == ("direct", ("Ledger.store",))
    assert (found["partial"].signals, found["partial"].receivers) == (("tool_called",), (audit.__qualname__,))
