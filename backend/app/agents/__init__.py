"""The studio's agents: who they are (`roster`), what they are told (`prompt`), how they are run (`runner`).

>>> execution = await execute("copywriter", assignment, model=llm.model, library=library)  # doctest: +SKIP
"""

from .registry import AGENTS
from .runner import execute
from .schemas import AgentFailed, AgentTimedOut, Assignment, Execution, Library, Spent

__all__ = ["AGENTS", "AgentFailed", "AgentTimedOut", "Assignment", "Execution", "Library", "Spent", "execute"]
