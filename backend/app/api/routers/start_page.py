"""The route of the start page: one file, with a Content-Security-Policy that lets it load nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ..page_policy import inline_digests

router = APIRouter()


@router.get("/", include_in_schema=False)
async def start_page() -> HTMLResponse:
    """Return the page."""
    text, policy = _load_page()
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


@cache
def _load_page() -> tuple[str, str]:
    text = files(__package__).joinpath("start_page.html").read_text("utf-8")
    scripts, styles = inline_digests(text, "script"), inline_digests(text, "style")
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return text, policy
