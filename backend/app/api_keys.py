"""The keys of the API: several, each with a name, as ``alice:KEY,bob:KEY``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SHORT_KEY = 16
"""Characters below which a key is called short: 16 hexadecimal digits are 64 bits, the least that OWASP's *Session
Management Cheat Sheet* asks of a token that nobody is to guess."""

_NAME = re.compile(r"[\w.@-]+")
_KEY = re.compile(r"[!-~]+")  # what a header can have as it is: ASCII, without spaces
_FORM = "give each key as name:key, as in alice:3mHk...; a name has letters, digits, and ._@-"


@dataclass(frozen=True)
class ApiKey:
    """A key that lets its holder use the API, as its SHA-256 digest: keys of any length compare in the same time."""

    name: str
    digest: bytes = field(repr=False)
    is_short: bool = False


def digest_of(key: bytes) -> bytes:
    """Return what is kept of a key and compared."""
    return hashlib.sha256(key).digest()


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys in a text, one a line or with commas between; lines that begin with ``#`` are comments.

    Raises:
        ValueError: There is none, or one is not ``name:key``, or two have one name or are the same; the message says
            which line and holds no key.
    """
    keys: list[ApiKey] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        for entry in filter(None, (entry.strip() for entry in line.split(","))):
            try:
                keys.append(_parse(entry))
            except ValueError as error:
                where = f"line {number}: " if len(lines) > 1 else ""
                raise ValueError(f"{where}{error}; {_FORM}") from None
    if not keys:
        raise ValueError("there is no key in it; give keys as name:key, as in alice:3mHk...")
    validate_distinct(keys)
    return tuple(keys)


def read_key_file(file: Path) -> tuple[ApiKey, ...]:
    """Return the keys in a file.

    Raises:
        OSError: It cannot be read.
        ValueError: What `parse_keys` raises, or it is no UTF-8.
    """
    try:
        return parse_keys(file.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8; save it as UTF-8") from None


def validate_distinct(keys: Iterable[ApiKey]) -> None:
    """Check that keys can be told apart.

    Raises:
        ValueError: Two have one name, or are the same; the message has the names.
    """
    names: set[str] = set()
    holders: dict[bytes, str] = {}
    for key in keys:
        if key.name in names:
            raise ValueError(f"two keys are named {key.name}; give each a name of its own")
        if key.digest in holders:
            raise ValueError(f"{holders[key.digest]} and {key.name} have the same key; give each one of its own")
        names.add(key.name)
        holders[key.digest] = key.name


def _parse(entry: str) -> ApiKey:
    """Return the key in an entry; raise ValueError with what is wrong with it, and not with what it is."""
    name, colon, key = (part.strip() for part in entry.partition(":"))
    if not colon:
        raise ValueError("an entry has no colon")
    if not _NAME.fullmatch(name):
        raise ValueError("a name has other characters, or none")
    if not _KEY.fullmatch(key):
        raise ValueError(f"the key of {name} is empty, or has spaces or characters beyond ASCII")
    return ApiKey(name, digest_of(key.encode()), is_short=len(key) < SHORT_KEY)
