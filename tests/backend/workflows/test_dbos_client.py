"""Lines of the workflow engine's own log: those that say what the studio says itself are left out."""

from __future__ import annotations

import logging

import pytest
from dbos import error as errors

from app.workflows import dbos_client


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (dbos_client.EngineFailed(), []),
        (errors.DBOSAwaitedWorkflowCancelledError("1"), []),  # another process has cancelled the run
        (LookupError("secret"), ["Exception encountered: LookupError"]),
    ],
)
def test_a_line_about_a_run_is_short_and_none_where_the_studio_has_its_own(
    error: Exception, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    dbos_client._configure_logging("info")
    logging.getLogger("dbos").error("Exception encountered:", exc_info=error)
    assert caplog.messages == lines
