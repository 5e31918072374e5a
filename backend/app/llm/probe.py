"""Whether the server of a model can be reached."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2

from .model_errors import ModelUnavailable

PROBE_TIMEOUT = 1.5  # seconds; less than /health allows each check, so that the reason is shown


async def probe_http(url: str | None, *, trust_env: bool = True, advice: str = "start it") -> None:
    """Check that a web server answers at a URL with any status below 500.

    Args:
        url: The URL; None for pydantic-ai's test model, which has no server.
        trust_env: Whether the proxies in the environment are used.
        advice: What to do where it does not answer, for the error's message.

    Raises:
        ModelUnavailable: It does not answer, or with an error of its own.
    """
    if url is None:
        return
    try:
        async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT, trust_env=trust_env) as client:
            response = await client.get(url)
    except httpx2.HTTPError as error:
        raise ModelUnavailable(
            f"the model's server at {origin_of(url)} cannot be reached ({type(error).__name__}): {advice}"
        ) from None
    if response.status_code >= 500:
        raise ModelUnavailable(
            f"the model's server at {origin_of(url)} answers with HTTP {response.status_code}: {advice}"
        )


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: without its credentials, path and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
