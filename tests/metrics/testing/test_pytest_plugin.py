"""The pytest plugin, in runs of pytest of its own: what it shows a test, and which tests it fails."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.preloaded import COMMANDS, run_preloaded

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SHOP = """
from dataclasses import dataclass
from events import Label, Signal
from metrics import counter

@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    country: Label

order_placed = Signal(OrderPlaced)
ROWS = (counter("orders_total", "Orders.", order_placed, labels=("country",)),)

def place(country):
    order_placed.emit(country=country)

def refuse(event):
    raise ValueError("no country " + event.country)
"""
TABLE = """
[tool.pytest.ini_options]
pythonpath = ["."]
asyncio_default_fixture_loop_scope = "function"
addopts = ["-p", "metrics.pytest_plugin", "-p", "no:randomly", "-p", "no:hypothesispytest", "--strict-markers"]
filterwarnings = ["error"]

[tool.sparklio.metrics]
namespace = "acme"
source = ["shop.py"]
catalogue = ["shop:ROWS"]
label_limits = { country = 10 }
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with an event and a row of its own."""
    pytester.makepyfile(shop=SHOP)
    pytester.makepyprojecttoml(TABLE)
    return pytester


def run(project: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    """Return how a test file ends, in a process forked from one that has pytest and the library imported."""
    project.makepyfile(test_shop=test)
    ran = run_preloaded("-m", "pytest", *arguments, modules=COMMANDS, cwd=project.path, env=os.environ, timeout=100)
    sys.stdout.write(ran.stdout + ran.stderr)  # pytest shows it where the test fails
    return pytest.RunResult(ran.returncode, ran.stdout.splitlines(), ran.stderr.splitlines(), 0.0)


def execute(installed: pytest.Pytester, test: str) -> pytest.RunResult:
    """Return how a test file ends, in a process that has imported nothing before."""
    installed.makepyfile(test_shop=test)
    return installed.runpytest_subprocess()


COUNTED = """
import pytest
from shop import OrderPlaced, order_placed, place

@pytest.mark.parametrize("again", range(3))
def test_counted(sample_value, metrics_registry, events_captured, again):
    place("KR")
    assert sample_value("orders_total", {"country": "KR"}) == 1
    assert sample_value("acme_orders_total", {"country": "KR"}) == 1
    assert metrics_registry.get_sample_value("acme_orders_total", {"country": "KR"}) == 1
    assert events_captured[order_placed] == [OrderPlaced(country="KR")]

def test_nothing_is_left_connected():
    assert not order_placed.receivers
"""


def test_each_test_has_its_own_events_and_a_fresh_registry(project: pytest.Pytester) -> None:
    run(project, COUNTED).assert_outcomes(passed=4)


def test_tests_in_several_processes_have_their_own(project: pytest.Pytester) -> None:
    ran = run(project, COUNTED, "-n", "2", "--metrics-check")
    ran.assert_outcomes(passed=5)


ASYNCHRONOUS = """
import asyncio, anyio, pytest
from shop import order_placed, place, refuse

async def place_some():
    await asyncio.gather(*(asyncio.to_thread(place, "KR") for _ in range(3)))

@pytest.mark.asyncio
async def test_of_asyncio(sample_value, events_captured):
    await place_some()
    assert sample_value("orders_total", {"country": "KR"}) == len(events_captured[order_placed]) == 3

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_of_anyio(sample_value, anyio_backend):
    await place_some()
    assert sample_value("orders_total", {"country": "KR"}) == 3

@pytest.mark.asyncio
async def test_that_fails():
    with order_placed.connected_to(refuse):
        await place_some()
"""


def test_asynchronous_tests_have_them_and_fail_by_their_receivers(project: pytest.Pytester) -> None:
    ran = run(project, ASYNCHRONOUS)
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(["E *refuse, which receives order_placed, failed, 3 times: ValueError: no country KR"])


FAILING = """
import pytest
from shop import order_placed, place, refuse

def test_fails():
    with order_placed.connected_to(refuse):
        place("XX")

