"""An event that is declared again, as by a cell of a notebook or a reloaded module, is the same signal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches, reload
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from blinker import default_namespace
from prometheus_client import CollectorRegistry

from events import receiver_failed
from metrics import counter, subscribe

SHOP = '''
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from events import Key, Label, Seconds, Signal, Span

class Channel(Enum):
    WEB = "web"
    PHONE = "phone"

@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelPacked:
    """A parcel was packed."""

    country: Label
    channel: Channel = Channel.WEB
    size: Literal["small", "large"] = "small"

    def described(self):
        return "first"

@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelShippingStarted:
    shipping_id: Key = ""

@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelShippingFinished:
    shipping_id: Key
    status: Literal["success", "error", "timeout", "cancelled"]
    duration: Seconds
    error: str = ""

parcel_packed = Signal(ParcelPacked)
shipping = Span(Signal(ParcelShippingStarted), Signal(ParcelShippingFinished))
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a module of an application, whose events are in the default namespace until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a second version within a second has the same time
    (tmp_path / "parcel_shop.py").write_text(SHOP)
    invalidate_caches()
    before = {*default_namespace}
    yield import_module("parcel_shop")
    del sys.modules["parcel_shop"]
    for name in {*default_namespace} - before:
        del default_namespace[name]


def rewritten(shop: ModuleType, old: str, new: str) -> Any:
    """Return the module, loaded again with a piece of its source replaced."""
    assert shop.__file__
    source = Path(shop.__file__)
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    return reload(shop)


def test_a_reloaded_module_emits_to_the_receivers_that_were_there(shop: Any) -> None:
    received: list[Any] = []
    earlier, emit = shop.parcel_packed, shop.parcel_packed.bind("country")
    shop.parcel_packed.connect(received.append)
    reload(shop)
    assert shop.parcel_packed is earlier
    shop.parcel_packed.emit(country="KR")
    emit(("FR",))
    assert [(type(event), event.country) for event in received] == [
        (shop.ParcelPacked, "KR"),
        (shop.ParcelPacked, "FR"),
    ]


def test_metrics_that_were_subscribed_count_on(shop: Any) -> None:
    registry = CollectorRegistry()
    rows = (
        counter("parcels_total", "Parcels.", shop.parcel_packed, labels=("country", "channel")),
        counter("ordered_parcels_total", "Parcels.", shop.parcel_packed, where={"channel": shop.Channel.PHONE}),
    )
    with subscribe(rows, registry, namespace="acme", label_limits={"country": 10}):
        for _ in range(2):
            shop.parcel_packed.emit(country="KR", channel=shop.Channel.PHONE)
            reload(shop)
        labels = {"country": "KR", "channel": "phone"}
        assert registry.get_sample_value("acme_parcels_total", labels) == 2
        assert registry.get_sample_value("acme_ordered_parcels_total") == 2


def test_what_is_said_of_the_earlier_class_holds_for_the_new_one(shop: Any) -> None:
    """Other modules have imported it: their events are sent, and their listeners connected."""
    earlier = shop.ParcelPacked
    rewritten(shop, '"first"', '"second"')
    received: list[str] = []

    def listener(event: Any) -> None:
        received.append(event.described())

    listener.__annotations__["event"] = earlier
    shop.parcel_packed.connect(listener)
    shop.parcel_packed.emit(country="KR")
    shop.parcel_packed.send(earlier(country="KR"))
    assert received == ["second", "first"]


def test_a_span_can_be_declared_again(shop: Any) -> None:
    received: list[Any] = []
    shop.shipping.finished.connect(received.append)
    earlier = shop.shipping
    reload(shop)
    for span in (earlier, shop.shipping):
        with span():
            pass
    assert [type(event) for event in received] == [shop.ParcelShippingFinished] * 2


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('    size: Literal["small", "large"] = "small"\n', "", "size"),
        ('    size: Literal["small", "large"] = "small"\n', "    parcel_id: str = ''\n", "size, parcel_id"),
        ('"small", "large"]', '"small", "large", "huge"]', "size"),
        ('    PHONE = "phone"', '    PHONE = "phone"\n    SHOP = "shop"', "channel"),
        ("country: Label", 'country: Label = "KR"', "country"),
    ],
)
def test_with_other_fields_it_is_another_signal_and_the_log_says_so(
    shop: Any, caplog: pytest.LogCaptureFixture, old: str, new: str, changed: str
) -> None:
    before: list[Any] = []
    after: list[Any] = []
    earlier: Any = shop.parcel_packed
    earlier.connect(before.append)
    with caplog.at_level(logging.WARNING, "events"):
        rewritten(shop, old, new)
    assert f"parcel_packed is declared again with other fields ({changed})" in caplog.text
    assert shop.parcel_packed is not earlier
    shop.parcel_packed.connect(after.append)
    with receiver_failed.captured() as failures:
        shop.parcel_packed.emit(country="KR")
        earlier.emit(country="FR")  # whoever has imported it goes on
    assert [[event.country for event in events] for events in (before, after)] == [["FR"], ["KR"]]
    assert failures == []
    assert default_namespace["parcel_packed"] is shop.parcel_packed


def test_with_other_fields_and_nobody_connected_nothing_is_said(shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    rewritten(shop, "country: Label", "land: Label")
    assert caplog.text == ""
