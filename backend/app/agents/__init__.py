"""The studio's agents: who they are (`registry`), what they are sent (`prompt`) and how they are run (`runner`).

Use::

    result = await execute("copywriter", assignment, model=llm.model, library=library)
"""

from .registry import AGENTS
from .runner import execute
from .schemas import AgentFailed, AgentResult, AgentTimedOut, Assignment, Library

__all__ = ["AGENTS", "AgentFailed", "AgentResult", "AgentTimedOut", "Assignment", "Library", "execute"]
