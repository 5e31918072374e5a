"""The model that the settings name, ready to be asked.

>>> llm = await open_model(settings)  # doctest: +SKIP
>>> await llm.check()  # doctest: +SKIP

``embedded`` is the model that comes with the studio; every other name is pydantic-ai's (``openai:gpt-4o-mini``).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import ValidationError
from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior, UserError
from pydantic_ai.models import Model, create_async_httpx2_client, infer_model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from app.settings import Settings
from events.bridges.pydantic_ai import instrument, record_response_headers

from .embedded.remote import RemoteEmbeddedServer
from .embedded.server import ALIAS, WINDOW, EmbeddedServer, ModelNotInstalled
from .limits import Embedded, TimeoutModel
from .output_schema import fits
from .prices import price
from .retries import RetryingModel
from .unavailable import ModelUnavailable, UnavailableModel

__all__ = ["LLM", "ModelUnavailable", "open_model"]

OpenedModel = tuple[Model, str, Callable[[], Awaitable[None]]]
"""A model, its name, and what sees whether it can be reached."""

FALLBACK_ERRORS = (ModelAPIError, UnexpectedModelBehavior, ValidationError, ModelUnavailable, TimeoutError)
RATE_LIMIT_PROVIDERS = {
    "openai",
    "openai-chat",
    "openai-responses",
    "anthropic",
    "google",
}
BASE_URL_PROVIDERS = {"openai", "openai-chat", "openai-responses", "ollama"}  # what a server of one's own may speak
NAME_FORMATS = "SPARKLIO_LLM takes embedded, or provider:model as in openai:gpt-4o-mini, ollama:qwen3:4b, anthropic:..."
OLLAMA_BASE_URL = "http://localhost:11434/v1"
CHECK_TIMEOUT = 1.5  # seconds; below those that /health gives each part, so that the reason are emitted
CHECK_VALIDITY = 5.0  # seconds that a check's outcome is good for: /health is asked often, by many

EMBEDDED_PROFILE = OpenAIModelProfile(
    supports_tools=False,  # asked for a tool call it wrote one 0 times of 4
    supports_json_schema_output=True,
    default_structured_output_mode="native",  # llama.cpp lets it write nothing that does not fit the schema
    context_window=WINDOW,
    openai_supports_strict_tool_definition=False,
    openai_chat_supports_max_completion_tokens=False,
)


class LLM:
    """A model and what goes with it; `model` tells every call as `llm_called`.

    `name` is the one that is asked first, `names` has those that it falls back on as well.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        probe: Callable[[], Awaitable[None]],
        resources: AsyncExitStack,
        names: Sequence[str],
    ) -> None:
        self.model = instrument(model, price=price, is_valid_output=fits)
        self.name = name
        self.names = tuple(dict.fromkeys(names))
        self._probe = probe
        self.resources = resources
        self._checking = asyncio.Lock()
        self._checked: tuple[float, ModelUnavailable | None] | None = None

    async def check(self) -> None:
        """See whether the model can be reached, at the price of no token; the outcome holds for some seconds.

        Raises:
            ModelUnavailable: it cannot; the message says why.
        """
        async with self._checking:
            if self._checked is None or monotonic() - self._checked[0] > CHECK_VALIDITY:
                problem = None
                try:
                    await self._probe()
                except ModelUnavailable as error:
                    problem = error
                self._checked = monotonic(), problem
        if (problem := self._checked[1]) is not None:
            raise ModelUnavailable(str(problem))

    async def close(self) -> None:
        """Close its connections; end the embedded model's process."""
        self._checked = None
        await self.resources.aclose()


async def open_model(settings: Settings, lent: RemoteEmbeddedServer | None = None) -> LLM:
    """Open the model that the settings name, and those to fall back on; the embedded one at a lent server.

    Each is asked again by itself before the next one gets its turn. When the embedded model is not installed, it is
    one whose calls and checks say so.

    Raises:
        ModelUnavailable: the name, a key or a package is wrong or missing.
    """
    async with AsyncExitStack() as opening:
        opened = [await open_one(name, settings, opening, lent) for name in settings.models]
        resources = opening.pop_all()
    [(first, name, probe), *others] = opened
    model = FallbackModel(first, *(other for other, _, _ in others), fallback_on=FALLBACK_ERRORS) if others else first
    return LLM(model, name, probe, resources, [name for _, name, _ in opened])


