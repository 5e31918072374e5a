"""The price list: who sells a model, and that a list is searched once for each until it is replaced."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from events.bridges.model_calls import token_prices
from events.bridges.model_calls.cost import Cost
from events.bridges.model_calls.token_prices import find_model, search_snapshot
from events.bridges.pydantic_ai import own_server, price_list
from events.bridges.pydantic_ai.price_list import list_price, price_context
from events.bridges.pydantic_ai.reported import Reported

USAGE = RequestUsage(input_tokens=1000, output_tokens=10)


class Snapshot:
    """A price list that knows one model of one seller, by its name or its URL, and counts how often it is asked."""

    def __init__(self) -> None:
        self.references: list[tuple[str | None, str | None]] = []

    def find_provider_model(
        self, model: str, _: None, *, provider_id: str | None, provider_api_url: str | None
    ) -> tuple[str, str]:
        self.references.append((provider_id, provider_api_url))
        if model != "known" or (provider_id, provider_api_url) not in {("seller", None), (None, "https://seller")}:
            raise LookupError(model)
        return "seller", model


@pytest.fixture
def snapshot(monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """Put another price list in the place of genai-prices'."""
    installed = Snapshot()
    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", lambda: installed)
    monkeypatch.setattr(token_prices, "_found", {})
    monkeypatch.setattr(token_prices, "_found_in", None)
    return installed


