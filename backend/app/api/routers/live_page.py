"""The route of the live page: what the studio does just now, as the live feed tells it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ..static_files import page

router = APIRouter()


@router.get("/live", include_in_schema=False)
async def live_page(request: Request) -> HTMLResponse:
    """Return the page; where there is no feed, it says so."""
    return page(request, "live_page.html", "live")
