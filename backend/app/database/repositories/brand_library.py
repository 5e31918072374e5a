"""What agents may look up: the facts of a brand, and what was written for it before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from ..engine import Database
from ..models import Brand, Run
from .brands import by_name

_EXCERPT = 300  # characters: the context of a small model is short


class BrandLibrary:
    """Looks things up in the database, a short session each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def brand_facts(self, brand: str) -> str:
        """Tell what is stored about a brand, a line each; empty when nothing is."""
        async with self._database.session() as session:
            found = await by_name(session, brand)
        if found is None:
            return ""
        facts = {"About": found.description, "Audience": found.audience, "Tone": found.tone}
        return "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)

    async def earlier_copy(self, brand: str, limit: int = 2) -> list[str]:
        """Give excerpts of what the latest completed runs wrote for a brand."""
        latest = (
            select(Run.output)
            .join(Brand)
            .where(Brand.name == brand, Run.status == "completed")
            .order_by(Run.finished_at.desc(), Run.id.desc())
            .limit(limit)
        )
        async with self._database.session() as session:
            outputs = (await session.scalars(latest)).all()
        texts = (_text(output) for output in outputs)
        return [text for text in texts if text]


def _text(output: dict[str, Any] | None) -> str:
    whole = " ".join(str((output or {}).get("text", "")).split())
    return whole if len(whole) <= _EXCERPT else whole[: _EXCERPT - 1].rstrip() + "…"
