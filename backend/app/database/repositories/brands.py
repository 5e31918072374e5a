"""Brands, kept: plain functions that take a session; the caller commits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Brand
from ..upserts import insert_into


class BrandNameTaken(Exception):
    """Another brand has that name."""


class BrandInUse(Exception):
    """A brand that has runs stays."""


async def get(session: AsyncSession, brand_id: int) -> Brand | None:
    """Find a brand by its id."""
    return await session.get(Brand, brand_id)


async def by_name(session: AsyncSession, name: str) -> Brand | None:
    """Find a brand by its name."""
    return await session.scalar(select(Brand).where(Brand.name == name))


async def page(session: AsyncSession, *, limit: int, offset: int) -> tuple[list[Brand], int]:
    """Give one page of the brands by name, and how many there are."""
    total = await session.scalar(select(func.count()).select_from(Brand))
    found = await session.scalars(select(Brand).order_by(Brand.name, Brand.id).limit(limit).offset(offset))
    return list(found), total or 0


async def create(session: AsyncSession, *, name: str, **fields: Any) -> Brand:
    """Store a new brand; raises BrandNameTaken when the name is taken."""
    brand = Brand(name=name, **fields)
    session.add(brand)
    await _flush_unless_taken(session, name)
    return brand


async def get_or_create(session: AsyncSession, name: str, **defaults: Any) -> Brand:
    """Find a brand by its name or store it; two that do so at once get the same one."""
    if (brand := await by_name(session, name)) is not None:
        return brand
    # The insert does not run the defaults of a mapped object.
    values = {"description": "", "audience": "", "tone": "", "created_at": datetime.now(UTC), **defaults, "name": name}
    await session.execute(insert_into(session, Brand).values(values).on_conflict_do_nothing(index_elements=["name"]))
    return (await session.scalars(select(Brand).where(Brand.name == name))).one()


async def update(session: AsyncSession, brand: Brand, **fields: Any) -> Brand:
    """Change some fields of a brand; raises BrandNameTaken when the new name is taken."""
    for name, value in fields.items():
        setattr(brand, name, value)
    await _flush_unless_taken(session, str(fields.get("name", brand.name)))
    return brand


async def delete(session: AsyncSession, brand: Brand) -> None:
    """Forget a brand; raises BrandInUse when it has runs."""
    name = brand.name
    await session.delete(brand)
    try:
        await session.flush()
    except IntegrityError:
        raise BrandInUse(f"Brand {name!r} has runs, so it stays; rename it instead.") from None


async def _flush_unless_taken(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError:
        raise BrandNameTaken(f"A brand {name!r} is there already; use it or choose another name.") from None
