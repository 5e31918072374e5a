"""The log line of a slow statement: it holds its SQL and who sent it, and no literal."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

import events
from events.bridges.sqlalchemy import instrument


def test_a_slow_statement_is_logged_without_its_literals_and_parameters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = sa.create_engine(f"sqlite:///{tmp_path}/slow.db")
    with (
        instrument(made, slow_seconds=0.0),
        caplog.at_level(logging.WARNING, logger="events.sql"),
        events.query_executed.captured() as seen,
        events.workflow_run.scope(run_id="r1", workflow_type="campaign"),
        events.agent_run(agent_name="copywriter"),
        made.connect() as connection,
    ):
        connection.execute(sa.text("select 'it''s secret', 42, :name"), {"name": "hidden"})
    made.dispose()
    assert [event.slow for event in seen] == [True]
    (line,) = caplog.messages
    assert "agent copywriter, run r1" in line
    assert "select ?, ?, ?" in line
    assert not any(word in line for word in ("secret", "42", "hidden"))


def test_literals_are_blanked_before_the_text_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The quote that closes one would be missing otherwise, and it would be logged."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/slow.db")
    with (
        instrument(made, slow_seconds=0.0),
        caplog.at_level(logging.WARNING, logger="events.sql"),
        made.connect() as connection,
    ):
        connection.exec_driver_sql(f"select '{'secret ' * 5000}'")
    made.dispose()
    assert [message.rsplit(": ", 1)[1] for message in caplog.messages] == ["select ?"]
