"""The bridge to the anthropic SDK: emits `llm_called` for every message of a client, `llm_attempted` for each attempt.

Instrument a client, and use it as before::

    from anthropic import AsyncAnthropic
    from events.bridges.anthropic import instrument

    client = AsyncAnthropic()
    instrument(client)

Messages are calls, with their helpers (``parse``, ``stream``), raw and streaming responses. Events hold names, numbers
and the class of an error; never a prompt, an output or an error's message.

- `anthropic_protocol`: which requests are calls, and who is asked
- `message_answer`: the answer of a message
"""

from __future__ import annotations

from typing import TypeVar

from ..model_calls.cost import Cost, UsagePriceFunction
from ..model_calls.token_prices import list_price
from ..sdk_clients import InstrumentedClient, instrument_client, is_instrumented
from .anthropic_protocol import AnthropicProtocol

Client = TypeVar("Client")

__all__ = ["Cost", "InstrumentedClient", "UsagePriceFunction", "instrument", "is_instrumented", "list_price"]


def instrument(
    client: Client, *, price: UsagePriceFunction | None = list_price, provider: str | None = None
) -> InstrumentedClient[Client]:
    """Have an ``Anthropic`` or ``AsyncAnthropic``, or one for Bedrock, Vertex or Foundry, emit the events of its calls.

    Copies by ``with_options`` do so too.

    Args:
        client: The client; it stays what it is, an instance of its class.
        price: Returns the cost of a call's tokens; None for no costs. The list of genai-prices, if that is installed,
            by default.
        provider: Who is asked. By default the class of the client or the host of ``base_url`` says it, and
            ``anthropic-compatible`` is a server that is not known.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        TypeError: It is no such client.
    """
    return instrument_client(client, AnthropicProtocol(), price, provider)
