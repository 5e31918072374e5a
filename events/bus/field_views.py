"""Views of the fields of an emission: they have the attributes of the event, which need not be built for them.

To set forty slots of an event takes longer than all that a receiver of metrics does with it.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from .event_construction import is_plain, mutable_twin


def view_class(event: type[Any]) -> type[Any] | None:
    """Return a subclass of an event's class whose instances show what is assigned to their ``__dict__``.

    What is not in it is shown with the field's default. Properties and methods are the event's own. None where building
    an event does more than set its fields, or where a default is made anew for each event.

    >>> from events import ToolCalled
    >>> view = object.__new__(view_class(ToolCalled))
    >>> view.__dict__ = {"tool_name": "search", "status": "success", "duration": 0.1}
    >>> view.tool_name, view.mcp_server is None
    ('search', True)
    """
    if not is_plain(event) or mutable_twin(event) is None or "__init_subclass__" in vars(event):
        return None
    namespace: dict[str, Any] = {each.name: None if each.default is MISSING else each.default for each in fields(event)}
    # Plain attributes, which hide the slots: an instance's ``__dict__`` comes before them.
    namespace |= {
        "__slots__": () if event.__dictoffset__ else ("__dict__",),  # one without slots of its own has one already
        "__setattr__": object.__setattr__,
        "__qualname__": event.__qualname__,
        "__module__": event.__module__,
    }
    return type(event.__name__, (event,), namespace)
