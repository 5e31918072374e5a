"""The names that requests may ask for: ``studio.example.com``, ``*.example.com`` for all below one, ``*`` for any."""

from __future__ import annotations

import re
from ipaddress import ip_address

_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}")
_MAX_NAME = 253  # RFC 1035, section 2.3.4, without the root's dot


def parse_host_names(text: str) -> tuple[str, ...]:
    """Return the names and addresses in a list with commas between, in small letters and without brackets.

    Raises:
        ValueError: There is none, or one could never be the name in a Host header; the message quotes it.
    """
    names = tuple(_parse(entry.strip()) for entry in text.split(",") if entry.strip())
    if not names:
        raise ValueError("there is no name in it; give names as studio.example.com, with commas between")
    return names


def _parse(entry: str) -> str:
    if entry == "*":
        return entry
    name = entry.lower().removesuffix(".")
    try:
        # As browsers send it, whichever way an IPv6 address is written here.
        return str(ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name))
    except ValueError:
        pass
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise ValueError(
            f"{entry!r} is no name: give a name or an address without scheme, port or path, as in studio.example.com "
            "or *.example.com, with commas between; letters beyond ASCII as xn--..."
        )
    return name
