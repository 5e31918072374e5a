"""Prometheus's and Alertmanager's files with all their durations shorter, so that a test sees an alert come and go.

What is divided: ranges (``[5m]``), subqueries, ``offset``, ``for``, and every interval of a configuration. Names that
have a window in them (``rate5m``), limits and numbers of seconds in an expression stay as they are.
"""

from __future__ import annotations

import re

from metrics import alert_when

_UNIT = "(?:ms|[smhdwy])"
_DURATION = rf"(?:\d+{_UNIT})+"
_IN_EXPRESSION = re.compile(rf"(?<=\[)({_DURATION})(:(?:{_DURATION})?)?(?=\])|(?<=\boffset ){_DURATION}\b")
_OF_CONFIGURATION = re.compile(rf"^( *(?:- )?(?:for|\w+_interval|interval|group_wait): )({_DURATION})$", re.MULTILINE)


def shortened(text: str, by: float) -> str:
    """Return a file of rules, or a configuration, with each duration divided by ``by``."""

    def range_or_offset(match: re.Match[str]) -> str:
        return re.sub(_DURATION, lambda each: divided(each[0], by), match[0])

    text = _IN_EXPRESSION.sub(range_or_offset, text)
    return _OF_CONFIGURATION.sub(lambda match: match[1] + divided(match[2], by), text)


def divided(duration: str, by: float) -> str:
    """Return a duration as Prometheus writes it, divided, in whole milliseconds: at least one."""
    return f"{max(1, round(1000 * seconds(duration) / by))}ms"


def seconds(duration: str) -> float:
    """Return the seconds of a duration as Prometheus writes it, as in ``1h30m``.

    Raises:
        ValueError: It is none.
    """
    found = alert_when.seconds(duration)
    if not found:
        raise ValueError(f"{duration!r} is no duration; write it as in 1h30m")
    return found
