"""The scope that a request is made in, which is not always the current one."""

from __future__ import annotations

from ...bus.scope import Scope, current_scope

REQUEST = "http_request"
"""The kind of a request's scope."""


def surrounding_scope() -> Scope | None:
    """Return the scope that a request is made in, such as the one of another request that calls an application itself.

    It is none of a request that was answered: servers that take up the next request of a pipeline while they send the
    response to the one before (uvicorn, daphne) begin it in the context of that one.
    """
    surrounding = scope = current_scope.get()
    while scope is not None:
        was_answered = scope.kind == REQUEST and scope.aggregator_maker is None
        scope = scope.parent
        if was_answered:
            surrounding = scope
    return surrounding