@pytest.mark.receivers_may_fail
def test_is_excused():
    with order_placed.connected_to(refuse):
        place("XX")

def test_fails_by_itself_too():
    with order_placed.connected_to(refuse):
        place("YY")
    assert 1 == 2

def test_passes():
    place("KR")
"""


def test_a_test_fails_by_the_error_of_its_receiver_unless_it_has_the_marker(project: pytest.Pytester) -> None:
    ran = run(project, FAILING)
    ran.assert_outcomes(passed=2, failed=2)
    ran.stdout.fnmatch_lines(
        [
            "E *ValueError: no country XX",
            "shop.py:*: ValueError",
            "E *ReceiversFailed: refuse, which receives order_placed, failed: ValueError: no country XX",
            "E * assert 1 == 2",
            "*failed receiver*",
            "ValueError: no country YY",
            "FAILED test_shop.py::test_fails - *",
            "FAILED test_shop.py::test_fails_by_itself_too - assert 1 == 2",
        ]
    )


PHASES = """
import pytest
from events import background, tool_called
from shop import order_placed, place, refuse

@pytest.fixture
def placed():
    with order_placed.connected_to(refuse):
        place("XX")

@pytest.fixture
def placed_after():
    yield
    with order_placed.connected_to(refuse):
        place("XX")

@pytest.fixture
def listener():
    async def fail(event):
        raise RuntimeError("the network is away")
    with background(fail) as listener, order_placed.connected_to(listener):
        yield

def test_setup(placed): ...
def test_teardown(placed_after): ...
def test_background(listener): place("KR")
def test_background_in_the_test():
    async def fail(event):
        raise RuntimeError("the network is away")
    with background(fail) as listener, order_placed.connected_to(listener):
        place("KR")
def test_misfit():
    with tool_called.captured():
        tool_called.emit(tool="search")
def test_not_awaited():
    class Later:
        def __call__(self, event):
            async def later(): ...
            return later()
    with order_placed.connected_to(Later()):
        place("KR")
def test_several():
    def other(event): raise KeyError(event.country)
    with order_placed.connected_to(refuse), order_placed.connected_to(other):
        place("KR")
def test_innocent(): ...
"""


def test_fixtures_threads_and_misfits_count_as_well_and_other_tests_are_not_blamed(project: pytest.Pytester) -> None:
    ran = run(project, PHASES)
    outcomes = ran.parseoutcomes()
    # The listener of `test_background` runs on while the test ends: it fails the test, or else the end of its fixture.
    assert (outcomes["failed"] + outcomes["errors"], outcomes["passed"] + outcomes["failed"]) == (7, 7)
    # In CI pytest does not shorten what a test failed for, which may go on in further lines.
    summary = [line for line in ran.outlines if line.startswith(("FAILED test_shop.py::", "ERROR test_shop.py::"))]
    report = {line.split(" - ")[0].strip() for line in summary}
    background = {"ERROR test_shop.py::test_background", "FAILED test_shop.py::test_background"}
    assert len(report & background) == 1
    assert report - background == {
        "ERROR test_shop.py::test_setup",
        "ERROR test_shop.py::test_teardown",
        "FAILED test_shop.py::test_background_in_the_test",
        "FAILED test_shop.py::test_misfit",
        "FAILED test_shop.py::test_not_awaited",
        "FAILED test_shop.py::test_several",
    }
    said = ran.stdout.str()
    assert "the network is away" in said
    assert "unexpected keyword argument 'tool'" in said
    assert "is asynchronous; connect events.background(" in said
    assert "KeyError: 'KR'" in said
    assert said.count("ValueError: no country KR") > 0


BETWEEN_PHASES = """
import pytest
from shop import order_placed, place, refuse

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    with order_placed.connected_to(refuse):
        place("XX")
    return result
"""


def test_what_fails_between_two_phases_is_of_the_later_one(project: pytest.Pytester) -> None:
    """As in a thread that runs on."""
    project.makeconftest(BETWEEN_PHASES)
    run(project, "def test_passes(): ...\n").assert_outcomes(passed=1, errors=1)


IMPORTED_LATE = """
def test_the_first_import_is_in_the_test():
    import sys
    assert "sparklio.events" not in sys.modules
    from shop import order_placed, place, refuse
    with order_placed.connected_to(refuse):
        place("XX")

