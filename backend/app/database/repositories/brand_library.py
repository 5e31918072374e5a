"""The lookups of agents: the facts of a brand, and the texts that were written for it before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from ..engine import Database
from ..models import Brand, Run
from ..passing_errors import retry_passing
from .brands import get_by_name

_EXCERPT_LENGTH = 300  # characters: a small model's context window is short


class BrandLibrary:
    """Lookups in the database, each in a short session of its own; they wait for a database that is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def brand_facts(self, brand: str) -> str:
        """Return what is stored about a brand, one fact a line; empty when nothing is."""

        async def read() -> Brand | None:
            async with self._database.reading() as session:
                return await get_by_name(session, brand)

        row = await retry_passing(read)
        if row is None:
            return ""
        facts = {"About": row.description, "Audience": row.audience, "Tone": row.tone}
        return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        """Return excerpts of the texts of a brand's latest completed runs."""
        latest = (
            select(Run.output)
            .join(Brand)
            .where(Brand.name == brand, Run.status == "completed")
            .order_by(Run.finished_at.desc(), Run.id.desc())
            .limit(limit)
        )

        async def read() -> Sequence[dict[str, Any] | None]:
            async with self._database.reading() as session:
                return (await session.scalars(latest)).all()

        outputs = await retry_passing(read)
        excerpts = (_excerpt(output) for output in outputs)
        return [excerpt for excerpt in excerpts if excerpt]


def _excerpt(output: dict[str, Any] | None) -> str:
    text = " ".join(str((output or {}).get("text", "")).split())
    return text if len(text) <= _EXCERPT_LENGTH else text[: _EXCERPT_LENGTH - 1].rstrip() + "…"
