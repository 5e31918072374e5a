"""The route of the start page: one file, with a Content-Security-Policy that lets it load nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter()


@router.get("/", include_in_schema=False)
async def start_page() -> HTMLResponse:
    """Return the page."""
    text, policy = _load_page()
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


@cache
def _load_page() -> tuple[str, str]:
    text = files(__package__).joinpath("start_page.html").read_text("utf-8")
    scripts, styles = _digests(text, "script"), _digests(text, "style")
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return text, policy


def _digests(text: str, element: str) -> str:
    """Return the CSP digests of the page's own scripts or styles; injected ones do not match and are ignored."""
    bodies = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
