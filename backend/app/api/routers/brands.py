"""The routes of brands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Brand
from app.database.repositories import brands

from ..dependencies import DatabaseDep, Limit, Offset, WritableDatabaseDep
from ..exception_handlers import BrandNotFound, error_responses
from ..schemas.brands import BrandCreate, BrandOut, BrandUpdate
from ..schemas.pagination import Page

router = APIRouter(prefix="/brands", tags=["brands"])

BrandId = Annotated[int, Path(ge=1, le=2**31 - 1)]  # the range of an integer column
NOT_FOUND = "No such brand."
NAME_TAKEN = "Another brand has that name."


@router.post(
    "",
    status_code=201,
    summary="Store a brand",
    responses={
        201: {
            "description": "The brand is stored.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The address of the brand"}},
        },
        **error_responses({409: NAME_TAKEN}),
    },
)
async def create_brand(
    body: BrandCreate, database: WritableDatabaseDep, request: Request, response: Response
) -> BrandOut:
    """Store a brand; starting a run for a brand that is not stored stores it too."""
    async with database.writing() as session:
        brand = await brands.create(session, **body.model_dump())
    response.headers["Location"] = request.url_for("get_brand", brand_id=str(brand.id)).path
    return BrandOut.model_validate(brand)


@router.get("", summary="List the brands", responses=error_responses())
async def list_brands(database: DatabaseDep, limit: Limit = 20, offset: Offset = 0) -> Page[BrandOut]:
    """Return one page of the brands, ordered by name."""
    async with database.reading() as session:
        rows, total = await brands.list_page(session, limit=limit, offset=offset)
    return Page(items=[BrandOut.model_validate(brand) for brand in rows], total=total, limit=limit, offset=offset)


@router.get("/{brand_id}", summary="See a brand", responses=error_responses({404: NOT_FOUND}))
async def get_brand(brand_id: BrandId, database: DatabaseDep) -> BrandOut:
    """Return a brand."""
    async with database.reading() as session:
        return BrandOut.model_validate(await _get_or_raise(session, brand_id))


@router.patch("/{brand_id}", summary="Change a brand", responses=error_responses({404: NOT_FOUND, 409: NAME_TAKEN}))
async def update_brand(brand_id: BrandId, body: BrandUpdate, database: WritableDatabaseDep) -> BrandOut:
    """Change some fields of a brand; those that are left out stay."""
    async with database.writing() as session:
        brand = await _get_or_raise(session, brand_id)
        brand = await brands.update(session, brand, **body.model_dump(exclude_none=True))
    return BrandOut.model_validate(brand)


@router.delete(
    "/{brand_id}",
    status_code=204,
    summary="Delete a brand",
    responses=error_responses({404: NOT_FOUND, 409: "The brand has runs, so it stays."}),
)
async def delete_brand(brand_id: BrandId, database: WritableDatabaseDep) -> None:
    """Delete a brand that has no runs."""
    async with database.writing() as session:
        await brands.delete(session, await _get_or_raise(session, brand_id))


async def _get_or_raise(session: AsyncSession, brand_id: int) -> Brand:
    brand = await brands.get(session, brand_id)
    if brand is None:
        raise BrandNotFound(brand_id)
    return brand
