"""What a scraper asks for in ``Accept`` and ``Accept-Encoding`` (RFC 9110, section 12.5).

Nothing in a header fails: a part that can't be read counts as absent, and a scraper that refuses everything gets the
default all the same, since numbers in the wrong format are more use than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, get_args

from ..text_format.formats import OFFERED_FORMATS, TEXT, Escaping, Format

_MOST_PARTS: Final = 64
"""A header with more is not from a scraper; the rest of it is left unread."""


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    parameters: Mapping[str, str]
    weight: float
    place: int


def choose_format(accept: str) -> Format:
    """Choose the format that suits an ``Accept`` header best.

    A format's weight is that of the range that names it most exactly. Among equal weights the exact range wins, then
    the one that stands first.
    """
    best: tuple[float, int, int] = (0.0, 0, 0)
    chosen = TEXT
    parts = list(_parts(accept))
    for offered in OFFERED_FORMATS:
        fitting = [(_exactness(part, offered), part) for part in parts]
        exact, part = max(fitting, key=lambda pair: (pair[0], -pair[1].place), default=(0, None))
        if part is None or not exact:
            continue
        rank = (part.weight, exact, -part.place)
        if part.weight > 0 and rank > best:
            best, chosen = rank, _escaped(offered, part)
    return chosen


def _exactness(part: _Part, offered: Format) -> int:
    kind = offered.media_type.partition("/")[0]
    if part.name == offered.media_type:
        version = part.parameters.get("version")
        return 0 if version not in (None, offered.version) else 3 if version is None else 4
    return {"*/*": 1, f"{kind}/*": 2}.get(part.name, 0)


def _escaped(offered: Format, part: _Part) -> Format:
    asked = part.parameters.get("escaping")
    for escaping in get_args(Escaping):
        if escaping == asked and offered.supports_escaping:
            return replace(offered, escaping=escaping)
    return offered


def choose_encoding(accept_encoding: str, available: tuple[str, ...]) -> str:
    """Choose among the encodings that there are, the preferred one first; ``identity`` suits where none does.

    ``*`` stands for gzip, which everybody reads; anything else is named by who wants it.
    """
    weights = {part.name: part.weight for part in reversed(list(_parts(accept_encoding)))}
    if "*" in weights:
        weights.setdefault("gzip", weights["*"])
    best, chosen = weights.get("identity", 0.0), "identity"
    for encoding in reversed(available):
        if (weight := weights.get(encoding, 0.0)) > 0 and weight >= best:
            best, chosen = weight, encoding
    return chosen


def _parts(header: str) -> Iterator[_Part]:
    for place, text in enumerate(header.split(",", _MOST_PARTS)[:_MOST_PARTS]):
        name, *rest = text.lower().split(";")
        given = {key.strip(): value.strip().strip('"') for key, _, value in (each.partition("=") for each in rest)}
        with suppress(ValueError):
            weight = float(given.get("q", "1"))
            if 0 <= weight <= 1:  # a NaN is not
                yield _Part(name.strip(), given, weight, place)
