"""An agent's end, emitted in one word."""

from __future__ import annotations

from typing import Any

from events import agent_finished


def finish_agent(agent_name: str = "copywriter", status: Any = "success", duration: float = 1.0) -> None:
    """Emit that an agent's execution ended."""
    agent_finished.emit(agent_name=agent_name, status=status, duration=duration)
