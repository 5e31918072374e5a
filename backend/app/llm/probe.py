"""Whether the server of a model can be reached, and of several models whether any can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from ssl import SSLContext
from urllib.parse import urlsplit

import httpx2

from .model_errors import ModelUnavailable

Probe = Callable[[], Awaitable[None]]
"""A function that raises `ModelUnavailable` if a model cannot be reached."""

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
        async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT, trust_env=trust_env, verify=tls_context()) as client:
            response = await client.get(url)
    except httpx2.HTTPError as error:
        raise ModelUnavailable(
            f"the model's server at {origin_of(url)} cannot be reached ({type(error).__name__}): {advice}"
        ) from None
    if response.status_code >= 500:
        raise ModelUnavailable(
            f"the model's server at {origin_of(url)} answers with HTTP {response.status_code}: {advice}"
        )


@cache
def tls_context() -> SSLContext:
    """Return the TLS context of every probe: to load the machine's certificates takes 50 ms of processor time."""
    return httpx2.create_ssl_context()


async def probe_any(probes: Sequence[tuple[str, Probe]]) -> None:
    """Check that one at least of several models can be reached; all are asked at the same time, and the first decides.

    Args:
        probes: The name of each model, and its probe.

    Raises:
        ModelUnavailable: None can be reached; the message says of each why.
    """
    if len(probes) == 1:
        await probes[0][1]()
        return
    tasks = [asyncio.ensure_future(_outcome_of(probe)) for _, probe in probes]
    try:
        for next_outcome in asyncio.as_completed(tasks):
            if await next_outcome is None:
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    reasons = [f"{name}: {task.result()}" for (name, _), task in zip(probes, tasks, strict=True)]
    raise ModelUnavailable("none of the models can be reached; " + "; ".join(reasons))


async def _outcome_of(probe: Probe) -> str | None:
    """Return why a model cannot be reached, None if it can; a message that is not our own may hold secrets."""
    try:
        await probe()
    except ModelUnavailable as error:
        return str(error)
    except Exception as error:
        return f"the check itself failed ({type(error).__name__})"
    return None


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: without its credentials, path and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
