"""The headers of a provider's response: its rate limits, and how long to wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from operator import itemgetter
from time import time
from typing import Any

LIMIT_HEADERS = {
    f"{what}_{resource}": (f"x-ratelimit-{what}-{resource}", f"anthropic-ratelimit-{resource}-{what}")
    for what in ("limit", "remaining")
    for resource in ("requests", "tokens")
}
"""By the fields of `events.LLMAttempted`: OpenAI's header, and Anthropic's."""

RETRY_HEADERS = (("retry-after-ms", 0.001), ("retry-after", 1.0))
"""How long to wait, in these units."""

READ_HEADERS = frozenset(
    [
        *(name for names in LIMIT_HEADERS.values() for name in names),
        *(name for name, _ in RETRY_HEADERS),
        "x-litellm-response-cost",
    ]
)
"""All that are read of a response."""
_NAMES = {name.encode(): name for name in READ_HEADERS}
_RAW_NAMES = frozenset(_NAMES)

NO_HEADERS: Mapping[str, str] = {}

MAX_RETRY_AFTER = 86_400.0  # seconds; quotas of a day are the longest


Triples = Sequence[tuple[bytes, bytes, bytes]]
"""Headers as httpx has them: each name as it was sent, in lower case, and the value."""

lower_name = itemgetter(1)
"""Returns the name of a header in lower case."""

_name_and_value = itemgetter(1, 2)


def triples_of(headers: Any) -> Triples | None:
    """Return headers of httpx's as it has them, since each look-up of its own goes through all; None of a mapping.

    That list is private; where there is none, it is made of what is public.
    """
    try:
        triples: Triples = headers._list  # noqa: SLF001  # see above
    except AttributeError:
        raw = getattr(headers, "raw", None)
        return None if raw is None else [(name, name.lower(), value) for name, value in raw]
    return triples


def read_headers(headers: Any) -> Mapping[str, str]:
    """Return those headers of httpx's that are read of a response, in a plain dictionary: their own takes long."""
    triples = triples_of(headers)
    if triples is None:
        return {name: headers[name] for name in READ_HEADERS if name in headers}
    found = _RAW_NAMES.intersection(map(lower_name, triples))
    if not found:
        return NO_HEADERS
    values = dict(map(_name_and_value, triples))
    return {_NAMES[name]: values[name].decode("latin-1") for name in found}


def rate_limits(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the rate limits of a response and what remains of them; None where neither OpenAI nor Anthropic says."""
    if not headers:  # of an attempt that is observed from outside
        return {}
    limits: dict[str, Any] = {}
    for field, (of_openai, of_anthropic) in LIMIT_HEADERS.items():
        text = headers.get(of_openai) or headers.get(of_anthropic) or ""
        limits[field] = int(text) if text.isdigit() and text.isascii() and len(text) <= 15 else None
    return limits


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait before a retry, by the headers; None where they do not say, or nothing that can be.

    ``Retry-After`` has seconds or a date (RFC 9110, section 10.2.3), ``retry-after-ms`` of OpenAI and Anthropic
    milliseconds.
    """
    for name, unit in RETRY_HEADERS:
        text = headers.get(name)
        if not text or len(text) > 64 or not text.isascii():
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - time()
            except (ValueError, OverflowError):
                continue
        if 0 <= seconds <= MAX_RETRY_AFTER:
            return seconds
    return None
