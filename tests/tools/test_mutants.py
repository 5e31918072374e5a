"""How `make mutants` finds places and chooses tests; Cosmic Ray itself is in an environment of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.mutants.coverage_map import SUITES, CoverageMap, in_order, is_of_package, mirrors
from tools.mutants.places import Place, function_bodies, ignored_spans, operator_spans, statement_spans
from tools.mutants.trial import within


def ignored(source: str) -> list[str]:
    lines = source.splitlines()
    return [lines[first[0] - 1][first[1] : last[1]] for first, last in ignored_spans(ast.parse(source))]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("def double(n: int | None = 2) -> int | None: return n * 2", ["int | None", "int | None"]),
        ("limit: int | None = 3", ["int | None"]),
        ("Labels = dict[str, int | None]", ["int | None"]),
        ("Name = str | bytes", ["str | bytes"]),
        ("flags = READ | WRITE", []),
        ("if TYPE_CHECKING: x = 1", ["if TYPE_CHECKING: x = 1"]),
        ("__all__ = ['a'] + ['b']", ["__all__ = ['a'] + ['b']"]),
        ("logger.warning('%d left', total - 1)", ["'%d left'", "total - 1"]),
        ("raise ValueError(f'{n + 1} is too many')", ["f'{n + 1} is too many'"]),
        ("@typing.overload\ndef f(): ...", ["@typing.overload"]),
        ("class A:\n    @cached\n    @final\n    def f(self): ...", ["@final"]),
        ("pairs = zip(a, b, strict=True)", ["strict=True"]),
        ("@dataclass(frozen=True, slots=True)\nclass A: ...", ["slots=True"]),
        ("@property\ndef f(): ...", []),
    ],
)
def test_what_no_test_can_notice_is_left_out(source: str, parts: list[str]) -> None:
    assert ignored(source) == parts


@pytest.mark.parametrize(
    ("source", "operators"),
    [
        ("def half(n, /, *, by=2): return n / by", [" / "]),
        ("halves = lambda *, n: [*n, n*0.5]", ["*"]),
        ("total = sum(*rows, **options) - (a + b) * c", [" - ", " + ", ") * "]),
        ("count += 1", []),
    ],
)
def test_a_binary_operator_stands_between_its_operands(source: str, operators: list[str]) -> None:
    found = sorted(operator_spans(ast.parse(source)))
    assert [source[first[1] : last[1]] for first, last in found] == operators


def test_a_compound_statement_is_its_header() -> None:
    source = "@cached\ndef f(\n    n,\n):\n    if n:\n        return g(\n            n,\n        )\n"
    assert sorted(statement_spans(ast.parse(source))) == [(1, 4), (5, 5), (6, 8)]


def test_a_functions_body_runs_when_it_is_called_and_its_header_on_import() -> None:
    source = "@cached\ndef f(n=1):\n    return n\nclass A:\n    m = 2\n    async def g(self, k=3): return k\n"
    assert function_bodies(ast.parse(source)) == [((3, 4), (3, 12)), ((6, 28), (6, 36))]


def test_tests_mirror_a_module_by_folder_or_by_name() -> None:
    path = "events/bus/span.py"
    assert mirrors("tests/events/bus/test_signal.py::test_a", path)
    assert mirrors("tests/public_api/test_span.py::test_a[b::c]", path)
    assert not mirrors("tests/metrics/subscription/test_subscribe.py::test_a", path)


def test_tests_of_a_package_are_of_all_that_is_in_it() -> None:
    path = "events/bus/span.py"
    assert is_of_package("tests/events/test_dataclasses.py::test_a", path)
    assert not is_of_package("tests/events/bus/test_signal.py::test_a", path)  # it mirrors it
    assert not is_of_package("tests/metrics/test_golden.py::test_a", path)


def test_the_fastest_tests_come_first_and_further_cases_of_one_later() -> None:
    seconds = {"t::a[1]": 1.0, "t::a[2]": 1.25, "t::a[3]": 1.5, "t::b": 2.0, "t::c": 3.0}
    assert in_order(seconds) == ["t::a[1]", "t::b", "t::a[2]", "t::c", "t::a[3]"]


def test_tests_are_run_as_long_as_the_budget_lasts() -> None:
    assert within(3.0, ["a", "b", "c"], {"a": 1.0, "b": 2.0, "c": 0.5}) == ["a", "b"]


class Contexts:
    """What coverage says: the tests that ran each line."""

    def __init__(self, lines: dict[int, list[str]]) -> None:
        self.lines = lines

    def contexts_by_lineno(self, _: str) -> dict[int, list[str]]:
        return {line: [f"{test}|run" for test in tests] for line, tests in self.lines.items()}


@pytest.mark.parametrize(
    ("lines", "near", "others"),
    [
        (
            {1: [""], 3: ["tests/a/test_b.py::x", "tests/c/test_d.py::y"]},
            ["tests/a/test_b.py::x"],
            ["tests/c/test_d.py::y"],
        ),
        ({1: [""], 3: ["tests/c/test_d.py::y"]}, [], ["tests/c/test_d.py::y"]),
        ({1: [""], 9: ["tests/c/test_d.py::y"]}, ["tests/a/test_b.py::x"], ["tests/c/test_d.py::y"]),
        ({}, ["tests/a/test_b.py::x"], ["tests/e/test_f.py::z", "tests/c/test_d.py::y"]),
    ],
    ids=["run by both", "run by another", "run in another process", "a table"],
)
def test_a_statement_is_tried_by_the_tests_that_run_it_and_else_by_those_that_mirror_it(
    lines: dict[int, list[str]], near: list[str], others: list[str]
) -> None:
    seconds = {"tests/a/test_b.py::x": 1.0, "tests/c/test_d.py::y": 2.0, "tests/e/test_f.py::z": 0.5}
    coverage = CoverageMap(Path("root"), Path("database"), seconds, dict.fromkeys(seconds, ""))
    vars(coverage)["_data"] = Contexts(lines)
    assert coverage.tests(Place("a/b.py", 3, 3, 4, ())) == (near, others)


def test_the_command_sets_up_the_environments_that_its_tests_need() -> None:
    makefile = Path("Makefile").read_text()
    needs = makefile.partition("\nmutants: ")[2].partition(" ##")[0].split()
    assert {f".venv/{name}" for name in SUITES if name} == {*needs} - {".venv/dev", ".mutants/ready"}
    assert all(f"test-{name}:\n" in makefile for name in SUITES if name)
