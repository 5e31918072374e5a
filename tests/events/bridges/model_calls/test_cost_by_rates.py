"""What plain rates make of a usage is what genai-prices' list does, for every model in it, or is left to the list."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Tier, TieredPrices
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.usage import RequestUsage

from events.bridges.model_calls import cost_by_rates
from events.bridges.model_calls.cost_by_rates import plain_cost
from events.bridges.model_calls.token_prices import split_cost

SOLD = [(model, seller) for seller in get_snapshot().providers for model in seller.models]
SELLER = SOLD[0][1]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CONTEXTS: tuple[dict[str, str], ...] = ({}, {"service_tier": "default"}, {"service_tier": "priority"},
    {"service_tier": "flex", "processing": "batch"}, {"finish_reason": "stop"})  # fmt: skip


def by_the_list(model: Any, seller: Any, usage: RequestUsage, at: datetime, context: dict[str, str]) -> Any:
    try:
        price = model.calc_price(usage, seller, genai_request_timestamp=at, price_context=context)
    except ValueError:
        return None
    return parts(split_cost(usage, price))


def counts_of(usage: RequestUsage) -> dict[str, int]:
    return {name: count for name, count in vars(usage).items() if name != "details"}


def parts(cost: Any) -> tuple[Any, ...]:
    return float(cost), cost.input, cost.output, cost.cache_read, cost.cache_write


few = st.integers(0, 2_000_000)


@pytest.mark.slow
@given(
    sold=st.sampled_from(SOLD),
    counts=st.fixed_dictionaries(
        {"input_tokens": few, "output_tokens": few},
        optional={
            "cache_read_tokens": few,
            "cache_write_tokens": few,
            "cache_write_1h_tokens": few,
            "input_audio_tokens": few,
            "output_audio_tokens": few,
            "input_image_tokens": few,
            "output_reasoning_tokens": few,
            "cache_audio_read_tokens": few,
            "web_searches": st.integers(0, 3),
        },
    ),
    at=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # it has one
    context=st.sampled_from(CONTEXTS),
)
def test_a_cost_is_the_lists_to_the_last_digit(sold: Any, counts: Any, at: datetime, context: dict[str, str]) -> None:
    model, seller = sold
    usage = RequestUsage(**counts)
    cost = plain_cost(model, seller, counts_of(usage), at, context)
    assert cost is None or parts(cost) == by_the_list(model, seller, usage, at, context)


def test_nearly_every_models_usual_call_has_plain_rates() -> None:
    """Else the list would be asked, and no test would fail but the benchmark."""
    usage = RequestUsage(input_tokens=1200, output_tokens=85, cache_read_tokens=1024)
    computed = [plain_cost(model, seller, counts_of(usage), NOW, {}) is not None for model, seller in SOLD]
    assert sum(computed) > 0.85 * len(computed)


def made(**prices: Any) -> ModelInfo:
    return ModelInfo(id="m", match=ClauseEquals("m"), prices=ModelPrice(**prices))


PLAIN = {"input_mtok": Decimal("1.5"), "output_mtok": Decimal(6)}
COUNTED: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 100}


def tiered(*tiers: tuple[Any, Any]) -> TieredPrices:
    return TieredPrices(base=Decimal(1), tiers=[Tier(start, price) for start, price in tiers])


def out_of_order(*tiers: tuple[int, int]) -> TieredPrices:
    prices = tiered(*((start, Decimal(price)) for start, price in tiers))
    prices.tiers.reverse()  # as an application may do that changes them
    return prices


def test_a_rate_is_that_of_the_longest_tier_that_the_prompt_exceeds() -> None:
    tiers = tiered((500, Decimal(2)), (1000, Decimal(3)))
    for prompt, rate in ((500, 1), (501, 2), (1000, 2), (1001, 3)):
        cost = plain_cost(made(input_mtok=tiers), SELLER, {"input_tokens": prompt}, NOW, {})
        assert cost == pytest.approx(prompt * rate / 1e6)


@pytest.mark.parametrize(
    ("prices", "usage"),
    [
        (PLAIN, {"output_tokens": 100}),
        (PLAIN, {**COUNTED, "output_tokens": -1}),
        (PLAIN, {**COUNTED, "output_tokens": 1.5}),
        ({**PLAIN, "cache_read_mtok": Decimal(1)}, {**COUNTED, "cache_read_tokens": 1001}),
        ({"output_mtok": Decimal(6)}, COUNTED),
        ({"input_mtok": Decimal("NaN")}, COUNTED),
        ({"input_mtok": Decimal(-1)}, COUNTED),
        ({"input_mtok": 1.5}, COUNTED),
        ({**PLAIN, "input_audio_mtok": Decimal(9)}, {**COUNTED, "input_audio_tokens": 1}),
        ({**PLAIN, "web_searches_kcount": Decimal(9)}, {**COUNTED, "web_searches": 1}),
        ({**PLAIN, "requests_kcount": Decimal(9)}, COUNTED),  # a call is one
        (PLAIN, {**COUNTED, "cache_read_tokens": -1}),  # no rate is of them
        (PLAIN, {**COUNTED, "input_audio_tokens": "many"}),
        (PLAIN, {**COUNTED, "output_tokens": False}),
        (PLAIN, {**COUNTED, "output_tokens": 10**400}),
        (PLAIN, {"input_tokens": 10**400}),
        ({**PLAIN, "output_mtok": Decimal("1e400")}, COUNTED),
        ({**PLAIN, "web_searches_kcount": 9.5}, COUNTED),  # none was made
        ({**PLAIN, "input_audio_mtok": Decimal("NaN")}, COUNTED),
        ({"input_mtok": Decimal(1), "output_audio_mtok": Decimal(9)}, COUNTED),  # which has to have one of output too
        ({"input_mtok": Tier(1, Decimal(1))}, COUNTED),
        ({"input_mtok": tiered((500, Decimal(2)), (2000, 3.5))}, COUNTED),  # more than the prompt has
        ({"input_mtok": tiered((500.0, Decimal(2)))}, COUNTED),
        ({"input_mtok": out_of_order((500, 2), (800, 3))}, COUNTED),
    ],
)
def test_what_is_not_plain_is_left_to_the_list(prices: dict[str, Any], usage: dict[str, Any]) -> None:
    assert plain_cost(made(**prices), SELLER, usage, NOW, {}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"input_mtok": 1.5},  # equals the rate that there was, and is none
        {"input_mtok": Decimal("sNaN")},  # refuses to be compared
        {"input_mtok": Decimal(2)},
        {"output_mtok": None, "cache_read_mtok": PLAIN["output_mtok"]},
    ],
)
def test_a_rate_that_is_changed_between_two_calls_is_the_lists_in_the_second(change: dict[str, Any]) -> None:
    model, usage = made(**PLAIN), RequestUsage(**COUNTED, cache_read_tokens=50)
    assert plain_cost(model, SELLER, counts_of(usage), NOW, {}) is not None
    prices = {name: rate for name, rate in {**PLAIN, **change}.items() if rate is not None}
    vars(model.prices).clear()
    vars(model.prices).update(prices)
    cost = plain_cost(model, SELLER, counts_of(usage), NOW, {})
    expected = by_the_list(model, SELLER, usage, NOW, {})
    assert (None if cost is None else parts(cost)) == expected


def test_the_rates_of_a_tier_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list makes a price of its own for each call that says its tier, as each of OpenAI's does."""
    seller, model = get_snapshot().find_provider_model("gpt-4o-mini", None, provider_id="openai", provider_api_url=None)
    read = Mock(wraps=cost_by_rates.read_rates)
    monkeypatch.setattr(cost_by_rates, "read_rates", read)
    monkeypatch.setattr(cost_by_rates, "_known", {})
    contexts = {"service_tier": "default"}, {"service_tier": "priority"}
    for _ in range(3):
        costs = [plain_cost(model, seller, COUNTED, NOW, context) for context in contexts]
        assert None not in costs
        assert costs[0] != costs[1]
    assert read.call_count == 2


