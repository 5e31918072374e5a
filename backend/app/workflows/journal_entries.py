"""The entries of the journal: what a process has under way that the database does not tell, should it be killed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.database import Step, StepStatus
from app.llm_usage import LLMUsage
from events.bus.fields import WorkflowStatus
from events.workflows import WorkflowErrorType


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUsage:
    """The usage of one attempt at a step so far; ``duration`` is the time until its last call began or ended.

    Attributes:
        in_call: Whether a call of the model is under way. It is not in ``usage``: its tokens are not known.
        status: How the attempt ended; None before it did.
    """

    attempt_id: str
    run_id: str
    position: int
    name: str
    agent_name: str
    started_at: datetime
    duration: float
    usage: LLMUsage
    in_call: bool = False
    status: StepStatus | None = None

    @property
    def key(self) -> str:
        """The name of the entry: a later one replaces it."""
        return self.attempt_id

    def to_json(self) -> str:
        """Return the entry as one line."""
        return json.dumps({**asdict(self), "started_at": self.started_at.isoformat()})

    def as_step(self) -> Step:
        """Return the step that the database gets where the attempt's process was killed."""
        return Step(
            run_id=self.run_id,
            position=self.position,
            name=self.name,
            agent_name=self.agent_name,
            status="cancelled",
            error="The process ended during the step.",
            output=None,
            started_at=self.started_at,
            duration=self.duration,
            **asdict(self.usage),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change of a run's row that is about to be committed, and whose event is emitted after the commit.

    Attributes:
        run_id: The run.
        moment: When it starts or ends: the row has this very timestamp once the change is committed.
        status: How the run ends; None for a start.
        error_name: The short name of the error that it ends with.
        error_type: The kind of it.
    """

    run_id: str
    moment: datetime
    status: WorkflowStatus | None
    error_name: str = ""
    error_type: WorkflowErrorType | None = None

    @property
    def key(self) -> str:
        """The name of the entry: the same change, repeated, has the same."""
        return f"{self.run_id} {self.moment.isoformat()}"

    def to_json(self) -> str:
        """Return the entry as one line."""
        return json.dumps({**asdict(self), "moment": self.moment.isoformat()})


Entry = AttemptUsage | Transition


def parse_line(line: str) -> Entry:
    """Return the entry that ``to_json`` has written.

    Raises:
        ValueError: The line is not one, as the last line of a process that was killed while it wrote.
    """
    try:
        values: dict[str, Any] = json.loads(line)
        if "moment" in values:
            return Transition(**{**values, "moment": datetime.fromisoformat(values["moment"])})
        started_at = datetime.fromisoformat(values.pop("started_at"))
        return AttemptUsage(**{**values, "started_at": started_at, "usage": LLMUsage(**values["usage"])})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None
