"""The repository of brands: functions that take a session; the caller commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import Brand, utc_now
from ..upserts import insert_into


class BrandNameTaken(Exception):
    """Another brand has that name."""


class BrandInUse(Exception):
    """A brand cannot be deleted because it has runs."""


async def get(session: AsyncSession, brand_id: int) -> Brand | None:
    """Return the brand with an id, or None."""
    return await session.get(Brand, brand_id)


async def get_by_name(session: AsyncSession, name: str) -> Brand | None:
    """Return the brand with a name, or None."""
    return await session.scalar(select(Brand).where(Brand.name == name))


async def list_page(session: AsyncSession, *, limit: int, offset: int) -> tuple[list[Brand], int]:
    """Return one page of the brands, ordered by name, and the number of all brands."""
    total = await session.scalar(select(func.count()).select_from(Brand))
    rows = await session.scalars(select(Brand).order_by(Brand.name, Brand.id).limit(limit).offset(offset))
    return list(rows), total or 0


async def create(session: AsyncSession, *, name: str, **fields: Any) -> Brand:
    """Insert a brand and return it.

    Raises:
        BrandNameTaken: Another brand has that name.
    """
    brand = Brand(name=name, **fields)
    session.add(brand)
    await _flush_unless_name_taken(session, name)
    return brand


async def get_or_create(session: AsyncSession, name: str, **defaults: Any) -> Brand:
    """Return the brand with a name, and insert it first if there is none; concurrent callers get the same one."""
    if (brand := await get_by_name(session, name)) is not None:
        return brand
    # A Core insert does not apply the Python-side defaults of the mapped class.
    values = {"description": "", "audience": "", "tone": "", "created_at": utc_now(), **defaults, "name": name}
    await session.execute(insert_into(session, Brand).values(values).on_conflict_do_nothing(index_elements=["name"]))
    return (await session.scalars(select(Brand).where(Brand.name == name))).one()


async def update(session: AsyncSession, brand: Brand, **fields: Any) -> Brand:
    """Change some fields of a brand and return it.

    Raises:
        BrandNameTaken: Another brand has the new name.
    """
    for name, value in fields.items():
        setattr(brand, name, value)
    await _flush_unless_name_taken(session, str(fields.get("name", brand.name)))
    return brand


async def delete(session: AsyncSession, brand: Brand) -> None:
    """Delete a brand.

    Raises:
        BrandInUse: It has runs.
    """
    name = brand.name
    await session.delete(brand)
    try:
        await session.flush()
    except IntegrityError:
        raise BrandInUse(f"Brand {name!r} has runs, so it stays; rename it instead.") from None


async def _flush_unless_name_taken(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError:
        raise BrandNameTaken(f"A brand {name!r} is there already; use it or choose another name.") from None
