"""``docs/scale.md``: its sums are what its own figures give, and these are those of the code where it has them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import make_url

from app.settings import Settings
from app.workflows.definitions import WORKFLOWS
from app.workflows.leases import Lease
from tests.backend.workflows.test_statements import STATEMENTS, TRANSACTIONS
from tests.support.scale import Load, shown
from tests.support.takeover import Sweepers, Takeover, simulate

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


@pytest.mark.slow
def test_what_the_simulation_says_is_in_its_table(load: Load) -> None:
    """The median of three seeds."""
    rows = rows_below("Hosts that die, by simulation")
    runs = load.runs_a_second / load.hosts * load.steps_of_a_run * load.seconds_of_a_step
    for hosts, dead, *results in rows:
        left, lost = (int(number(hosts)) - int(dead)) * int(load.processes_of_a_host), int(dead) * int(runs)
        own, same = (median_of(Sweepers(processes=left, runs=lost, in_order=in_order)) for in_order in (False, True))
        assert results == [shown(own.seconds), shown(own.statements), shown(same.statements)]


def median_of(sweepers: Sweepers) -> Takeover:
    """Return the medians of three simulations."""
    found = [simulate(sweepers, seed) for seed in range(3)]
    return Takeover(median(one.seconds for one in found), median(one.statements for one in found))


def test_a_few_processes_take_each_run_over_once_and_soon_after_the_lease() -> None:
    """A sweep may be up to 5.5 s after the lapse, and takes 2 ms for each run."""
    for seed in range(20):
        taken = simulate(Sweepers(processes=2, runs=10), seed)
        assert 13 <= taken.seconds <= 15 + 5.5 + 0.02
        assert 1 <= taken.statements <= 2


def test_figures_of_the_code_are_those_that_it_has(load: Load) -> None:
    assert load.statements_of_a_run == STATEMENTS["product_content"]
    assert load.transactions_of_a_run == TRANSACTIONS["product_content"]
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
