"""The keys of the API: several, each with a name, as ``alice:KEY,bob:KEY``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[\w.@-]+")


@dataclass(frozen=True)
class ApiKey:
    """A key that lets its holder use the API, as its SHA-256 digest: keys of any length compare in the same time."""

    name: str
    digest: bytes = field(repr=False)


def digest_of(key: bytes) -> bytes:
    """Return what is kept of a key and compared."""
    return hashlib.sha256(key).digest()


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys in a text, one a line or with commas between; lines that begin with ``#`` are comments.

    A key without a name is named by its number.

    Raises:
        ValueError: There is none, or one is empty; the message holds no key.
    """
    keys: list[ApiKey] = []
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for entry in filter(None, (entry.strip() for line in lines for entry in line.split(","))):
        name, colon, key = (part.strip() for part in entry.partition(":"))
        if not colon:
            name, key = f"key-{len(keys) + 1}", entry
        if not _NAME.fullmatch(name) or not key:
            raise ValueError("give each key as name:key, as in alice:3mHk...; a name has letters, digits, and ._@-")
        keys.append(ApiKey(name, digest_of(key.encode())))
    if not keys:
        raise ValueError("there is no key in it; give keys as name:key, as in alice:3mHk...")
    return tuple(keys)
