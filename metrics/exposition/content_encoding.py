"""The choice between gzip, zstd and no compression, by ``Accept-Encoding`` (RFC 9110, section 12.5.3), and the codecs.

zstd is there on Python 3.14 or where ``zstandard`` is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from . import gzip_segments
from .accept_parsing import parse_accept

Compress = Callable[[bytes], bytes]


def choose_encoding(accept_encoding: str, available: tuple[str, ...]) -> str:
    """Return the encoding that an ``Accept-Encoding`` header prefers; ``identity``, no compression, where none fits.

    ``*`` stands for gzip, which every client can read; any other encoding has to be named.

    Args:
        accept_encoding: The header.
        available: The encodings to choose from; among equal q-values the earlier one wins, and over ``identity``.
    """
    weights = {part.name: part.weight for part in reversed(list(parse_accept(accept_encoding)))}
    if "*" in weights:
        weights.setdefault("gzip", weights["*"])
    best, choice = weights.get("identity", 0.0), "identity"
    for encoding in reversed(available):
        if (weight := weights.get(encoding, 0.0)) > 0 and weight >= best:
            best, choice = weight, encoding
    return choice


@cache
def compressors() -> dict[str, Compress]:
    """Return the available compressors by their name in HTTP, the preferred one first."""
    zstd = _zstd()
    return {**({"zstd": zstd} if zstd else {}), "gzip": gzip_segments.compress}


def _zstd() -> Compress | None:
    for name in ("compression.zstd", "zstandard"):  # Python 3.14 has the first
        try:
            module: Any = import_module(name)
            compress = module.compress
        except (ImportError, AttributeError):
            continue
        return lambda body: bytes(compress(body, 1))
    return None
