"""The route of the start page, which loads nothing from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ..static_files import page

router = APIRouter()


@router.get("/", include_in_schema=False)
async def start_page(request: Request) -> HTMLResponse:
    """Return the page."""
    return page(request, "start_page.html", "start")
