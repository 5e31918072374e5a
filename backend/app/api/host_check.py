"""The check of whom a request asks and where it comes from: against pages of other sites that drive the studio.

A page of another site can send requests to a studio on the visitor's machine. Under a name of its own that it lets
resolve to 127.0.0.1 (DNS rebinding) it could read the answers too; such a request has that name as its Host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_REMEMBERED = 100


class HostCheck:
    """Checks the Host and the Origin of requests.

    Starlette's ``TrustedHostMiddleware`` answers 400, redirects to ``www.`` names, and exempts no path.

    Args:
        allowed: Names beside those of the loopback interface, as in ``studio.example.com``; ``*.example.com`` are all
            below one, and ``*`` are all. A proxy may serve the studio under them, and change the Host.
        own: The addresses that the studio itself listens on.
    """

    def __init__(self, allowed: Iterable[str], own: Iterable[str] = ()) -> None:
        names = {name.lower().strip("[]") for name in allowed}
        self._own = frozenset(name.lower().strip("[]") for name in own)
        self._any = "*" in names
        self._names = frozenset(names)
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._known: set[bytes] = set()

    def allows_host(self, host: bytes) -> bool:
        """Return whether a Host header has a name that is the studio's, with any port."""
        if host in self._known:
            return True
        parsed = parse_host(host)
        if parsed is None or not (self._any or self._is_own(parsed[0]) or self._is_named(parsed[0])):
            return False
        if len(self._known) < _MAX_REMEMBERED:
            self._known.add(host)
        return True

    def allows_origin(self, host: bytes, origin: bytes | None, site: bytes | None) -> bool:
        """Return whether a request that changes something comes from a page of the studio's, or from no page at all.

        Browsers send Sec-Fetch-Site or Origin, or both, with each request that changes something. As Go's
        ``http.CrossOriginProtection`` does, but what they say has to agree.

        Args:
            host: The Host header.
            origin: The Origin header, if any.
            site: The Sec-Fetch-Site header, if any.
        """
        if origin is None:
            return site in {None, b"same-origin", b"none"}
        try:
            url = urlsplit(origin.decode("ascii"))
            name, port = url.hostname or "", url.port
        except ValueError:
            return False
        if url.scheme not in _DEFAULT_PORTS:
            return False  # "null" too: of files, sandboxed frames and data: URLs
        if site not in {None, b"same-origin"}:
            return False
        if port is None and self._is_named(name) and not self._is_own(name):
            return True  # a proxy before the studio may have changed the Host
        default = _DEFAULT_PORTS[url.scheme]
        parsed = parse_host(host)
        return parsed is not None and (name, port or default) == (parsed[0], parsed[1] or default)

    def _is_own(self, name: str) -> bool:
        return name in self._own or is_loopback(name)

    def _is_named(self, name: str) -> bool:
        return name in self._names or name.endswith(self._suffixes)


def parse_host(host: bytes) -> tuple[str, int | None] | None:
    """Return the name in a Host header, without brackets and the root's dot, and the port; None if it is no host."""
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None:
        return None
    name = match["name"].lower().strip("[]").removesuffix(".")
    return name, int(match["port"]) if match["port"] else None


def is_loopback(name: str) -> bool:
    """Return whether a name is one of the loopback interface, as no other site's name can be."""
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
