"""The routes of the login: a form that takes a key of the API and gives the browser a session, and its end."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from events import access_refused, limit_reached

from ..keyring import COOKIE, SESSION_SECONDS
from ..login_attempts import LoginAttempts
from ..page_policy import inline_digests

LOGIN_PATH = "/login"
LOGOUT_PATH = "/logout"
PAGES = frozenset({"live", "docs"})
"""Pages beside the start page that a login leads back to: no other address, which a link could name."""

router = APIRouter()


@router.get(LOGIN_PATH, include_in_schema=False)
async def login_form(request: Request) -> HTMLResponse:
    """Return the form."""
    return _form(page=request.query_params.get("page", ""))


@router.post(LOGIN_PATH, include_in_schema=False)
async def log_in(request: Request) -> Response:
    """Return a session for a valid key, as a cookie that no script reads and no other site sends.

    An address that has tried too many wrong keys is refused whatever key it gives.
    """
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    key, page = fields.get("key", [""])[0], fields.get("page", [""])[0]
    attempts: LoginAttempts = request.app.state.login_attempts
    address = request.client.host if request.client else ""
    if seconds := attempts.retry_after(address):
        limit_reached.emit(limit="login_attempts")
        refusal = _form(f"Too many keys were wrong: try again in {seconds} seconds.", 429, page)
        refusal.headers["Retry-After"] = str(seconds)
        return refusal
    session = request.app.state.keyring.open_session(key)
    if session is None:
        access_refused.emit(reason="key")
        attempts.count_failure(address)
        return _form("The key is not valid.", 401, page)
    response = RedirectResponse(f"./{page if page in PAGES else ''}", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, session, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


@router.post(LOGOUT_PATH, include_in_schema=False)
async def log_out(request: Request) -> Response:
    """Have the browser forget its session."""
    response = RedirectResponse("./login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response


def login_address(root: str, path: str) -> str:
    """Return the address of the form for whoever asked for a page; it leads back there."""
    page = path.strip("/")
    return f"{root}{LOGIN_PATH}" + (f"?page={page}" if page in PAGES else "")


def _form(problem: str = "", status: int = 200, page: str = "") -> HTMLResponse:
    text, policy = _load_page()
    if page in PAGES:
        text = text.replace("<!-- page -->", f'<input type="hidden" name="page" value="{page}">')
    if problem:
        text = text.replace("<!-- problem -->", f'<p class="problem" role="alert">{problem}</p>')
    return HTMLResponse(text, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


@cache
def _load_page() -> tuple[str, str]:
    text = files(__package__).joinpath("login.html").read_text("utf-8")
    return text, (
        f"default-src 'none'; style-src {inline_digests(text, 'style')}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
