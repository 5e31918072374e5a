"""The route of the start page: one file, with a Content-Security-Policy that lets it load nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ..keyring import COOKIE
from ..page_policy import inline_digests

LOG_OUT = '<form method="post" action="logout"><button class="side">Log out</button></form>'

router = APIRouter()


@router.get("/", include_in_schema=False)
async def start_page(request: Request) -> HTMLResponse:
    """Return the page, with a button that ends the session if there is one."""
    text, policy = _load_page()
    if COOKIE in request.cookies:
        text = text.replace("<!-- log out -->", LOG_OUT)
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
