"""The start page: one file, served with a policy that lets it load nothing from elsewhere."""

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
    """Serve the page for people."""
    text, policy = _page()
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


@cache
def _page() -> tuple[str, str]:
    text = files(__package__).joinpath("start_page.html").read_text("utf-8")
    allowed = {"script": _digests(text, "script"), "style": _digests(text, "style")}
    policy = (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return text, policy


def _digests(text: str, element: str) -> str:
    """Name the page's own scripts or styles by their digests; what is slipped in between does not run."""
    bodies = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
