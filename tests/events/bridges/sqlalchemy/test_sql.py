"""The operation and the table of a statement, read from its text."""

from __future__ import annotations

from pathlib import Path
from time import thread_time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.bridges.sqlalchemy import sql
from events.bridges.sqlalchemy.sql import describe, describe_cached
from events.bridges.sqlalchemy.sql.keywords import MAX_NAME_LENGTH
from events.bridges.sqlalchemy.sql.lexer import tokenize
from events.bridges.sqlalchemy.sql.literals import without_literals
from events.bridges.sqlalchemy.sql.parser import MAX_DEPTH
from events.database import Operation

OPERATIONS = frozenset(get_args(Operation))


def examples() -> list[tuple[str, str, str]]:
    lines = Path(__file__).with_name("statements.txt").read_text().splitlines()
    cells = [line.split(" | ", 2) for line in lines if " | " in line and not line.startswith("#")]
    return [(operation, table, text.replace(r"\n", "\n").replace(r"\t", "\t")) for operation, table, text in cells]


@pytest.mark.parametrize(("operation", "table", "text"), examples())
def test_operation_and_table_are_read_from_statements_of_any_dialect(operation: str, table: str, text: str) -> None:
    """Each row of statements.txt holds a statement with its operation and its table."""
    assert describe(text) == (operation, table)


def test_a_name_without_quotes_has_one_label_in_any_case() -> None:
    """SQL folds such names; a quoted name keeps its case."""
    assert {describe(f"select * from {name}")[1] for name in ("users", "Users", "USERS")} == {"users"}
    assert describe('select * from "Users"')[1] == "Users"


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 2 * MAX_DEPTH])
def test_what_follows_a_group_that_is_too_deep_to_be_read_is_read(depth: int) -> None:
    group = f"{'(' * depth}SELECT 1 FROM letters{')' * depth}"
    assert describe(f"SELECT {'(' * depth}1{')' * depth} FROM parcels") == ("select", "parcels")
    assert describe(f"WITH sent AS {group} SELECT * FROM parcels") == ("select", "parcels")
    assert describe(f"WITH sent AS (SELECT 1 FROM letters WHERE id IN {group}) DELETE FROM parcels") == (
        "delete",
        "parcels",
    )


def test_groups_side_by_side_are_not_deep() -> None:
    groups = ", ".join(["(1)"] * (MAX_DEPTH + 5))
    assert describe(f"SELECT {groups} FROM (SELECT * FROM (SELECT * FROM parcels))") == ("select", "parcels")


def test_a_table_past_the_bounds_is_other_and_not_none() -> None:
    """`none` would say that there is no table, which nobody knows."""
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


@pytest.mark.slow
@given(st.text() | st.lists(_PIECES, max_size=40).map(" ".join) | st.lists(_PIECES, max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_has_an_operation_of_the_closed_set_and_a_short_table(text: str) -> None:
    """Describing a text never raises, and never returns a label that is out of bounds."""
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


@pytest.mark.slow
@pytest.mark.parametrize("piece", [*_WORDS, *_MARKS, "\x00", "\ud800"])
@pytest.mark.parametrize("start", ["", "select * from ", "with a as ("])
def test_a_megabyte_is_described_in_bounded_work(start: str, piece: str) -> None:
    """No text is read twice: the limit is some ten times what the worst of these takes."""
    text = start + piece * (1_000_000 // len(piece))
    began = thread_time()
    operation, _ = describe(text)
    assert thread_time() - began < 5
    assert operation in OPERATIONS


def test_the_cache_of_texts_is_bounded_in_number_and_size() -> None:
    """Texts with literals in them are all different: they must not pile up."""
    cache = sql._cached_describe
    cache.cache_clear()
    for number in range(600):
        describe_cached(f"select * from users where id = {number}")
    assert cache.cache_info().currsize == 512
    cache.cache_clear()
    assert describe_cached("select * from users where name = '" + "x" * 100_000 + "'") == ("select", "users")
    assert cache.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("statement", "blanked"),
    [
        ("select 'a''b', 1.5, t1.x from t1 where n = 7", "select ?, ?, t1.x from t1 where n = ?"),
        (r"select E'it\'s secret', 'it\'s secret', 'a\', 'secret'", "select ?, ?, ?, ?"),
        ("select $$secret$$, $a$it's $$ secret$a$, x from t", "select ?, ?, x from t"),
        ("select 0xdeadbeef, -1e-5, x", "select ?, -?, x"),
        ("insert into t values ('never closed, secret", "insert into t values (?"),
        ("update t set a = '', b = 'secret'", "update t set a = ?, b = ?"),
    ],
)
def test_literals_are_blanked(statement: str, blanked: str) -> None:
    assert without_literals(statement) == blanked


def test_tokens_are_those_of_the_first_statement_or_of_a_script() -> None:
    text = "select 1; delete from users"
    assert len(list(tokenize(text))) < len(list(tokenize(text, script=True)))
