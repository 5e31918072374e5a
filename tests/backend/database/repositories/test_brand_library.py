"""Agents find the facts of a brand and what was written for it before."""

from __future__ import annotations

from datetime import timedelta

from app.database import BrandLibrary, Database
from app.database.repositories import brands, runs
from tests.backend.database.rows import MOMENT, queue_run


async def test_agents_find_facts_and_earlier_copy_of_their_brand(database: Database) -> None:
    library = BrandLibrary(database)
    async with database.session() as session, session.begin():
        await brands.create(session, name="Acme", description="Headphones", tone="dry")
        for number in range(4):
            run = await queue_run(session, "Acme")
            moment = MOMENT + timedelta(minutes=number)
            await runs.mark_finished(
                session, run.id, "completed", None, {"text": f"copy {number} " + "x" * 999}, moment
            )
        failed = await queue_run(session, "Acme")
        await runs.mark_finished(session, failed.id, "failed", "no", {"text": "half"}, MOMENT + timedelta(hours=1))
        await queue_run(session, "Other")
    assert await library.brand_facts("Acme") == "About: Headphones\nTone: dry"
    assert [copy[:7] for copy in await library.earlier_copy("Acme")] == ["copy 3 ", "copy 2 "]
    assert max(map(len, await library.earlier_copy("Acme", 9))) <= 300
    assert (await library.brand_facts("Other"), await library.earlier_copy("Other")) == ("", [])
    assert (await library.brand_facts("Unknown"), await library.earlier_copy("Unknown")) == ("", [])
