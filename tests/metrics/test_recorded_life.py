"""A recorded life of the studio, with faults in it, counts to the recorded exposition, letter by letter.

After an intended change: ``UPDATE_GOLDEN=1``, then read the difference. Another life is recorded by ``python -m
tests.support.recorded_life``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from metrics import CATALOGUE, render, subscribe
from metrics.diagnostics.replay import Replayed, ReplayReport, replay

RECORDING = Path(__file__).parent / "golden" / "recordings" / "life.jsonl"
EXPOSITION = RECORDING.with_suffix(".prom")
LEFT_OUT = ("last_event_timestamp", "_bucket{", "# HELP ")
"""The text is to be short; buckets are held by the other recording."""


def play() -> tuple[ReplayReport, str]:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"), RECORDING.open("rb") as file:
        report = replay(file)
        text = render(Replayed(registry, only_counted=True)).decode()  # type: ignore[arg-type]  # it has collect()
    return report, "".join(
        line for line in text.splitlines(keepends=True) if not any(word in line for word in LEFT_OUT)
    )


@pytest.fixture(scope="module")
def played() -> tuple[ReplayReport, str]:
    return play()


def test_the_life_counts_to_the_recorded_exposition(played: tuple[ReplayReport, str]) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        EXPOSITION.write_text(played[1])
    assert EXPOSITION.read_text() == played[1], "after an intended change, set UPDATE_GOLDEN=1 and read the difference"


def test_every_line_is_read_and_the_kill_is_a_gap(played: tuple[ReplayReport, str]) -> None:
    report, _ = played
    assert not report.damaged
    assert not report.unknown
    assert [gap.missed for gap in report.gaps] == [None]
    assert report.played.total() > 200


def test_what_is_known_of_the_life_is_what_is_counted(played: tuple[ReplayReport, str]) -> None:
    samples = [sample for family in text_string_to_metric_families(played[1]) for sample in family.samples]

    def total(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == f"sparklio_{name}" and matches(one, labels))

    assert total("workflows_total", status="completed") == 5
    assert total("workflows_total", status="failed") == 1
    assert total("workflows_total", status="cancelled") == 1
    assert total("agent_review_verdicts_total", verdict="rejected") > 0
    assert total("llm_fallbacks_total") > 0
    assert total("llm_retries_total") > 0
    assert total("access_refusals_total", reason="host") == 1
    assert total("limits_reached_total", limit="request_body") == 1


def matches(sample: Sample, labels: dict[str, str]) -> bool:
    return labels.items() <= sample.labels.items()
