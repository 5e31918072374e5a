"""The label of a table: its name as declared, or one of a few words; it follows tables that are declared later."""

from __future__ import annotations

import sqlalchemy as sa

from events.bridges.sqlalchemy.sql.keywords import NONE, OTHER, SYSTEM
from events.bridges.sqlalchemy.table_labels import TableLabels

WORDS = (NONE, SYSTEM, OTHER)


def test_without_metadata_any_name_is_a_label_for_good() -> None:
    labels = TableLabels(None)
    assert [labels.label(name) for name in ("users", "Users", *WORDS)] == ["users", "Users", *WORDS]
    assert labels.is_final("users")
    assert labels.is_final(OTHER)


def test_metadata_that_has_no_table_yet_knows_the_words() -> None:
    labels = TableLabels(sa.MetaData())
    assert [labels.label(name) for name in (*WORDS, "users")] == [*WORDS, OTHER]


def test_a_table_has_the_name_that_it_is_declared_with() -> None:
    """SQL that does not quote a name was read in lower case."""
    metadata = sa.MetaData()
    for name in ("users", "Blog Posts"):
        sa.Table(name, metadata)
    labels = TableLabels(metadata)
    names = ("users", "blog posts", "Blog Posts", "USERS", "notes", *WORDS)
    assert [labels.label(name) for name in names] == ["users", "Blog Posts", "Blog Posts", OTHER, OTHER, *WORDS]
    assert labels.is_final("users")
    assert not labels.is_final(OTHER)


def test_a_table_that_is_declared_later_has_its_name_from_then_on() -> None:
    metadata = sa.MetaData()
    labels = TableLabels(metadata)
    assert labels.label("notes") == OTHER
    notes = sa.Table("notes", metadata)
    assert labels.label("notes") == "notes"
    metadata.remove(notes)
    assert labels.label("notes") == OTHER