def test_a_signal_that_is_declared_late_is_not_taken_for_a_silent_one(events_captured):
    from dataclasses import dataclass
    from sparklio.events import Signal

    @dataclass(frozen=True)
    class ShipSank: ...

    try:
        events_captured[Signal(ShipSank)]
    except LookupError as error:
        assert "ship_sank is not collected" in str(error)
    else:
        assert False
"""


@pytest.fixture
def installed(pytester: pytest.Pytester, sparklio_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project that has the package as the wheel installs it, whose plugin imports nothing else."""
    monkeypatch.setenv("PYTHONPATH", str(sparklio_path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p sparklio.pytest_plugin -p no:randomly -p no:hypothesispytest")
    return pytester


def test_a_failure_is_seen_in_the_test_that_imports_the_package_first(installed: pytest.Pytester) -> None:
    installed.makepyfile(shop=re.sub(r"from (events|metrics)", r"from sparklio.\1", SHOP))
    ran = execute(installed, IMPORTED_LATE)
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["E *ValueError: no country XX"])


MEASURED = """
from events import Seconds
from metrics import gauge, histogram

@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPacked:
    country: Label
    duration: Seconds
    items: int

order_packed = Signal(OrderPacked)
ROWS += (
    histogram(
        "order_seconds", "Time to pack.", order_packed, value="duration", labels=("country",), buckets=(1.0, 10.0)
    ),
    gauge("stock_items", "In stock.", order_packed, value="items"),
)
"""
MISTAKEN = """
import pytest
from metrics.testing import UnknownSample
from shop import place

@pytest.mark.parametrize(("name", "labels", "said"), [
    ("order_total", {"country": "KR"}, "did you mean acme_orders_total?"),
    ("nothing_like_it", None, "it has acme_orders_total"),
    ("orders_total", {"land": "KR"}, "other labels than land: name each of country"),
    ("orders_total", None, "other labels than none: name each of country"),
])
def test_mistaken(sample_value, name, labels, said):
    place("KR")
    with pytest.raises(UnknownSample) as raised:
        sample_value(name, labels)
    assert said in str(raised.value)

@pytest.mark.parametrize(("name", "labels", "said"), [
    ("orders_total", {"land": "KR"}, "other labels than land: name each of country"),
    ("orders_total", {"country": "KR", "size": 1}, "other labels than country, size: name each of country"),
    ("orders_total", None, "other labels than none: name each of country"),
    ("order_seconds_bucket", {"country": "KR"}, "name each of country, le"),
    ("stock_items", {"country": "KR"}, "acme_stock_items has no labels, so country is to be left out"),
])
def test_mistaken_before_the_first_event(sample_value, name, labels, said):
    with pytest.raises(UnknownSample) as raised:
        sample_value(name, labels)
    assert said in str(raised.value)

def test_no_event_yet(sample_value):
    assert sample_value("orders_total", {"country": "KR"}) is None
    assert sample_value("order_seconds_bucket", {"country": "KR", "le": "1.0"}) is None
    assert sample_value("order_seconds_count", {"country": "KR"}) is None
    assert sample_value("stock_items") is None

def test_no_such_order(sample_value):
    place("KR")
    assert sample_value("orders_total", {"country": "DE"}) is None
"""


def test_a_misspelt_name_or_label_is_an_error_and_no_missing_value(project: pytest.Pytester) -> None:
    project.makepyfile(shop=SHOP + MEASURED)
    run(project, MISTAKEN).assert_outcomes(passed=11)


def test_the_catalogue_is_checked_where_it_is_asked_for(project: pytest.Pytester) -> None:
    passing = "def test_passes(): ...\n"
    run(project, passing).assert_outcomes(passed=1)
    run(project, passing, "--metrics-check").assert_outcomes(passed=2)
    run(project, passing, "--metrics-check", "-k", "test_passes").assert_outcomes(passed=1, deselected=1)
    project.makepyfile(shop=SHOP.replace("order_placed.emit", "print"))
    unfed = run(project, passing, "--metrics-check")
    unfed.assert_outcomes(passed=1, failed=1)
    unfed.stdout.fnmatch_lines(
        [
            "- signal order_placed is declared and emitted nowhere",
            "- orders_total listens to order_placed, which nothing emits: *",
            "FAILED: 0 of 1 families fed by 1 signals, *",
        ]
    )
    assert "Traceback" not in unfed.stdout.str()
    project.makepyprojecttoml(TABLE.replace("shop:ROWS", "shop:ROWZ"))
    run(project, passing, "--metrics-check").stdout.fnmatch_lines(
        ["no catalogue at 'shop:ROWZ'*did you mean shop:ROWS?*"]
    )


def test_without_a_configuration_the_whole_catalogue_counts(project: pytest.Pytester) -> None:
    project.makepyprojecttoml(TABLE.partition("[tool.sparklio")[0])
    test = """
def test_counted(sample_value):
    from events import tool_called
    tool_called.emit(tool_name="search", status="success", duration=0.1)
    assert sample_value("tool_calls_total", {"tool_name": "search", "status": "success", "mcp_server": "none"}) == 1
"""
    run(project, test).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "",
            "(no pyproject.toml from * upwards has [[]tool.sparklio.metrics[]], which names the rows of the project,*",
        ),
        ('[tool.sparklio.metrics]\nnamespace = "acme"\n', "(*pyproject.toml names no rows of the project, so *"),
    ],
)
def test_an_unknown_name_is_told_that_the_project_s_rows_are_not_named(
    project: pytest.Pytester, table: str, said: str
) -> None:
    project.makepyprojecttoml(TABLE.partition("[tool.sparklio")[0] + table)
    test = """
def test_counted(sample_value):
    sample_value("orders_total", {"country": "KR"})
"""
    ran = run(project, test)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines([f"E *UnknownSample: the registry has no 'orders_total': * {said}"])


