"""The scripted models: a server that speaks OpenAI's protocol and answers as the act has it."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails, says

from .acts import ACTS, FIRST, SECOND, Act

REQUESTS_A_MINUTE = 500


class Script:
    """The models' answers, by the act that is on.

    Attributes:
        act: The act; may be changed while requests come.
    """

    def __init__(self, seed: int) -> None:
        self.act: Act = ACTS[0]
        self._random = Random(seed)  # noqa: S311 - no secret

    def __call__(self, request: ChatRequest) -> Reply:
        """Return the reply to a request."""
        act, chance = self.act, self._random.random
        if request.model in act.down:
            return fails(503)
        if request.model == FIRST and chance() < act.refuses:
            return fails(429, retry_after=1)
        left = int(REQUESTS_A_MINUTE * (1 - act.refuses) * self._random.uniform(0.5, 1))
        usage = Usage(prompt=self._random.randint(200, 2500), completion=self._random.randint(50, 600))
        reply = says("Nothing of use.") if chance() < act.useless else matching_reply(request)
        if chance() < act.rejects:
            reply = rejecting(reply)
        return replace(
            reply,
            usage=replace(usage, cached=usage.prompt // 2 if chance() < 0.4 else 0),
            delay=act.seconds * self._random.lognormvariate(0, 0.5),
            headers={
                "x-ratelimit-limit-requests": str(REQUESTS_A_MINUTE),
                "x-ratelimit-remaining-requests": str(left),
            },
        )


def rejecting(reply: Reply) -> Reply:
    """Return a reply whose verdict, if it has one, is to reject."""

    def reject(text: str) -> str:
        return text.replace('"approved"', '"rejected"')

    calls = tuple((name, json.loads(reject(json.dumps(dict(given))))) for name, given in reply.tool_calls)
    return replace(reply, text=reject(reply.text), tool_calls=calls)


def serve(script: Script) -> OpenAIServer:
    """Return a server of both models."""
    return OpenAIServer(script, models=(FIRST, SECOND))
