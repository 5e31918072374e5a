"""The command line of ``python -m app reconcile``: where it reads counters by itself, and what it prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.commands import reconcile
from app.commands.reconcile import build_parser, format_json, format_text, own_address, read_servers
from app.commands.reconciliation import CannotReconcile, Line, Report
from app.monitoring.counters import Counters
from app.settings import Settings

MISSING = Line(
    title="model calls",
    against="llm_requests_total",
    labels={"model": "m", "status": "success"},
    trail=35,
    other=36,
    difference=1,
)
SPENT = Line(title="USD", against="rows", labels={}, trail=0.25, other=0.125, difference=-0.125)
FINE = Line(title="runs", against="rows", labels={"status": "completed"}, trail=1200, other=1200, difference=0)


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:8000/metrics"),
        ({"host": "0.0.0.0", "port": 9000}, "http://127.0.0.1:9000/metrics"),
        ({"host": "192.0.2.1", "metrics_port": 9001}, "http://192.0.2.1:9001/metrics"),
        ({"host": "::1"}, "http://[::1]:8000/metrics"),
    ],
)
def test_without_an_address_the_metrics_are_where_the_settings_have_them(
    settings: dict[str, object], address: str
) -> None:
    assert own_address(Settings(**settings)) == address  # type: ignore[arg-type]  # pydantic looks at them


def test_a_free_port_is_not_known() -> None:
    with pytest.raises(CannotReconcile, match="--rows-only"):
        own_address(Settings(port=0))


def test_the_secret_of_the_settings_is_sent_unless_a_header_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, dict[str, str]]] = []

    def note(url: str, headers: dict[str, str], _names: object) -> Counters:
        sent.append((url, headers))
        return Counters(url, 0, 0, 0, ())

    monkeypatch.setattr(reconcile, "read_counters", note)
    for headers, settings in (
        ({}, Settings()),
        ({}, Settings(metrics_token="token")),
        ({}, Settings(metrics_password="hush")),
        ({"X-Key": "mine"}, Settings(metrics_token="token")),
    ):
        read_servers(["http://a/metrics"], dict(headers), settings)
    assert [headers for _, headers in sent] == [
        {},
        {"Authorization": "Bearer token"},
        {"Authorization": "Basic YW55Omh1c2g="},
        {"X-Key": "mine"},
    ]


def test_times_without_a_zone_are_in_utc() -> None:
    parse = build_parser().parse_args
    assert parse(["--since", "2030-01-31T12:00"]).since == datetime(2030, 1, 31, 12, tzinfo=UTC)
    zone = timezone(timedelta(hours=2))
    assert parse(["--since", "2030-01-31T12:00+02:00"]).since == datetime(2030, 1, 31, 12, tzinfo=zone)
    with pytest.raises(SystemExit):
        parse(["--since", "yesterday"])


def test_a_report_says_what_differs_and_by_how_much() -> None:
    report = Report([FINE, MISSING, SPENT], ["the end of these runs is nowhere: r-1"], ["the trail lost 1 event"])
    assert not report.agrees
    assert format_text(report, [Counters("http://here/metrics", 1_893_456_000, 0, 0, ())]).splitlines() == [
        "counters of http://here/metrics since 2030-01-01 00:00:00 UTC",
        "agrees   runs: 1,200 in the trail; rows",
        "differs  model calls: 35 in the trail; llm_requests_total",
        '  - {model="m", status="success"}: 35 in the trail, 36 counted; the trail lacks 1',
        "differs  USD: 0.25 in the trail; rows",
        "  - {}: 0.25 in the trail, 0.125 in the rows; the trail has too many: 0.125",
        "- the end of these runs is nowhere: r-1",
        "note: the trail lost 1 event",
        "FAILED: trail, counters and rows differ",
    ]
    told = json.loads(format_json(report))
    assert told["agrees"] is False
    assert told["sums"][1]["difference"] == 1
    assert told["notes"] == ["the trail lost 1 event"]


def test_a_report_without_differences_agrees() -> None:
    assert format_text(Report([FINE]), []).splitlines()[-1] == "ok: trail, rows agree"
    assert Report([FINE], notes=["a note is no difference"]).agrees
    assert not Report(faults=["a fault is"]).agrees
