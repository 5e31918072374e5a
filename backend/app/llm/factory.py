"""The model that the settings name, opened and ready to be asked.

Use::

    llm = await open_model(settings)
    await llm.check()

``embedded`` is the model that comes with the studio; every other name is pydantic-ai's (``openai:gpt-4o-mini``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import httpx2
from pydantic import ValidationError
from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior
from pydantic_ai.models import Model, create_async_httpx2_client
from pydantic_ai.models.fallback import FallbackModel

from app.settings import Settings
from events import add_poller, llm_configured
from events.bridges.pydantic_ai import instrument, observe_http_client

from .answer_limit import LimitedModel, limit_answers
from .client import LLM
from .embedded.chat_model import LlamaModel
from .embedded.model import EMBEDDED_PROFILE, EmbeddedModel
from .embedded.remote import RemoteEmbeddedServer
from .embedded.server import MODEL_NAME, EmbeddedServer
from .model_errors import ModelNotInstalled, ModelUnavailable
from .model_names import check_models, setting_of
from .prices import price_function
from .probe import Probe, probe_any, probe_http
from .providers import build_provider_model
from .retries import RetryingModel
from .streaming import StreamingModel
from .timeouts import TimeoutModel
from .unavailable_model import UnavailableModel

__all__ = ["LLM", "ModelUnavailable", "open_embedded_model", "open_model", "with_limits_and_retries"]

FALLBACK_ERRORS = (ModelAPIError, UnexpectedModelBehavior, ValidationError, ModelUnavailable, TimeoutError)


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """One model, its name, and the function that checks whether it can be reached."""

    model: Model
    name: str
    probe: Probe


async def open_model(settings: Settings, shared_server: RemoteEmbeddedServer | None = None) -> LLM:
    """Open the model that the settings name, and those to fall back on.

    Each model retries by itself before the next one is asked. If the embedded model is not installed, a stand-in takes
    its place whose calls and checks say so.

    Args:
        settings: The settings.
        shared_server: The server of the embedded model, if the launcher has one for all workers.

    Raises:
        ModelUnavailable: The name, a key or a package is wrong or missing.
    """
    await asyncio.to_thread(check_models, settings)
    price = await asyncio.to_thread(price_function, settings)
    async with AsyncExitStack() as opening:
        opened = [await _open_one(name, settings, opening, shared_server) for name in settings.models]
        announce(opened, opening)
        resources = opening.pop_all()
    first, *fallbacks = opened
    model: Model = first.model
    if fallbacks:
        model = FallbackModel(model, *(fallback.model for fallback in fallbacks), fallback_on=FALLBACK_ERRORS)
    probes = [(name, member.probe) for name, member in zip(settings.models, opened, strict=True)]
    names = [member.name for member in opened]
    return LLM(model, first.name, lambda: probe_any(probes), resources, names, price=price)


async def open_embedded_model(settings: Settings, server: EmbeddedServer | RemoteEmbeddedServer) -> LLM:
    """Open the embedded model at a server that its caller has started and stops."""
    resources = AsyncExitStack()
    opened = await _connect_embedded(settings, server, resources)
    announce([opened], resources)
    return LLM(opened.model, opened.name, opened.probe, resources, [opened.name])


def announce(opened: Sequence[OpenedModel], resources: AsyncExitStack) -> None:
    """Emit which models are configured, in the order in which they are asked; that none is, when they are closed."""

    def emit(configured: Literal[1] | None) -> None:
        for place, member in enumerate(opened):
            role = f"fallback_{place}" if place else "primary"
            llm_configured.emit(model=member.name, provider=member.model.system, role=role, configured=configured)

    emit(1)
    resources.callback(emit, None)


def with_limits_and_retries(model: Model, settings: Settings) -> Model:
    """Return a model whose calls have the settings' time limit and are retried after passing errors."""
    retrying = RetryingModel(LimitedModel(model, settings.llm_max_answer), settings.llm_retries, settings.llm_timeout)
    return TimeoutModel(retrying, settings.llm_timeout, in_chain=len(settings.models) > 1)


async def _open_one(
    name: str, settings: Settings, resources: AsyncExitStack, shared_server: RemoteEmbeddedServer | None
) -> OpenedModel:
    """Open one model, each of whose attempts is emitted."""
    if name == "embedded" and shared_server is not None:
        return await _connect_embedded(settings, shared_server, resources)
    if name == "embedded":
        server = EmbeddedServer()
        try:
            await asyncio.to_thread(server.start)
        except ModelNotInstalled as error:
            stand_in = UnavailableModel(MODEL_NAME, error)
            return OpenedModel(stand_in, MODEL_NAME, stand_in.raise_unavailable)
        resources.callback(server.emit_usage)  # that it is gone: what is pushed last is called first
        resources.push_async_callback(asyncio.to_thread, server.stop)
        resources.callback(add_poller(server.emit_usage))
        return await _connect_embedded(settings, server, resources)
    client = await resources.enter_async_context(create_async_httpx2_client())
    limit_answers(client)
    # In a thread: it imports the provider's SDK, which takes a second.
    setting = setting_of(name, settings)
    model = await asyncio.to_thread(build_provider_model, name, settings.llm_base_url, client, setting)
    await resources.enter_async_context(model)
    limited = with_limits_and_retries(StreamingModel(instrument(model)), settings)
    advice = "start it, or check SPARKLIO_LLM_BASE_URL" if settings.llm_base_url else "start it, or check the network"
    return OpenedModel(limited, model.model_name, lambda: probe_http(model.base_url, advice=advice))


async def _connect_embedded(
    settings: Settings, server: EmbeddedServer | RemoteEmbeddedServer, resources: AsyncExitStack
) -> OpenedModel:
    """Return the embedded model at a running server."""
    # The environment's proxies are not meant for the loopback interface.
    client = await resources.enter_async_context(httpx2.AsyncClient(trust_env=False))
    limit_answers(client)
    observe_http_client(client)
    chat = LlamaModel(MODEL_NAME, server, client, EMBEDDED_PROFILE)

    async def probe() -> None:
        await asyncio.to_thread(server.ensure_alive)
        await probe_http(f"{server.address}/health", trust_env=False, advice="restart the studio")

    return OpenedModel(with_limits_and_retries(EmbeddedModel(chat, server), settings), MODEL_NAME, probe)
