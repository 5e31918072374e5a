"""The bridge to the openai SDK: emits `llm_called` for every call of a client, and `llm_attempted` for each attempt.

Instrument a client, and use it as before::

    from openai import AsyncOpenAI
    from events.bridges.openai import instrument

    client = AsyncOpenAI()
    instrument(client)

Chat completions, completions, responses, embeddings, images and transcriptions are calls, with their helpers
(``parse``, ``stream``), raw and streaming responses. Events hold names, numbers and the class of an error; never a
prompt, an output or an error's message.

- `openai_protocol`: which requests are calls, and who is asked
"""

from __future__ import annotations

from typing import TypeVar

from ..model_calls.cost import Cost, UsagePriceFunction
from ..model_calls.token_prices import list_price
from ..sdk_clients import InstrumentedClient, instrument_client, is_instrumented
from .openai_protocol import OpenAIProtocol

Client = TypeVar("Client")

__all__ = ["Cost", "InstrumentedClient", "UsagePriceFunction", "instrument", "is_instrumented", "list_price"]


def instrument(
    client: Client, *, price: UsagePriceFunction | None = list_price, provider: str | None = None
) -> InstrumentedClient[Client]:
    """Have an ``OpenAI``, ``AsyncOpenAI``, ``AzureOpenAI`` or ``AsyncAzureOpenAI`` emit the events of its calls.

    Copies by ``with_options`` do so too.

    Args:
        client: The client; it stays what it is, an instance of its class.
        price: Returns the cost of a call's tokens, where the seller says none; None for no costs. The list of
            genai-prices, if that is installed, by default.
        provider: Who is asked. By default Azure or the host of ``base_url`` says it; ``openai-compatible`` is a server
            that is not known.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It is no such client.
    """
    return instrument_client(client, OpenAIProtocol(), price, provider)
