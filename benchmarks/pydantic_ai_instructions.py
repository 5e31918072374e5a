"""The instructions that instrumenting a model of pydantic-ai adds to a call.

With listeners the model is OpenAI's, on a transport that answers at once. Its own millions of instructions vary by more
than what is added where nobody listens, so there the model does nothing.
"""

from __future__ import annotations

import asyncio
import gc

import httpx2
from prometheus_client import CollectorRegistry
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from events.bridges.pydantic_ai import instrument
from metrics import CATALOGUE, subscribe

from .forked_instructions import NOTE, count, print_forks
from .measurement import Claim
from .model_calls import ANSWER, MODEL, connected
from .pydantic_ai_calls import PARAMETERS, PROMPT

BARS = {
    "unheard": ("that nobody listens to", "silent", 6.9),
    "heard": ("with one listener connected to each event", "bare", 300),
    "counted": ("that is priced by the list and counted in all metrics", "bare", 450),
}
"""By variant what it is, what it is compared with, and at most how many thousand instructions it may add.

Unheard they are a quarter, and with one listener 0.35, of what it added where each call read all that there is to read.
Priced it is a little more than what it adds now: an eighth of what it added where each call asked the price list.
"""


def measure(short: bool) -> list[Claim]:
    """Count the instructions of each variant beyond those of the bare model; in the long form twice."""
    counted = [count(__name__) for _ in range(1 if short else 2)]
    return [
        Claim(
            what=f"one call of an instrumented model of pydantic-ai {what}, in instructions beyond the bare model's",
            bar=bar,
            better="lower",
            unit="thousand",
            ours=[(each[variant] - each[bare]) / 1000 for each in counted],
            runs={"of the bare model's, thousand": [each[bare] / 1000 for each in counted]},
            note=NOTE,
        )
        for variant, (what, bare, bar) in BARS.items()
    ]


class SilentModel(Model):
    """A model that does nothing."""

    model_name, system = "silent", "none"
    response = ModelResponse(parts=[TextPart("Hello")])

    async def request(self, *_: object) -> ModelResponse:
        """Return always the same."""
        return self.response


def answer(_: httpx2.Request) -> httpx2.Response:
    """Return the answer of a provider, with the headers of its limits."""
    limits = {"limit-requests": 10000, "limit-tokens": 200000, "remaining-requests": 9999, "remaining-tokens": 199000}
    return httpx2.Response(
        200, headers={f"x-ratelimit-{name}": str(value) for name, value in limits.items()}, json=ANSWER
    )


def model() -> Model:
    """Return a model whose requests are answered in the process."""
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return OpenAIChatModel(
        MODEL, provider=OpenAIProvider(base_url="http://answered.test/v1", api_key="none", http_client=client)
    )


def ask(asked: Model, number: int) -> None:
    """Ask a model so many times."""

    async def ask_each() -> None:
        for _ in range(number):
            await asked.request(PROMPT, None, PARAMETERS)

    asyncio.run(ask_each())


def main() -> None:
    """Run every variant, without the garbage collector: where it runs would be most of the difference."""
    gc.disable()
    silent, bare = SilentModel(), model()
    unheard, heard, counted = instrument(silent), instrument(model(), price=None), instrument(model())
    print_forks("silent", lambda number: ask(silent, number))
    print_forks("unheard", lambda number: ask(unheard, number))
    print_forks("bare", lambda number: ask(bare, number))
    with connected():
        print_forks("heard", lambda number: ask(heard, number))
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
        print_forks("counted", lambda number: ask(counted, number))


if __name__ == "__main__":
    main()
