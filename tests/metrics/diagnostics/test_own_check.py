"""The check of an application judges its own rows and signals, and a group of ours as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from events import llm_called
from metrics import AGENTS, CATALOGUE, DATABASE, EXPOSITION, HTTP, LLM, OPTIONAL, PIPELINE, WORKERS, counter
from metrics.diagnostics.check import UNFED
from metrics.diagnostics.own_check import check_application, in_words
from tests.support.preloaded import COMMANDS, run_preloaded

pytestmark = pytest.mark.slow

COUNTING = """
from dataclasses import dataclass

from events import Label, Signal
from metrics import counter


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    country: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPaid:
    country: Label


order_placed = Signal(OrderPlaced)
order_paid = Signal(OrderPaid)
ROWS = (
    counter("orders_total", "Orders.", order_placed, labels=("country",)),
    counter("paid_orders_total", "Paid orders.", order_paid, labels=("country",)),
)
"""
SHOP = """
from .counting import order_paid, order_placed

def place(country):
    order_placed.emit(country=country)
    order_paid.emit(country=country)
"""
TABLE = """
[tool.sparklio.metrics]
namespace = "acme"
source = ["shop"]
catalogue = ["shop.counting:ROWS", {groups}]
label_limits = {{ country = 10 }}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return run_preloaded("-m", "metrics", *arguments, modules=COMMANDS, cwd=folder, env=os.environ, timeout=100)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project with a package that has signals and rows of its own."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "counting.py").write_text(COUNTING)
    (tmp_path / "shop" / "orders.py").write_text(SHOP)
    (tmp_path / "pyproject.toml").write_text(TABLE.format(groups=""))
    return tmp_path


def test_its_own_rows_pass_when_each_is_fed(project: Path) -> None:
    """In a process that begins with the command: the others are forked from one that has read our sources."""
    command = [sys.executable, "-m", "metrics", "check"]
    checked = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines() == [
        "ok: 2 families fed by 2 signals, at most 24 series of 40,000; sources: shop"
    ]


def test_a_row_and_a_signal_of_its_own_that_nothing_feeds_fail_it(project: Path) -> None:
    orders = project / "shop" / "orders.py"
    orders.write_text(orders.read_text().replace("order_paid.emit", "print"))
    checked = run(project, "check")
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[:2] == [
        "- signal order_paid is declared and emitted nowhere",
        f"- paid_orders_total listens to order_paid, which nothing emits: {UNFED}",
    ]
    assert "FAILED: 1 of 2 families fed by 2 signals" in checked.stdout


def test_a_group_that_is_fed_in_part_passes_and_says_what_stays_empty(project: Path) -> None:
    """No bridge says which models are configured, nor what the process of a model uses."""
    (project / "pyproject.toml").write_text(TABLE.format(groups="'metrics:LLM'"))
    (project / "shop" / "models.py").write_text("import events.bridges.openai\n")
    checked = run(project, "check")
    assert checked.returncode == 0
    assert checked.stdout.startswith(
        "  metrics:LLM: 3 of 33 families stay empty here, as nothing emits llm_configured and llm_process_read\nok: "
    )


def test_a_group_of_which_nothing_is_fed_fails_it_and_the_bridge_is_named(project: Path) -> None:
    (project / "pyproject.toml").write_text(TABLE.format(groups="'metrics:DATABASE', 'metrics:LIMITS'"))
    checked = run(project, "check")
    assert checked.returncode == 1
    limits, database, _ = checked.stdout.splitlines()
    assert limits == (
        "- metrics:LIMITS: nothing feeds any of its 2 families: emit limit_reached and access_refused,"
        " or leave the group out"
    )
    assert database.startswith("- metrics:DATABASE: nothing feeds any of its ")
    assert database.endswith(": import events.bridges.sqlalchemy, or leave the group out")
    (project / "shop" / "tables.py").write_text("import events.bridges.sqlalchemy\nfrom events import limit_reached\n")
    assert "metrics:DATABASE: nothing" not in run(project, "check").stdout


def test_the_whole_catalogue_is_chosen_by_nobody(project: Path) -> None:
    """So a project that names none of our rows is judged by its signals alone, and is told of that."""
    (project / "pyproject.toml").write_text("[tool.sparklio.metrics]\nsource = 'shop'\n")
    checked = run(project, "check")
    assert checked.returncode == 0
    *notes, resting, own, verdict = checked.stdout.splitlines()
    assert resting.startswith("  Groups that stay empty here, as nothing emits for them: http, ")
    assert {"agents", "llm", "database"} < {*resting.partition(": ")[2].split(", ")}
    assert all(" families stay empty here, " in note for note in notes)
    assert own.endswith(f"catalogue in [tool.sparklio.metrics] of {project / 'pyproject.toml'}")
    assert verdict.startswith("ok: ")
    strict = run(project, "check", "--strict")
    assert strict.returncode == 1
    assert "- signal review_decided is declared and emitted nowhere\n" in strict.stdout


def test_a_strict_check_judges_each_row_of_a_group(project: Path) -> None:
    (project / "pyproject.toml").write_text(TABLE.format(groups="'metrics:LLM'") + "strict = true\n")
    (project / "shop" / "models.py").write_text("import events.bridges.openai\n")
    checked = run(project, "check")
    assert checked.returncode == 1
    assert f"- llm_configured_info listens to llm_configured, which nothing emits: {UNFED}\n" in checked.stdout


