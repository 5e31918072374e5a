"""The cause of a run's failure, as one of the few values by which failed runs are counted."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from app.agents import AgentFailed
from app.agents.error_types import agent_error_type
from app.agents.tools import ToolFailed
from app.database import DatabaseUnavailable
from app.llm.answer_limit import AnswerTooLong
from events.workflows import WorkflowErrorType

DATABASE_ERRORS = (SQLAlchemyError, DatabaseUnavailable)


def step_error_type(error: Exception) -> WorkflowErrorType:
    """Return why a step failed, and its run with it: the type of its model's error, or what else it was."""
    cause = error.__cause__ if isinstance(error, AgentFailed) and isinstance(error.__cause__, Exception) else error
    if isinstance(cause, ToolFailed):
        return "database" if isinstance(cause.__cause__, DATABASE_ERRORS) else "tool"
    if isinstance(cause, DATABASE_ERRORS):
        return "database"
    if isinstance(cause, AnswerTooLong):
        return "answer_too_long"
    error_type = agent_error_type(cause)
    return "other" if error_type == "cancelled" else error_type
