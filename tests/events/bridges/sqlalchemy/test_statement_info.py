"""What an execution context says of its statement: its operation and table, and what is the same each time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import CacheStats, ExecuteStyle

from events.bridges.sqlalchemy.statement_info import (
    StatementState,
    cache_outcome,
    classify_statement,
    statement_key,
    statement_state,
)

MEMBERS = sa.table("members", sa.column("id"), schema="shop")


def context(text: str, construct: Any = None, **more: Any) -> Any:
    """Return a context that executes a text, or a construct that was compiled to it."""
    compiled = None if construct is None else SimpleNamespace(statement=construct, string=text)
    options = {"isinsert": False, "isupdate": False, "isdelete": False, "execute_style": ExecuteStyle.EXECUTE}
    return SimpleNamespace(**{"compiled": compiled, "statement": text, **options, **more})


def test_a_text_is_read() -> None:
    assert classify_statement(context("select * from posts"), "select * from posts") == ("select", "posts")


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_a_construct_that_changes_a_table_says_which(operation: str) -> None:
    """The text would say the same, and takes longer to read."""
    changed = context("not sql", SimpleNamespace(table=MEMBERS), **{f"is{operation}": True})
    assert classify_statement(changed, "not sql") == (operation, "members")


@pytest.mark.parametrize(
    "construct", [SimpleNamespace(table=MEMBERS), SimpleNamespace(table="users"), SimpleNamespace()]
)
def test_another_construct_is_read_by_its_text_once(construct: Any) -> None:
    made = context("select * from posts", construct)
    assert classify_statement(made, made.statement) == ("select", "posts")
    made.statement = "select * from posts where id in (1, 2)"
    assert classify_statement(made, made.statement) is classify_statement(made, made.statement)
    assert statement_state(made.compiled).info == ("select", "posts")


def test_what_a_context_executes_beside_its_own_statement_is_read_by_its_text() -> None:
    """The lookup of a default, while its own statement is still being built."""
    insert = context("insert into users", SimpleNamespace(table=MEMBERS), isinsert=True)
    assert classify_statement(insert, "select nextval('ids')") == ("select", "none")
    assert statement_state(insert.compiled).info is None
    assert classify_statement(insert, "insert into users /* batch */") == ("insert", "members")
    insert.statement = None
    assert classify_statement(insert, "select * from posts") == ("select", "posts")


def test_a_compiled_statement_has_one_state() -> None:
    compiled = SimpleNamespace()
    state = statement_state(compiled)
    assert (state.info, state.key, state.plan) == (None, None, None)
    assert statement_state(compiled) is state
    assert isinstance(state, StatementState)


@pytest.mark.parametrize(
    ("hit", "outcome"),
    [
        (CacheStats.CACHE_HIT, "hit"),
        (CacheStats.CACHE_MISS, "miss"),
        (CacheStats.CACHING_DISABLED, "disabled"),
        (CacheStats.NO_CACHE_KEY, "no_key"),
        (CacheStats.NO_DIALECT_SUPPORT, "disabled"),
        (None, "none"),
    ],
)
def test_a_compiled_statement_was_in_the_cache_or_not(hit: Any, outcome: str) -> None:
    assert cache_outcome(context("select 1", SimpleNamespace(), cache_hit=hit)) == outcome
    assert cache_outcome(context("select 1", cache_hit=hit)) == "none"


def test_repeats_of_a_statement_have_one_key_whatever_their_literals_and_their_engine_another() -> None:
    one, other = object(), object()
    text = context("select 1")
    assert statement_key(text, "select * from a where b = 1", one) == statement_key(
        text, "select * from a where b = 2", one
    )
    made = context("select * from a where b = ?", SimpleNamespace())
    key = statement_key(made, "select * from a where b = 7", one)
    assert key == statement_key(text, "select * from a where b = 1", one)
    assert statement_key(made, "another", one) is key
    assert statement_key(made, "another", other) != key
    made.compiled.string, made.compiled.events_statement = "", StatementState()
    assert statement_key(made, "select * from a where b = 3", one) == key