def test_rates_are_known_of_a_bounded_number_of_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_by_rates, "_known", {})
    monkeypatch.setattr(cost_by_rates, "MAX_KNOWN", 3)
    for number in range(10):
        assert plain_cost(made(input_mtok=Decimal(number)), SELLER, COUNTED, NOW, {}) is not None
        assert len(cost_by_rates._known) == number % 3 + 1


def own_price(*_: Any, **__: Any) -> None:
    """Compute a price as an application does."""


def with_own_price() -> ModelInfo:
    model = made(**PLAIN)
    model.calc_price = own_price  # type: ignore[method-assign,assignment]
    return model


class OtherModel(ModelInfo):
    """A model whose prices an application computes by itself."""


class OtherPrice(ModelPrice):
    """A price that does."""


@pytest.mark.parametrize(
    "model",
    [
        SimpleNamespace(),
        with_own_price(),
        OtherModel(id="m", match=ClauseEquals("m"), prices=ModelPrice(**PLAIN)),
        ModelInfo(id="m", match=ClauseEquals("m"), prices=OtherPrice(**PLAIN)),
    ],
)
def test_classes_of_an_applications_own_are_asked_by_themselves(model: Any) -> None:
    assert plain_cost(model, SELLER, COUNTED, NOW, {}) is None
