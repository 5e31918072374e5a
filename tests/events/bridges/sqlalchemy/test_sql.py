"""What a statement does and to which table, told from its text."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.bridges.sqlalchemy import sql
from events.bridges.sqlalchemy.sql import describe, describe_cached
from events.bridges.sqlalchemy.sql.keywords import MAX_NAME_LENGTH
from events.database import Operation

OPERATIONS = frozenset(get_args(Operation))


def rows() -> list[tuple[str, str, str]]:
    lines = Path(__file__).with_name("statements.txt").read_text().splitlines()
    cells = [line.split(" | ", 2) for line in lines if " | " in line and not line.startswith("#")]
    return [(operation, table, text.replace(r"\n", "\n").replace(r"\t", "\t")) for operation, table, text in cells]


@pytest.mark.parametrize(("operation", "table", "text"), rows())
def test_a_statement_of_any_dialect_is_known_by_its_text(operation: str, table: str, text: str) -> None:
    """Each row of statements.txt holds a statement and what it is."""
    assert describe(text) == (operation, table)


def test_a_name_without_quotes_is_one_label_however_it_is_written() -> None:
    """SQL folds such names; a quoted name keeps its case."""
    assert {describe(f"select * from {name}")[1] for name in ("users", "Users", "USERS")} == {"users"}
    assert describe('select * from "Users"')[1] == "Users"


def test_a_table_past_the_bounds_is_other_not_none() -> None:
    """`none` would say that there is no table, when nobody looked."""
    far = "select " + "a, " * 100_000 + "b from users"
    deep = "select * from " + "(select * from " * 1000 + "users" + ")" * 1000
    long = f'select * from "{"x" * (MAX_NAME_LENGTH + 1)}"'
    assert [describe(text) for text in (far, deep, long)] == [("select", "other")] * 3


# fmt: off
_PIECES = st.sampled_from([
    "select", "from", "with", "recursive", "as", "insert", "into", "update", "set", "delete", "using", "merge", "on",
    "call", "create", "table", "index", "union", "join", "lateral", "values", "is", "distinct", "begin", "exec",
    "grant", "(", ")", ",", ";", ".", "'", '"', "`", "[", "]", "/*", "*/", "--", "#", "\n", "$$", "q'[", "E'", "\\",
    "{", "@a", "=", "users", '"Order Items"', "pg_class", "1", "?", "*", "%s",
])
# fmt: on


@given(st.text() | st.lists(_PIECES, max_size=40).map(" ".join) | st.lists(_PIECES, max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_has_an_operation_of_the_closed_set_and_a_short_table(text: str) -> None:
    """Whatever is sent, describing it never raises and never makes a label out of bounds."""
    operation, table = describe(text)
    assert operation in OPERATIONS
    assert 0 < len(table) <= MAX_NAME_LENGTH
    assert describe_cached(text) == (operation, table)


_WORDS = (
    "select ",
    "with a as (select ",
    "select * from (",
    "a,",
    "(1),",
    ";",
    "1.",
    "x",
    "a.",
    "x'",
    "join a on (",
    ")(",
)
_MARKS = (
    "(",
    "/*",
    "/* /* */ ",
    "'",
    '"a',
    "`",
    "[a",
    "$a$",
    "q'[",
    "E'\\",
    "'\\",
    "#",
    "\n#",
    "--",
    " ",
    "\t\n",
    ". ",
)


@pytest.mark.parametrize("piece", [*_WORDS, *_MARKS, "\x00", "\ud800"])
@pytest.mark.parametrize("start", ["", "select * from ", "with a as ("])
def test_a_megabyte_is_described_in_bounded_work(start: str, piece: str) -> None:
    """No text makes it read again what it has read: a second is some ten times what the worst of these takes."""
    text = start + piece * (1_000_000 // len(piece))
    began = perf_counter()
    operation, _ = describe(text)
    assert perf_counter() - began < 5
    assert operation in OPERATIONS


def test_texts_are_remembered_in_bounded_number_and_size() -> None:
    """Statements put together by hand are all different: they must not pile up."""
    kept = sql._cached_describe
    kept.cache_clear()
    for number in range(600):
        describe_cached(f"select * from users where id = {number}")
    assert kept.cache_info().currsize == 512
    kept.cache_clear()
    assert describe_cached("select * from users where name = '" + "x" * 100_000 + "'") == ("select", "users")
    assert kept.cache_info().currsize == 0