def test_rows_that_listen_to_our_signals_are_the_applications_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    row = counter("calls_total", "Calls.", llm_called, labels=("status",))
    found = check_application((row, *PIPELINE), [str(tmp_path)])
    assert found.faults == (f"calls_total listens to llm_called, which nothing emits: {UNFED}",)


def test_each_group_names_how_it_is_fed(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    found = check_application(HTTP + LLM + AGENTS + DATABASE + WORKERS + EXPOSITION, [str(tmp_path)])
    ways = {fault.partition(":")[2].partition(":")[0]: fault for fault in found.faults}
    assert ways.keys() == {"HTTP", "LLM", "AGENTS", "DATABASE"}
    assert "import events.bridges.asgi, or leave" in ways["HTTP"]
    assert "import events.bridges.anthropic, events.bridges.langchain, events.bridges.litellm or 4 more" in ways["LLM"]
    assert "emit agent_finished, " in ways["AGENTS"]


def test_past_the_budget_it_fails(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    found = check_application(CATALOGUE + OPTIONAL, [str(tmp_path)], label_limits={"endpoint": 9999, **LIMITS})
    assert [fault for fault in found.faults if fault.startswith("the catalogue can make ")]


LIMITS = {
    label: 100
    for row in CATALOGUE + OPTIONAL
    for label, values in zip(row.labels, row.closed_label_values, strict=True)
    if (values is None or label in row.nested_in) and label != "endpoint"
}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("a", "a"),
        ("ab", "a and b"),
        ("abc", "a, b and c"),
        ("abcd", "a, b, c and d"),
        ("abcde", "a, b, c and 2 more signals"),
    ],
)
def test_names_are_listed_in_words(names: str, words: str) -> None:
    assert in_words([*names], "signals") == words


FAILING = "import os\nlimit = os.environ['NOBODY_SET_THIS']\nROWS = ()\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (FAILING, "rows failed when it was imported: KeyError: 'NOBODY_SET_THIS', at {file}:2"),
        (
            "import sys\nsys.exit('usage: rows')\n",
            "rows failed when it was imported: SystemExit: usage: rows, at {file}:2",
        ),
        ("ROWS = (\n", "rows cannot be imported: '(' was never closed (rows.py, line 1)"),
        ("import no_such_library\n", "rows cannot be imported: No module named 'no_such_library'"),
        ("ROWZ = ()\n", "module 'rows' has no attribute 'ROWS'; did you mean rows:ROWZ?"),
        ("from metrics import HTTP as ORDERS\n", "has no attribute 'ROWS'; did you mean rows:ORDERS?"),
        ("from metrics import counter\nOTHER = 1\n", "has no attribute 'ROWS'\n"),
        ("ROWS = (1, 2)\n", "it is no sequence of rows, but (1, 2)"),
    ],
)
def test_a_catalogue_that_cannot_be_loaded_is_told_in_a_line(code: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(code)
    checked = run(tmp_path, "check", "--source", "rows.py", "--catalogue", "rows:ROWS")
    [line] = checked.stderr.splitlines(keepends=True)
    assert checked.returncode == 2
    assert reason.format(file=tmp_path / "rows.py") in line


def test_a_misspelt_group_is_answered_with_one_that_there_is(tmp_path: Path) -> None:
    checked = run(tmp_path, "check", "--source", ".", "--catalogue", "htpp")
    assert checked.returncode == 2
    assert checked.stderr.endswith("did you mean the group 'http'?\n")


def test_it_runs_from_any_folder_of_the_project(project: Path) -> None:
    checked = run(project / "shop", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("ok: 2 families")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "--sources", "shop"], "unrecognized arguments: --sources shop; did you mean --source?"),
        (["doctor", "--heading=x"], "unrecognized arguments: --heading=x; did you mean --header?"),
        (["--sauce"], "unrecognized arguments: --sauce; did you mean --source?"),
    ],
)
def test_an_option_that_a_command_has_not_is_answered_with_its_usage(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    ran = run(tmp_path, *arguments)
    assert ran.returncode == 2
    command = f"{arguments[0]} " if not arguments[0].startswith("-") else ""
    assert ran.stderr.startswith(f"usage: python -m metrics {command}[-h]")
    assert said in ran.stderr


def test_a_source_is_read_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import pathlib\npathlib.Path('harm').touch()\n")
    assert run(tmp_path, "check", "--source", "script.py").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


def test_rows_of_two_catalogues_that_count_two_packages_pass(project: Path) -> None:
    (project / "billing.py").write_text(
        COUNTING.replace("OrderP", "BillP").replace("order_p", "bill_p").replace("orders_total", "bills_total")
        + "def bill():\n    bill_placed.emit(country='KR')\n    bill_paid.emit(country='KR')\n"
    )
    both = [
        "--catalogue",
        "shop.counting:ROWS",
        "--catalogue",
        "billing:ROWS",
        "--source",
        "shop",
        "--source",
        "billing",
    ]
    checked = run(project, "check", *both)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("ok: 4 families fed by 4 signals")
    assert "- signal bill_placed" not in checked.stdout
    half = run(project, "check", *both[:-2])
    assert half.returncode == 1
    assert f"- bills_total listens to bill_placed, which nothing emits: {UNFED}" in half.stdout


@pytest.mark.parametrize(
    "command", ["check", "doctor", "groups", "catalogue", "build", "explain", "diff", "watch", "replay"]
)
def test_each_command_has_its_options_in_its_help(command: str, tmp_path: Path) -> None:
    helped = run(tmp_path, command, "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"usage: python -m metrics {command} ")
    option = "--header" if command in ("doctor", "watch") else "--catalogue"
    assert option in helped.stdout
