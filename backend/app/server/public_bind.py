"""The refusal to let other machines use the API without a key, unless the settings say so in words."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from app.settings import Settings

from .startup_error import StartupError


def validate_public_bind(settings: Settings) -> None:
    """Check that an API that other machines reach asks for a key; a worker has none.

    Raises:
        StartupError: The address is a public one, and no key is set.
    """
    has_key = bool(settings.api_keys or settings.api_keys_file)
    if not settings.serves_api or settings.allow_anyone or has_key or not is_public(settings.host):
        return
    raise StartupError(
        f"SPARKLIO_HOST = {settings.host} lets other machines use the API, and no key is set: set "
        "SPARKLIO_API_KEYS=name:key, or SPARKLIO_ALLOW_ANYONE=true if anyone who reaches it may use it."
    )


def is_public(host: str) -> bool:
    """Return whether a host to listen on is an address that other machines may reach."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False  # it cannot be listened on either, and that error says more
    return not all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
