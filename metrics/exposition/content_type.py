"""The choice of the format of a response, by ``Accept`` (RFC 9110, section 12.5.1).

A scraper that refuses every format gets the default all the same: numbers in the wrong format are more use than none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from ..text_format.formats import OFFERED_FORMATS, PROTOBUF_PARAMETERS, TEXT, Escaping, Format
from .accept_parsing import AcceptPart, parse_accept


def choose_format(accept: str, *, with_created: bool = False, with_classic: bool = True) -> Format:
    """Return the offered format that an ``Accept`` header prefers; text 0.0.4 where it accepts none.

    With ``with_created`` OpenMetrics says when each series began. A scraper that does not expect it takes each time for
    a series of its own, and text has no other place for it.

    Without ``with_classic`` messages leave out the classic buckets of a histogram that has exponential ones.

    The weight of a format is that of the range that matches it most exactly. Among equal weights the more exact match
    wins, then the range that comes first in the header.
    """
    best: tuple[float, int, int] = (0.0, 0, 0)
    choice = TEXT
    parts = list(parse_accept(accept))
    for offered in OFFERED_FORMATS:
        matches = [(_exactness(part, offered), part) for part in parts]
        exactness, part = max(matches, key=lambda match: (match[0], -match[1].position), default=(0, None))
        if part is None or not exactness:
            continue
        rank = (part.weight, exactness, -part.position)
        if part.weight > 0 and rank > best:
            best, choice = rank, _with_escaping(offered, part)
    if choice.is_protobuf and not with_classic:
        return replace(choice, with_classic=False)
    return replace(choice, with_created=True) if with_created and choice.is_openmetrics else choice


def _exactness(part: AcceptPart, offered: Format) -> int:
    """Return how exactly a range names a format: 4 with its version, 3, 2 for ``type/*``, 1 for ``*/*``, 0 not.

    Messages are for those alone who name them with all their parameters: no range with a star means them.
    """
    if offered.is_protobuf:
        named = {name: part.parameters.get(name) for name in PROTOBUF_PARAMETERS}
        expected = {name: value.lower() for name, value in PROTOBUF_PARAMETERS.items()}  # headers are read so
        return 4 if part.name == offered.media_type and named == expected else 0
    kind = offered.media_type.partition("/")[0]
    if part.name == offered.media_type:
        version = part.parameters.get("version")
        return 0 if version not in (None, offered.version) else 3 if version is None else 4
    return {"*/*": 1, f"{kind}/*": 2}.get(part.name, 0)


def _with_escaping(offered: Format, part: AcceptPart) -> Format:
    requested = part.parameters.get("escaping")
    for escaping in get_args(Escaping):
        if escaping == requested and offered.supports_escaping:
            return replace(offered, escaping=escaping)
    return offered
