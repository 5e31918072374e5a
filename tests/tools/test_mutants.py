"""How `make mutants` finds places and chooses tests; Cosmic Ray itself is in an environment of its own."""

from __future__ import annotations

import ast

import pytest

from tools.mutants.coverage_map import mirrors
from tools.mutants.places import ignored_spans, statement_spans
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
        ("@typing.overload\ndef f(): ...", ["typing.overload"]),
        ("pairs = zip(a, b, strict=True)", ["strict=True"]),
        ("@property\ndef f(): ...", []),
    ],
)
def test_what_no_test_can_notice_is_left_out(source: str, parts: list[str]) -> None:
    assert ignored(source) == parts


def test_a_compound_statement_is_its_header() -> None:
    source = "@cached\ndef f(\n    n,\n):\n    if n:\n        return g(\n            n,\n        )\n"
    assert sorted(statement_spans(ast.parse(source))) == [(1, 4), (5, 5), (6, 8)]


def test_tests_mirror_a_module_by_folder_or_by_name() -> None:
    path = "events/bus/span.py"
    assert mirrors("tests/events/bus/test_signal.py::test_a", path)
    assert mirrors("tests/public_api/test_span.py::test_a[b::c]", path)
    assert not mirrors("tests/metrics/subscription/test_subscribe.py::test_a", path)


def test_tests_are_run_as_long_as_the_budget_lasts() -> None:
    assert within(3.0, ["a", "b", "c"], {"a": 1.0, "b": 2.0, "c": 0.5}) == ["a", "b"]
