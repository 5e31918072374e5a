"""The pages and what they load: modules, styles and a chart library, all from this server."""

from __future__ import annotations

from functools import cache
from os import PathLike, stat_result
from pathlib import Path

from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from .keyring import COOKIE

STATIC = Path(__file__).with_name("static")
PAGES = Path(__file__).with_name("routers")

LOG_OUT = '<form method="post" action="logout"><button class="small">Log out</button></form>'

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page: nothing from elsewhere, and no script or style that is written into it."""


class RevalidatedFiles(StaticFiles):
    """Static files that browsers ask for each time, and get again where their ETag is another one.

    Without ``Cache-Control`` browsers would use them for as long as they like: modules of two versions in one page.
    """

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file, or 304 where the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page(request: Request, name: str, modules: str) -> HTMLResponse:
    """Return a page of ``routers/``, with a button that ends the session if there is one.

    A page that is told that there is no live feed asks for none.

    Args:
        request: The request for it.
        name: The name of its file.
        modules: The folder of its modules in ``static/``.
    """
    text = _load(name, modules)
    if COOKIE in request.cookies:
        text = text.replace("<!-- log out -->", LOG_OUT)
    if request.app.state.live_feed is None:
        text = text.replace('data-live="on"', 'data-live="off"')
    return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"})


@cache
def _load(name: str, modules: str) -> str:
    # Browsers would find the modules one import after the other, a round trip each.
    found = [f"static/{path.name}" for path in sorted(STATIC.glob("*.js"))]
    found += [f"static/{modules}/{path.name}" for path in sorted((STATIC / modules).glob("*.js"))]
    links = "\n".join(f'<link rel="modulepreload" href="{path}">' for path in found)
    return (PAGES / name).read_text("utf-8").replace("<!-- modules -->", links)
