"""The form of an alert: when it fires, and what its runbook says."""

from __future__ import annotations

from dataclasses import dataclass

from ..alert_when import Severity


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One row: an alert, and the page that whoever it wakes reads.

    ``page`` wakes somebody, ``ticket`` is looked at within a day. ``expr`` has to be there for ``wait``. ``confirm``
    are queries that show whether it is so and where; ``act`` are steps, the first one first. ``needs`` names families
    beside those of ``expr``.
    """

    name: str
    severity: Severity
    expr: str
    wait: str = ""
    summary: str
    means: str
    hurts: str
    confirm: tuple[str, ...]
    act: tuple[str, ...]
    needs: str = ""