UNUSED = """
import sys

def test_nothing_of_the_package_is_imported():
    assert "sparklio.pytest_plugin" in sys.modules
    assert not {name for name in sys.modules if name.startswith(("sparklio.events", "sparklio.metrics", "prometheus"))}
"""


def test_where_no_test_uses_it_nothing_is_imported(installed: pytest.Pytester) -> None:
    execute(installed, UNUSED).assert_outcomes(passed=1)


def code_blocks(language: str) -> list[str]:
    """Return the blocks of the manual."""
    text = (ROOT / "docs" / "testing.md").read_text()
    return [block.partition("\n```")[0] + "\n" for block in text.split(f"```{language}\n")[1:]]


@pytest.fixture
def manual(installed: pytest.Pytester) -> pytest.Pytester:
    """Return the project that the manual shows."""
    [table] = code_blocks("toml")
    installed.makepyprojecttoml(f"[tool.pytest.ini_options]\npythonpath = ['.']\n\n{table}")
    for block in code_blocks("python"):
        if block.startswith("# "):
            installed.path.joinpath(block.split()[1]).write_text(block)
    return installed


def test_the_tests_of_the_manual_pass(manual: pytest.Pytester) -> None:
    manual.runpytest_subprocess("--metrics-check").assert_outcomes(passed=7)
    (manual.path / "conftest.py").unlink()  # which is for a project whose rows are elsewhere
    manual.runpytest_subprocess("--metrics-check").assert_outcomes(passed=7)


def test_the_failure_that_the_manual_shows_is_what_pytest_prints(manual: pytest.Pytester) -> None:
    receivers = manual.path / "test_receivers.py"
    receivers.write_text(receivers.read_text().replace("@pytest.mark.receivers_may_fail\n", ""))
    ran = manual.runpytest_subprocess("test_receivers.py")
    ran.assert_outcomes(failed=1)
    [shown] = code_blocks("text")
    ran.stdout.fnmatch_lines([line.replace("[", "[[]") for line in shown.splitlines() if line != "..."])
