"""The words of a log line that say who sent a statement or holds a connection, which are no labels of a metric."""

from __future__ import annotations

from ...bus.scope import Scope


def endpoint_of(scope: Scope | None) -> str:
    """Return the endpoint of the request that a scope is in, as far as it is known by now; empty outside of one."""
    while scope is not None:
        if scope.kind == "http_request":
            return str(getattr(scope, "endpoint", "") or scope.fields.get("endpoint", ""))
        scope = scope.parent
    return ""


def describe_scope(scope: Scope | None) -> str:
    """Return the endpoint and the workflow of a scope, if it is in any, its agent and its run.

    As in ``endpoint /orders/{number}, agent none, run none``.
    """
    fields = scope.fields if scope is not None else {}
    around = {"endpoint": endpoint_of(scope), "workflow": fields.get("workflow_type")}
    named = "".join(f"{name} {value}, " for name, value in around.items() if value)
    return f"{named}agent {fields.get('agent_name') or 'none'}, run {fields.get('run_id') or 'none'}"
