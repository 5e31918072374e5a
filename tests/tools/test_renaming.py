"""Packages are renamed where they are named, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.wheel.renaming import NameUnclear, Renaming, is_same_code

BOUND_NAMES = {
    "events": {"llm_called", "Signal", "failures"},
    "events.bus": set[str](),
    "events.bus.failures": {"strict"},
    "metrics": {"CATALOGUE"},
}
RENAMING = Renaming("acme", {module: frozenset(names) for module, names in BOUND_NAMES.items()})


@pytest.mark.parametrize(
    ("source", "renamed"),
    [
        ("from events import Signal", "from acme.events import Signal"),
        ("from  events.bus.failures import strict", "from  acme.events.bus.failures import strict"),
        ("def f():\n    from metrics import CATALOGUE", "def f():\n    from acme.metrics import CATALOGUE"),
        ("import events", "from acme import events"),
        ("import events as bus, json", "import acme.events as bus, json"),
        ("import events as bus", "from acme import events as bus"),
        ("import events.bus as bus", "import acme.events.bus as bus"),
        ("é = 1; from events import Signal", "é = 1; from acme.events import Signal"),
        ("log = getLogger(name) or logging.getLogger('events.sql')", None),
        ("from .events import Signal\nfrom . import events", None),
        ("from eventsource import events\nimport eventsource, metrics_of", None),
        ("events = client.events; events.llm_called; print(f'{events.count}')", None),
        ("receiver = 'metrics'; kind = 'events'", None),
    ],
)
def test_an_import_is_of_the_package_inside_and_binds_the_same_name(source: str, renamed: str | None) -> None:
    expected = source.replace("'events.sql'", "'acme.events.sql'") if renamed is None else renamed
    assert RENAMING.source(source) == expected
    ast.parse(expected)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("see `events.bus.failures.strict`", "see `acme.events.bus.failures.strict`"),
        ("``events.Signal(...)`` of `events`.", "``acme.events.Signal(...)`` of `acme.events`."),
        ("call events.llm_called.", "call acme.events.llm_called."),
        ("``python -m metrics check``", "``python -m acme.metrics check``"),
        ("by python -m metrics.", "by python -m acme.metrics."),
        ('catalogue = ["metrics:CATALOGUE"]', 'catalogue = ["acme.metrics:CATALOGUE"]'),
        (">>> from events import Signal", ">>> from acme.events import Signal"),
        (">>> import events", ">>> from acme import events"),
        ("from events.bus.failures import strict", "from acme.events.bus.failures import strict"),
        *((text, text) for text in (
            "the events emitted inside; apart from events. metrics: see events",
            "those who import metrics",
            "events.jsonl, docs/events.md, /metrics, metrics.py, https://a.example/events.Signal",
            "``metrics`` by a subscription, `events_total`, NS_events.Signal, my.events.Signal, [tool.x.metrics]",
            "acme.events.Signal and `acme.metrics`",
            "metrics: lower case",
        )),
    ],
)  # fmt: skip
def test_prose_is_renamed_where_it_can_only_mean_a_package(text: str, renamed: str) -> None:
    assert RENAMING.prose(text) == renamed
    assert RENAMING.prose(renamed) == renamed


def test_strings_and_comments_are_prose_and_lines_keep_their_numbers() -> None:
    source = (
        '"""Of `events`.\n\nMore."""\nx = f"é {y} {z:>{w}} events.Signal"  # metrics.CATALOGUE\nevents.Signal = 1\n'
    )
    assert RENAMING.source(source) == (
        '"""Of `acme.events`.\n\nMore."""\nx = f"é {y} {z:>{w}} acme.events.Signal"  # acme.metrics.CATALOGUE\n'
        "events.Signal = 1\n"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import events.bus", "line 1: import events.bus by `from`"),
        ("\nimport json, events", "line 2: import events by `from`, or alone"),
        ("print(f'{events.Signal}')", "an f-string names something"),
    ],
)
def test_what_would_change_the_code_is_refused(source: str, reason: str) -> None:
    with pytest.raises(NameUnclear, match=reason):
        RENAMING.source(source)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("import a\nf('b', 1)", "from c import d\nf('e', 1)", True),
        ("f'{a} b'", "f'{a} c'", True),
        ("f'{a}'", "f'{b}'", False),
        ("f('b', 1)", "f('b', 2)", False),
        ("f(0.0)", "f(-0.0)", False),
        ("x = 0.0", "x = 0", False),
        ("x = True", "x = 1", False),
        ("x = b'a'", "x = b'b'", False),
        ("f(a)", "f(a, b)", False),
        ("f(a)", "f(x=a)", False),
        ("if a:\n    import b", "if a:\n    pass", False),
        ("a.b", "a.c", False),
        ("a + b", "a - b", False),
    ],
)
def test_code_is_the_same_where_strings_and_imports_alone_differ(one: str, other: str, same: bool) -> None:
    assert is_same_code(ast.parse(one), ast.parse(other)) is same


STRINGS = (r"'it \'s # not'", '"""a "quoted" #\nword"""', r"rf'{a!r} \d'", "b'a'", "'''x''' 'y'", '""', r"'\\'")


@pytest.mark.parametrize("string", STRINGS)
def test_after_any_kind_of_string_the_next_string_and_the_comment_are_found(string: str) -> None:
    source = f"x = {string} or'events.Signal'  # 'metrics.CATALOGUE'\ny = events.Signal"
    assert RENAMING.source(source) == (
        f"x = {string} or'acme.events.Signal'  # 'acme.metrics.CATALOGUE'\ny = events.Signal"
    )


def test_names_are_read_from_the_files_of_the_packages(tmp_path: Path) -> None:
    package = tmp_path / "events"
    (package / "bus").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from .bus import Signal as Signal\nimport json as j\nif j:\n    A: int = 1\nelse:\n    b, c = 1, 2\n"
    )
    (package / "bus" / "__init__.py").write_text("class Signal: ...\ndef snake_case(): hidden = 1\n")
    renaming = Renaming.of("acme", [package])
    assert renaming.packages == ["events"]
    assert renaming.bound_names["events"] >= {"Signal", "j", "A", "b", "c"}
    assert renaming.bound_names["events.bus"] == {"Signal", "snake_case"}
