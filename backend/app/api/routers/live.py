"""The route of the live numbers: what the live page shows when it opens."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse

from ..dependencies import LiveNumbersDep
from ..exception_handlers import error_responses
from ..schemas.live import LiveOut

router = APIRouter(prefix="/live", tags=["live"])


@router.get(
    "",
    summary="See the live numbers",
    response_model=LiveOut,
    responses=error_responses({404: "There are no live numbers: SPARKLIO_LIVE is off."}),
)
def get_live(numbers: LiveNumbersDep) -> JSONResponse:
    """Return tiles and charts with their PromQL and their last fifteen minutes, and the map of events."""
    # In a thread, and not validated again: a page may have ten thousand numbers.
    if numbers is None:
        raise HTTPException(404, "There are no live numbers: SPARKLIO_LIVE is off.")
    return JSONResponse(numbers.page(), headers={"Cache-Control": "no-store"})
