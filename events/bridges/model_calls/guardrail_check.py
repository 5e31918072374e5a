"""The check of a guardrail while it is under way, for bridges: told once, by the outermost that sees it.

A library of agents runs a guardrail, and a tracer may see it too: what another bridge sees inside of a check is that
check. What the same bridge sees inside, such as the guardrails of an agent that a guardrail asks, are checks of their
own.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from time import perf_counter

from ...bus.failures import report_failure
from ...bus.scope import Scope, get_effective_scope
from ...guardrails import GuardrailKind, GuardrailOutcome, guardrail_checked
from .event_scope import in_scope
from .names import label_of


class GuardrailCheck:
    """A check that starts here: `events.guardrail_checked` at its end, unless it is a part of another bridge's.

    Whatever fails in here is reported as a failure of the bridge, and never raised.

    Args:
        bridge: The name of the bridge.
        guardrail: The name of the guardrail.
        kind: What is checked.
        scope: The scope that the event is of; None for that of the code that makes it.
        around: The check that was under way around it when it started, where it is only known later to be one.
    """

    def __init__(
        self,
        bridge: str,
        guardrail: object,
        kind: GuardrailKind = "unknown",
        *,
        scope: Scope | None = None,
        around: GuardrailCheck | None = None,
    ) -> None:
        self.bridge = bridge
        self.guardrail = label_of(guardrail)
        self.kind = kind
        self.has_ended = False
        self.started_at = perf_counter()
        around = around or check_under_way()
        self.is_part = around is not None and around.bridge != bridge
        self._scope = scope or get_effective_scope()
        self._token: Token[GuardrailCheck | None] | None = None

    def enter(self) -> None:
        """Mark what other bridges see from now on as this check, until it ends."""
        self._token = current_check.set(self)

    def finish(self, outcome: GuardrailOutcome, error: str = "", *, duration: float | None = None) -> None:
        """Emit the check, once; ``error`` is the class that was raised, ``duration`` None for the time until now."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._token is not None:
            with suppress(ValueError):  # in another context than it was entered in it has no effect
                current_check.reset(self._token)
        if self.is_part:
            return
        try:
            with in_scope(self._scope):
                guardrail_checked.emit(
                    guardrail=self.guardrail,
                    kind=self.kind,
                    outcome=outcome,
                    duration=perf_counter() - self.started_at if duration is None else duration,
                    error=error,
                )
        except Exception as failure:
            report_failure(guardrail_checked.name, self.bridge, failure)


current_check: ContextVar[GuardrailCheck | None] = ContextVar("events.bridges.guardrail_check", default=None)


def check_under_way() -> GuardrailCheck | None:
    """Return the check that the running code is inside; None outside of all."""
    around = current_check.get()
    return None if around is None or around.has_ended else around
