"""Ways that a call takes to a model, each through several libraries with a bridge of its own.

The libraries are imported where a way is made: few environments have them all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.openai_server import OpenAIServer, Reply
from tests.support.provider_servers import AnthropicServer

Switch = Callable[[], AbstractContextManager[Any]]

HELLO = [{"role": "user", "content": "Hello?"}]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a model: how it is asked, and how each bridge on it is switched on for a block."""

    ask: Callable[[bool], Any]
    """Asks, for a stream or not; returns an awaitable."""
    bridges: dict[str, Switch]


class TodaysAnthropicServer(AnthropicServer):
    """Anthropic's Messages whose stream has all counts at its end, as it has had since 2025."""

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        counts = self.response_body(reply, number)["usage"]
        for event in super().stream_events(reply, number, usage=usage):
            kind, _, data = event.strip().partition("\ndata: ")
            body = json.loads(data)
            if body["type"] == "message_delta":
                body["usage"] = counts
            yield f"{kind}\ndata: {json.dumps(body)}\n\n"


def openai_sdk(server: OpenAIServer) -> Way:
    """The client of openai, and OpenTelemetry's instrumentation of it."""
    import openai

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return Way(
        lambda streamed: ask_openai(client, streamed), {"openai": on_client(client), "opentelemetry": on_openai_spans}
    )


async def ask_openai(client: Any, streamed: bool) -> None:
    """Ask by a client of openai."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, **options)
    if streamed:
        async for _ in answer:
            pass


def anthropic_sdk(server: OpenAIServer) -> Way:
    """The client of anthropic, and the spans that it makes itself."""
    import anthropic
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    client: Any = anthropic.AsyncAnthropic(
        base_url=address_of(server), api_key="none", max_retries=0, open_telemetry={"tracer_provider": provider}
    )

    async def ask(streamed: bool) -> None:
        answer = await client.messages.create(model="claude-test", max_tokens=9, messages=HELLO, stream=streamed)
        if streamed:
            async for _ in answer:
                pass

    return Way(ask, {"anthropic": on_client(client), "opentelemetry": lambda: on_spans(provider)})


def pydantic_ai_on_openai(server: OpenAIServer) -> Way:
    """An agent of pydantic-ai, the client of openai that it has, and the spans that it makes itself."""
    import openai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    return pydantic_ai_agent(
        OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client)), "openai", on_client(client)
    )


def pydantic_ai_on_anthropic(server: OpenAIServer) -> Way:
    """An agent of pydantic-ai, the client of anthropic that it has, and the spans that it makes itself."""
    import anthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = anthropic.AsyncAnthropic(base_url=address_of(server), api_key="none", max_retries=0)
    return pydantic_ai_agent(
        AnthropicModel("claude-test", provider=AnthropicProvider(anthropic_client=client)),
        "anthropic",
        on_client(client),
    )


def pydantic_ai_agent(model: Any, sdk: str, on_sdk: Switch) -> Way:
    """An agent of pydantic-ai that asks a model."""
    from opentelemetry.sdk.trace import TracerProvider
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    from events.bridges import pydantic_ai

    used: dict[str, Any] = {"model": model, "instrument": False}

    @contextmanager
    def on_model() -> Iterator[None]:
        used["model"] = pydantic_ai.instrument(model)
        yield

    @contextmanager
    def on_agent_spans() -> Iterator[None]:
        provider = TracerProvider(shutdown_on_exit=False)
        used["instrument"] = InstrumentationSettings(tracer_provider=provider)
        with on_spans(provider):
            yield

    async def ask(streamed: bool) -> None:
        agent = Agent(used["model"])
        agent.instrument = used["instrument"]
        if not streamed:
            await agent.run("Hello?")
            return
        async with agent.run_stream("Hello?") as answer:
            await answer.get_output()

    return Way(ask, {"pydantic_ai": on_model, sdk: on_sdk, "opentelemetry": on_agent_spans})


def langchain_on_openai(server: OpenAIServer) -> Way:
    """A chat model of LangChain, the client of openai that it has, and OpenTelemetry's instrumentation of that."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o-mini", base_url=server.base_url, api_key="none", max_retries=0, stream_usage=True)
    bridges = {
        "langchain": on_langchain,
        "openai": on_client(model.root_async_client),
        "opentelemetry": on_openai_spans,
    }
    return Way(lambda streamed: ask_langchain(model, streamed), bridges)


def langchain_on_anthropic(server: OpenAIServer) -> Way:
    """A chat model of LangChain, the client of anthropic that it has, and OpenInference's spans of LangChain."""
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(model="claude-test", base_url=address_of(server), api_key="none", max_retries=0)
    bridges = {
        "langchain": on_langchain,
        "anthropic": on_client(model._async_client),
        "opentelemetry": on_langchain_spans,
    }
    return Way(lambda streamed: ask_langchain(model, streamed), bridges)


def langchain_on_litellm(server: OpenAIServer) -> Way:
    """A chat model of LangChain that asks LiteLLM, as that of langchain-litellm does."""
    import litellm
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    class ChatLiteLLM(BaseChatModel):  # type: ignore[misc]  # LangChain is in an environment of its own
        model: str = "gpt-4o-mini"

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {"model": self.model}

        @property
        def _llm_type(self) -> str:
            return "litellm"

        def _generate(self, messages: Any, *rest: Any, **options: Any) -> Any:
            raise NotImplementedError

        async def _agenerate(self, messages: Any, *rest: Any, **options: Any) -> Any:
            answer = await litellm.acompletion(**litellm_options(server))
            message = AIMessage(content=answer.choices[0].message.content, usage_metadata=usage_metadata(answer.usage))
            return ChatResult(generations=[ChatGeneration(message=message)])

        async def _astream(self, messages: Any, *rest: Any, **options: Any) -> Any:
            stream = {"stream": True, "stream_options": {"include_usage": True}}
            async for chunk in await litellm.acompletion(**litellm_options(server), **stream):
                content = chunk.choices[0].delta.content if chunk.choices else ""
                usage = usage_metadata(getattr(chunk, "usage", None))
                yield ChatGenerationChunk(message=AIMessageChunk(content=content or "", usage_metadata=usage))

    model = ChatLiteLLM()
    bridges = {"langchain": on_langchain, "litellm": on_litellm, "opentelemetry": on_langchain_spans}
    return Way(lambda streamed: ask_langchain(model, streamed), bridges)