async def open_one(
    name: str, settings: Settings, resources: AsyncExitStack, lent: RemoteEmbeddedServer | None
) -> OpenedModel:
    """Open one model, each of whose attempts is told."""
    if name == "embedded" and lent is not None:
        return await serve(settings, lent, resources)
    if name == "embedded":
        server = EmbeddedServer()
        try:
            await asyncio.to_thread(server.start)
        except ModelNotInstalled as missing:
            absent = UnavailableModel(ALIAS, missing)
            return absent, ALIAS, absent.refuse
        resources.push_async_callback(asyncio.to_thread, server.stop)
        return await serve(settings, server, resources)
    client = await resources.enter_async_context(create_async_httpx2_client())
    client.event_hooks = {"response": [record_response_headers]}
    # In a thread: it imports the provider's SDK, which takes a second.
    model = await asyncio.to_thread(build_provider_model, name, settings.llm_base_url, client)
    await resources.enter_async_context(model)
    return with_limits_and_retries(instrument(model), settings), model.model_name, lambda: probe_http(model.base_url)


async def embedded(settings: Settings, server: EmbeddedServer | RemoteEmbeddedServer) -> LLM:
    """Open the model that a server of ours serves; the server stays with who started it."""
    resources = AsyncExitStack()
    model, name, probe = await serve(settings, server, resources)
    return LLM(model, name, probe, resources, [name])


async def serve(
    settings: Settings, server: EmbeddedServer | RemoteEmbeddedServer, resources: AsyncExitStack
) -> OpenedModel:
    """Make the model that a server of ours serves."""
    # Loopback is not for the proxies that the environment names.
    client = await resources.enter_async_context(httpx2.AsyncClient(trust_env=False))
    provider = OpenAICompatibleProvider("embedded", base_url=server.base_url, api_key=server.key, http_client=client)
    chat = OpenAIChatModel(ALIAS, provider=provider, profile=EMBEDDED_PROFILE)

    async def probe() -> None:
        await asyncio.to_thread(server.revive)
        await probe_http(f"{server.address}/health", trust_env=False)

    return with_limits_and_retries(Embedded(chat, server), settings), ALIAS, probe


def with_limits_and_retries(model: Model, settings: Settings) -> Model:
    """Keep a model's calls in their limits, and make those again that failed in a way that passes."""
    retrying = RetryingModel(model, settings.llm_retries, settings.llm_timeout)
    return TimeoutModel(retrying, settings.llm_timeout, in_chain=len(settings.models) > 1)


def build_provider_model(name: str, base_url: str | None, client: httpx2.AsyncClient) -> Model:
    """Make the model of a pydantic-ai name, such as ``openai:gpt-4o-mini``, at an address of one's own if given."""
    provider_name, _, model_name = name.partition(":")
    if base_url and provider_name not in BASE_URL_PROVIDERS:
        raise ModelUnavailable(
            f"SPARKLIO_LLM_BASE_URL goes with openai: and ollama: models, not with {name!r}: unset it, or"
            " set SPARKLIO_LLM to openai:... if the server speaks OpenAI's protocol"
        )
    if base_url and provider_name == "openai":
        # OpenAI's newer Responses protocol is its own; a server of somebody else's speaks the chat one.
        name = f"openai-chat:{model_name}"

    def provider(kind: str) -> Provider[Any]:
        if kind == "ollama":
            at = base_url or os.environ.get("OLLAMA_BASE_URL") or OLLAMA_BASE_URL
            return OllamaProvider(base_url=with_api_path(at), http_client=client)
        if base_url:
            return OpenAIProvider(base_url=with_api_path(base_url), http_client=client)
        if kind in RATE_LIMIT_PROVIDERS:
            made: Provider[Any] = infer_provider_class(kind)(http_client=client)  # type: ignore[call-arg]  # they all take one
            return made
        return infer_provider(kind)

    try:
        return infer_model(name, provider)
    except (ImportError, UserError, ValueError) as error:
        raise ModelUnavailable(f"SPARKLIO_LLM={name} cannot be used: {clean_message(error)} ({NAME_FORMATS})") from None


def with_api_path(base_url: str) -> str:
    """Add the path that both kinds of server have their API under, where an address was given without any."""
    return base_url if urlsplit(base_url).path.strip("/") else f"{base_url.rstrip('/')}/v1"


def clean_message(reason: Exception) -> str:
    """Take from pydantic-ai's message what is for programmers: its classes, and its model for tests."""
    message = " ".join(str(reason).split()).split(" To try Pydantic AI")[0]
    return re.sub(r" or pass it via `[^`]*`", "", message).rstrip(".")


async def probe_http(url: str | None, *, trust_env: bool = True) -> None:
    """See whether a web server answers at an address, whatever it says but that it is out of order."""
    if url is None:
        return  # no web service: pydantic-ai's own test model
    try:
        async with httpx2.AsyncClient(timeout=CHECK_TIMEOUT, trust_env=trust_env) as client:
            answer = await client.get(url)
    except httpx2.HTTPError as error:
        raise ModelUnavailable(
            f"the model's server at {place(url)} cannot be reached: {type(error).__name__}"
        ) from None
    if answer.status_code >= 500:
        raise ModelUnavailable(f"the model's server at {place(url)} answers {answer.status_code}")


def place(url: str) -> str:
    """Name a server without what may be secret in its address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