def test_the_parts_of_no_cost_are_all_known_to_be_nothing() -> None:
    """A part that is None would be unknown: the sum of the parts would lack it."""
    for cost in (own_server("p", "m", USAGE), list_price("ollama", "m", USAGE), list_price("vllm", "m", USAGE)):
        assert cost is not None
        assert (float(cost), cost.input, cost.output, cost.cache_read, cost.cache_write) == (0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_part_of_a_cost_that_is_not_named_is_unknown_and_one_of_nothing_is_known() -> None:
    cost = Cost("2.75", input="2", output=0)
    assert (float(cost), cost.input, cost.output, cost.cache_read, cost.cache_write) == (2.75, 2.0, 0.0, None, None)


def test_a_list_is_searched_once_for_each_model_also_for_one_that_it_lacks(snapshot: Snapshot) -> None:
    for _ in range(3):
        assert find_model("known", "seller", None) == ("seller", "known")
        assert find_model("unknown", "seller", None) is None
    assert len(snapshot.references) == 2


def test_a_list_that_was_replaced_is_searched_anew(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model("known", "seller", None) is not None
    replaced = Snapshot()
    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", lambda: replaced)
    for _ in range(2):
        assert find_model("known", "seller", None) is not None
    assert (len(snapshot.references), len(replaced.references)) == (1, 1)


def test_what_was_found_is_kept_in_bounded_number(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_prices, "MAX_FOUND", 3)
    for number in range(10):
        find_model(str(number), "seller", None)
        assert len(token_prices._found) == number % 3 + 1


@pytest.mark.parametrize(
    ("provider", "url", "references", "found"),
    [
        ("seller", "https://seller", [(None, "https://seller")], True),
        ("seller", "https://reseller", [(None, "https://reseller"), ("seller", None)], True),
        ("seller", None, [("seller", None)], True),
        ("stranger", None, [("stranger", None)], False),
        ("openai-compatible", None, [], False),
        ("openai-compatible", "https://seller", [(None, "https://seller")], True),
        ("openai-decisions", "https://seller", [("openai-decisions", None)], False),
        ("", None, [], False),
    ],
)
def test_a_seller_is_found_by_its_url_first_and_then_by_its_name(
    snapshot: Snapshot, provider: str, url: str | None, references: list[Any], found: bool
) -> None:
    assert search_snapshot(snapshot, "known", provider, url) == (("seller", "known") if found else None)
    assert snapshot.references == references


@pytest.mark.parametrize(
    ("details", "reported", "context"),
    [
        ({}, None, {}),
        ({"service_tier": "flex", "tokens": 3}, None, {"service_tier": "flex"}),
        ({"traffic_type": "ON_DEMAND_FLEX"}, None, {"traffic_type": "ON_DEMAND_FLEX", "service_tier": "flex"}),
        ({"traffic_type": "ON_DEMAND_PRIORITY"}, None,
         {"traffic_type": "ON_DEMAND_PRIORITY", "service_tier": "priority"}),
        ({"traffic_type": "ON_DEMAND"}, None, {"traffic_type": "ON_DEMAND"}),
        ({"traffic_type": "flex", "service_tier": "own"}, None, {"traffic_type": "flex", "service_tier": "own"}),
        ({"service_tier": "batch"}, None, {"service_tier": "batch", "processing": "batch"}),
        ({}, {"service_tier": "batch"}, {"processing": "batch"}),
        ({"processing": "own"}, {"service_tier": "batch"}, {"processing": "own"}),
    ],
)  # fmt: skip
def test_the_tier_of_a_response_is_in_the_words_of_the_list(details: Any, reported: Any, context: Any) -> None:
    response = ModelResponse(parts=[], provider_details=details)
    if reported:
        response._events_reported = Reported(usage=reported)  # type: ignore[attr-defined]  # as `observe_usage` does
    assert price_context(response) == context


def test_counts_that_contradict_each_other_have_no_price(caplog: pytest.LogCaptureFixture) -> None:
    usage = RequestUsage(input_tokens=10, cache_read_tokens=20)
    assert list_price("anthropic", "claude-haiku-4-5", usage) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("kind", ["read", "write"])
def test_tokens_of_the_cache_are_a_part_of_their_own(kind: str) -> None:
    counts: dict[str, Any] = {"input_tokens": 1000, f"cache_{kind}_tokens": 600}
    cost = list_price("anthropic", "claude-haiku-4-5", RequestUsage(**counts))
    assert cost is not None
    assert cost.input == pytest.approx(0.0004)
    assert (cost.cache_read, cost.cache_write) == pytest.approx((0.00006, 0) if kind == "read" else (0, 0.00075))
    assert float(cost) == pytest.approx(sum([cost.input or 0, cost.cache_read or 0, cost.cache_write or 0]))


def test_a_price_is_that_of_the_time_of_the_response(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def calc_price(usage: Any, seller: Any, **options: Any) -> Any:
        asked.append(options["genai_request_timestamp"])
        raise ValueError

    model = SimpleNamespace(calc_price=calc_price)
    monkeypatch.setattr(price_list, "find_model", lambda *_: ("seller", model))
    response = ModelResponse(parts=[])
    assert list_price("seller", "known", USAGE, response) is None
    assert list_price("seller", "known", USAGE) is None
    assert asked[0] == response.timestamp
    assert asked[1] >= response.timestamp


class Halved(RequestUsage):
    """A usage that computes a count: half of the prompt was in the cache."""

    @property
    def cache_read_tokens(self) -> int:  # type: ignore[override]
        """Half of the prompt."""
        return self.input_tokens // 2


def test_a_usage_that_computes_its_counts_is_priced_by_them() -> None:
    counts: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 10}
    computed = list_price("openai", "gpt-4o-mini", Halved(**counts))
    counted = list_price("openai", "gpt-4o-mini", RequestUsage(**counts, cache_read_tokens=500))
    assert computed is not None and counted is not None  # noqa: PT018
    assert (float(computed), computed.cache_read) == (float(counted), counted.cache_read)
    assert computed.cache_read


def test_a_response_whose_time_was_taken_off_has_the_price_of_now() -> None:
    """Of a model whose price depends on the time: else nobody would look at it."""
    response = ModelResponse(parts=[])
    dated = list_price("openai", "o3", USAGE, response)
    response.timestamp = None  # type: ignore[assignment]
    assert list_price("openai", "o3", USAGE, response) == dated


def test_without_genai_prices_there_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    assert find_model("gpt-4o-mini", "openai", None) is None
    assert list_price("openai", "gpt-4o-mini", USAGE) is None
