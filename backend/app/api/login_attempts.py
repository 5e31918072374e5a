"""A limit on wrong keys at the login: each address may try some a minute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import monotonic

WINDOW = 60.0
"""Seconds, from the first wrong key of an address on, in which its wrong keys are counted."""

MAX_ADDRESSES = 10_000
"""Addresses that are remembered; then the one that began first is forgotten."""


@dataclass(slots=True)
class _Count:
    began: float
    failures: int = 0


class LoginAttempts:
    """Counts the wrong keys of each address, in this process.

    Args:
        limit: The wrong keys that an address may try in a minute.
        clock: Returns seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def retry_after(self, address: str) -> int:
        """Return the seconds until an address may try a key again; 0 if it may now."""
        count = self._current(network_of(address))
        if count is None or count.failures < self._limit:
            return 0
        return max(1, ceil(count.began + WINDOW - self._clock()))

    def count_failure(self, address: str) -> None:
        """Count a wrong key."""
        network = network_of(address)
        count = self._current(network)
        if count is None:
            if len(self._counts) >= MAX_ADDRESSES:
                self._counts.popitem(last=False)
            count = self._counts[network] = _Count(self._clock())
        count.failures += 1

    def _current(self, network: str) -> _Count | None:
        count = self._counts.get(network)
        if count is not None and self._clock() >= count.began + WINDOW:
            del self._counts[network]
            return None
        return count


def network_of(address: str) -> str:
    """Return what is limited of an address: it itself, and of IPv6 the first half, of which one client has the rest."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
