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

router = APIRouter()


@router.get(LOGIN_PATH, include_in_schema=False)
async def login_form() -> HTMLResponse:
    """Return the form."""
    return _form()


@router.post(LOGIN_PATH, include_in_schema=False)
async def log_in(request: Request) -> Response:
    """Return a session for a valid key, as a cookie that no script reads and no other site sends.

    An address that has tried too many wrong keys is refused whatever key it gives.
    """
    [key] = parse_qs((await request.body()).decode("utf-8", "replace")).get("key", [""])[:1]
    attempts: LoginAttempts = request.app.state.login_attempts
    address = request.client.host if request.client else ""
    if seconds := attempts.retry_after(address):
        limit_reached.emit(limit="login_attempts")
        refusal = _form(f"Too many keys were wrong: try again in {seconds} seconds.", 429)
        refusal.headers["Retry-After"] = str(seconds)
        return refusal
    session = request.app.state.keyring.open_session(key)
    if session is None:
        access_refused.emit(reason="key")
        attempts.count_failure(address)
        return _form("The key is not valid.", 401)
    response = RedirectResponse("./", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, session, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


@router.post(LOGOUT_PATH, include_in_schema=False)
async def log_out(request: Request) -> Response:
    """Have the browser forget its session."""
    response = RedirectResponse("./login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response


def _form(problem: str = "", status: int = 200) -> HTMLResponse:
    text, policy = _load_page()
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
