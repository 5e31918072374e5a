"""A run that fails is counted by what it failed with: its model, a tool, the database, or its own limits."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from sqlalchemy.exc import IntegrityError, OperationalError

from app.agents import AgentFailed
from app.agents.schemas import AgentTimedOut
from app.agents.tools import ToolFailed
from app.database import DatabaseUnavailable
from app.llm.answer_limit import AnswerTooLong
from app.llm_usage import LLMUsage
from app.workflows.error_causes import step_error_type


def caused_by(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error


def agent_failed(cause: Exception) -> Exception:
    return caused_by(AgentFailed("It failed.", LLMUsage()), cause)


STATEMENT: tuple[str, dict[str, object], Exception] = ("SELECT 1", {}, Exception("away"))


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (agent_failed(ModelHTTPError(429, "m")), "rate_limited"),
        (agent_failed(ModelHTTPError(503, "m")), "provider_5xx"),
        (agent_failed(TimeoutError()), "timeout"),
        (caused_by(AgentTimedOut("Too late.", LLMUsage()), TimeoutError()), "timeout"),
        (agent_failed(caused_by(ToolFailed("It failed."), OperationalError(*STATEMENT))), "database"),
        (agent_failed(caused_by(ToolFailed("It failed."), DatabaseUnavailable("It is away."))), "database"),
        (agent_failed(caused_by(ToolFailed("It failed."), KeyError("brand"))), "tool"),
        (agent_failed(AnswerTooLong("Too long.")), "answer_too_long"),
        (IntegrityError(*STATEMENT), "database"),
        (ZeroDivisionError(), "other"),
        (AgentFailed("It says no more.", LLMUsage()), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value.__cause__ or value).__name__,
)
def test_a_step_fails_by_a_cause(error: Exception, error_type: str) -> None:
    assert step_error_type(error) == error_type
