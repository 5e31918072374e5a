"""The studio's agents: their table (`agent_definitions`), what they are sent (`prompt`), how they are run (`runner`).

Use::

    result = await execute("copywriter", assignment, model=llm.model, library=library)
"""

from .agent_definitions import AGENTS
from .runner import execute
from .schemas import AgentFailed, AgentResult, AgentTimedOut, Assignment, Library

__all__ = ["AGENTS", "AgentFailed", "AgentResult", "AgentTimedOut", "Assignment", "Library", "execute"]
