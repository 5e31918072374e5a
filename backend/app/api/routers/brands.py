"""Brands: stored, listed, looked at, changed, forgotten."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Brand
from app.database.repositories import brands as rows

from ..dependencies import DatabaseDep, Limit, Offset
from ..exception_handlers import BrandNotFound, problems
from ..schemas.requests import BrandCreate, BrandUpdate
from ..schemas.responses import BrandOut, Page

router = APIRouter(prefix="/brands", tags=["brands"])

BrandId = Annotated[int, Path(ge=1, le=2**31 - 1)]  # what an integer column holds
UNKNOWN = "No such brand."
TAKEN = "Another brand has that name."


@router.post(
    "",
    status_code=201,
    summary="Store a brand",
    responses={
        201: {
            "description": "The brand is stored.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The address of the brand"}},
        },
        **problems(c409=TAKEN),
    },
)
async def create_brand(given: BrandCreate, database: DatabaseDep, request: Request, response: Response) -> BrandOut:
    """Store a brand; starting a run for a brand that is not stored does so too."""
    async with database.session() as session, session.begin():
        brand = await rows.create(session, **given.model_dump())
    response.headers["Location"] = request.url_for("get_brand", brand_id=str(brand.id)).path
    return BrandOut.of(brand)


@router.get("", summary="List the brands", responses=problems())
async def list_brands(database: DatabaseDep, limit: Limit = 20, offset: Offset = 0) -> Page[BrandOut]:
    """Give one page of the brands, by name."""
    async with database.session() as session:
        found, total = await rows.page(session, limit=limit, offset=offset)
    return Page(items=[BrandOut.of(brand) for brand in found], total=total, limit=limit, offset=offset)


@router.get("/{brand_id}", summary="See a brand", responses=problems(c404=UNKNOWN))
async def get_brand(brand_id: BrandId, database: DatabaseDep) -> BrandOut:
    """Tell what is stored of a brand."""
    async with database.session() as session:
        return BrandOut.of(await _known(session, brand_id))


@router.patch("/{brand_id}", summary="Change a brand", responses=problems(c404=UNKNOWN, c409=TAKEN))
async def update_brand(brand_id: BrandId, changes: BrandUpdate, database: DatabaseDep) -> BrandOut:
    """Change some fields of a brand; what is left out stays."""
    async with database.session() as session, session.begin():
        brand = await rows.update(session, await _known(session, brand_id), **changes.model_dump(exclude_none=True))
    return BrandOut.of(brand)


@router.delete(
    "/{brand_id}",
    status_code=204,
    summary="Forget a brand",
    responses=problems(c404=UNKNOWN, c409="The brand has runs, so it stays."),
)
async def delete_brand(brand_id: BrandId, database: DatabaseDep) -> None:
    """Forget a brand that has no runs."""
    async with database.session() as session, session.begin():
        await rows.delete(session, await _known(session, brand_id))


async def _known(session: AsyncSession, brand_id: int) -> Brand:
    brand = await rows.get(session, brand_id)
    if brand is None:
        raise BrandNotFound(brand_id)
    return brand
