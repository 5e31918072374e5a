"""A library for agents that looks nothing up in a database."""

from __future__ import annotations

from collections.abc import Sequence


class FakeLibrary:
    """A library with the same facts and texts for every brand, or one that raises an error."""

    def __init__(self, facts: str = "", texts: Sequence[str] = (), error: Exception | None = None) -> None:
        self._facts = facts
        self._texts = texts
        self._error = error

    async def brand_facts(self, brand: str) -> str:
        if self._error is not None:
            raise self._error
        return self._facts.format(brand=brand)

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        return [text.format(brand=brand) for text in self._texts][:limit]