def usage_metadata(usage: Any) -> Any:
    """Return the usage of LiteLLM as LangChain has it."""
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}


async def ask_langchain(model: Any, streamed: bool) -> None:
    """Ask by a chat model of LangChain."""
    if streamed:
        async for _ in model.astream("Hello?"):
            pass
    else:
        await model.ainvoke("Hello?")


def openai_agents_on_openai(server: OpenAIServer) -> Way:
    """An agent of the OpenAI Agents SDK, the client of openai that it has, and OpenTelemetry's spans of that."""
    import agents
    import openai

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    model = agents.OpenAIChatCompletionsModel("gpt-4o-mini", client)
    bridges = {"openai_agents": on_openai_agents, "openai": on_client(client), "opentelemetry": on_openai_spans}
    return Way(lambda streamed: ask_openai_agent(model, streamed), bridges)


def openai_agents_on_litellm(server: OpenAIServer) -> Way:
    """An agent of the OpenAI Agents SDK that asks LiteLLM."""
    from agents.extensions.models.litellm_model import LitellmModel

    model = LitellmModel("openai/gpt-4o-mini", base_url=server.base_url, api_key="none")
    bridges = {"openai_agents": on_openai_agents, "litellm": on_litellm, "opentelemetry": on_openai_spans}
    return Way(lambda streamed: ask_openai_agent(model, streamed), bridges)


async def ask_openai_agent(model: Any, streamed: bool) -> None:
    """Ask by an agent of the OpenAI Agents SDK."""
    import agents

    agent = agents.Agent("greeter", model=model, model_settings=agents.ModelSettings(include_usage=True))
    if streamed:
        async for _ in agents.Runner.run_streamed(agent, "Hello?").stream_events():
            pass
    else:
        await agents.Runner.run(agent, "Hello?")


def litellm_on_openai(server: OpenAIServer) -> Way:
    """LiteLLM, a client of openai that it is given, and OpenTelemetry's instrumentation of that."""
    import litellm
    import openai

    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0)

    async def ask(streamed: bool) -> None:
        options = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
        answer = await litellm.acompletion(**litellm_options(server), client=client, **options)
        if streamed:
            async for _ in answer:
                pass

    return Way(ask, {"litellm": on_litellm, "openai": on_client(client), "opentelemetry": on_openai_spans})


def litellm_options(server: OpenAIServer) -> dict[str, Any]:
    """Return the options of a function of LiteLLM for a server."""
    options = {"api_base": server.base_url, "api_key": "none", "max_retries": 0}
    return {"model": "openai/gpt-4o-mini", "messages": HELLO, **options}


def address_of(server: OpenAIServer) -> str:
    """Return the URL of a server of Anthropic's, to which its SDK adds the path."""
    assert isinstance(server, AnthropicServer)
    return server.address


def on_client(client: Any) -> Switch:
    """Return how the bridge to a client's SDK is switched on."""
    from events.bridges import anthropic, openai

    bridge: Any = anthropic if type(client).__module__.startswith("anthropic") else openai
    return lambda: bridge.instrument(client)


def on_langchain() -> AbstractContextManager[Any]:
    """Switch the bridge to LangChain on."""
    from events.bridges import langchain

    return langchain.instrument()


def on_litellm() -> AbstractContextManager[Any]:
    """Switch the bridge to LiteLLM on."""
    from events.bridges import litellm

    return litellm.instrument()


def on_openai_agents() -> AbstractContextManager[Any]:
    """Switch the bridge to the OpenAI Agents SDK on, whose traces go nowhere else."""
    import agents

    from events.bridges import openai_agents

    agents.set_trace_processors([])
    return openai_agents.instrument()


def on_spans(provider: Any) -> AbstractContextManager[Any]:
    """Switch the bridge to OpenTelemetry on, for a provider."""
    from events.bridges import opentelemetry

    return opentelemetry.instrument(provider)


@contextmanager
def on_openai_spans() -> Iterator[None]:
    """Switch the bridge to OpenTelemetry on, and OpenTelemetry's instrumentation of openai."""
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    provider, instrumentor = TracerProvider(shutdown_on_exit=False), OpenAIInstrumentor()
    with on_spans(provider):
        instrumentor.instrument(tracer_provider=provider)
        try:
            yield
        finally:
            instrumentor.uninstrument()


@contextmanager
def on_langchain_spans() -> Iterator[None]:
    """Switch the bridge to OpenTelemetry on, and OpenInference's instrumentation of LangChain."""
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    provider, instrumentor = TracerProvider(shutdown_on_exit=False), LangChainInstrumentor()
    with on_spans(provider):
        instrumentor.instrument(tracer_provider=provider)
        try:
            yield
        finally:
            instrumentor.uninstrument()


def ask_in_a_loop(way: Way, streamed: bool) -> None:
    """Ask in an event loop of its own."""
    asyncio.run(way.ask(streamed))
