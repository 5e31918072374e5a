"""A lost table of the studio is told from one of the workflow engine, whatever the language of the server."""

from __future__ import annotations

import pytest

from app.database import lost_studio_table


@pytest.mark.parametrize(
    ("said", "table"),
    [
        ('relation "executors" does not exist\nLINE 2: FROM executors', "executors"),
        ("la relation « runs » n'existe pas", "runs"),
        ("column runs.trace does not exist", "runs"),
        ('column "trace" of relation "steps" does not exist', "steps"),
        ("no such table: audit_events", "audit_events"),
        ('relation "dbos.workflow_status" does not exist\nLINE 1: SELECT 1 FROM runs', None),
        ('relation "dbos.runs" does not exist', None),
        ('schema "dbos" does not exist', None),
        ("no such table: workflow_status", None),
        ("column workflow_status.attempts does not exist", None),
    ],
)
def test_the_table_is_named_by_the_first_line(said: str, table: str | None) -> None:
    assert lost_studio_table(Exception(said)) == table
