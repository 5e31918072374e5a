"""Brands are stored once, under unique names, and stay while they have runs."""

from __future__ import annotations

import asyncio

import pytest

from app.database import Database
from app.database.repositories import brands
from tests.backend.database.rows import queue_run


async def test_concurrent_callers_store_a_brand_once(database: Database) -> None:
    async def ask() -> int:
        async with database.session() as session, session.begin():
            return (await brands.get_or_create(session, "Acme Audio", tone="warm")).id

    assert len(set(await asyncio.gather(*(ask() for _ in range(8))))) == 1
    async with database.session() as session:
        rows, total = await brands.list_page(session, limit=10, offset=0)
    assert ([(brand.name, brand.tone, brand.description) for brand in rows], total) == (
        [("Acme Audio", "warm", "")],
        1,
    )


async def test_brand_names_are_unique(database: Database) -> None:
    async with database.session() as session, session.begin():
        await brands.create(session, name="Acme")
        other = await brands.create(session, name="Other")
    async with database.session() as session:
        with pytest.raises(brands.BrandNameTaken, match="'Acme' is there already"):
            await brands.create(session, name="Acme")
    async with database.session() as session:
        rows = await brands.get(session, other.id)
        assert rows is not None
        with pytest.raises(brands.BrandNameTaken, match="'Acme' is there already"):
            await brands.update(session, rows, name="Acme")


async def test_a_brand_with_runs_cannot_be_deleted(database: Database) -> None:
    async with database.session() as session, session.begin():
        brand_id = (await queue_run(session, "Acme")).brand_id
        free = await brands.create(session, name="Free")
    async with database.session() as session:
        rows = await brands.get(session, brand_id)
        assert rows is not None
        with pytest.raises(brands.BrandInUse, match="'Acme' has runs"):
            await brands.delete(session, rows)
    async with database.session() as session, session.begin():
        rows = await brands.get(session, free.id)
        assert rows is not None
        await brands.delete(session, rows)
    async with database.session() as session:
        assert await brands.get(session, free.id) is None
        assert await brands.get(session, brand_id) is not None
