"""``docs/scale.md``: its sums are what its own figures give, and these are those of the code where it has them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.settings import Settings
from app.workflows.definitions import WORKFLOWS
from app.workflows.leases import Lease
from tests.support.scale import Load, shown

URL = make_url("postgresql://studio:password@127.0.0.1:1/studio")
PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text()


def rows_below(heading: str, page: str = PAGE) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    table = re.search(r"(?:^\|.*\n)+", page.partition(f"## {heading}\n")[2], re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()[2:]]


def number(text: str) -> float:
    """Return the number that a cell has."""
    return float(text.replace(",", ""))


@pytest.fixture(scope="module")
def load() -> Load:
    figures = {row[0].lower().replace(" ", "_"): number(row[1]) for row in rows_below("What goes in")}
    assert [*figures] == [field.name for field in fields(Load)]
    return Load(**figures)


def test_each_sum_is_what_the_figures_give(load: Load) -> None:
    whole, cell = load.sums(), load.cell().sums()
    assert [row[:3] for row in rows_below("What comes out")] == [
        [name, shown(whole[name]), shown(cell[name])] for name in whole
    ]


def test_figures_of_the_code_are_those_that_it_has(load: Load) -> None:
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    assert load.steps_of_a_run == min(len([*workflow.steps()]) for workflow in WORKFLOWS.values())
    assert load.seconds_between_beats == Lease(URL, settings["lease"]).beat
    assert load.seconds_between_sweeps == settings["sweep_interval"]
    assert load.days_that_runs_are_kept == settings["retention_days"]


def test_each_figure_says_where_it_is_from() -> None:
    for name, _, source in rows_below("What goes in"):
        assert source, name
    assert len(re.findall(r"\]\(https://", PAGE)) >= 5


@pytest.mark.parametrize(
    ("value", "text"), [(2_727_000, "2,730,000"), (1_300, "1,300"), (0.2727, "0.273"), (10, "10"), (6.8355, "6.84")]
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert shown(value) == text
