"""The studio's agents: who they are (`roster`), what they are told (`prompt`), how they are run (`runner`).

>>> execution = await execute("copywriter", assignment, model=llm.model, library=library)  # doctest: +SKIP
"""

from .assignment import AgentFailed, AgentTimedOut, Assignment, Execution, Library, Spent
from .roster import AGENTS
from .runner import execute

__all__ = ["AGENTS", "AgentFailed", "AgentTimedOut", "Assignment", "Execution", "Library", "Spent", "execute"]
