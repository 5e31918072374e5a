"""The scripted models: a server that speaks OpenAI's protocol and answers as the act has it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.support.in_process_studio import matching_reply, rejecting
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
            return with_limit(fails(429, retry_after=1), 0)
        # Where half of the requests are over the limit, those that are not use up what is left of it.
        left = int(REQUESTS_A_MINUTE * max(1 - 2 * act.refuses, 0) * self._random.uniform(0.5, 1))
        usage = Usage(prompt=self._random.randint(200, 2500), completion=self._random.randint(50, 600))
        reply = says("Nothing of use.") if chance() < act.useless else matching_reply(request)
        if chance() < act.rejects:
            reply = rejecting(reply)
        return replace(
            with_limit(reply, left),
            usage=replace(usage, cached=usage.prompt // 2 if chance() < 0.4 else 0),
            delay=act.seconds * self._random.lognormvariate(0, 0.5),
        )


def with_limit(reply: Reply, left: int) -> Reply:
    """Return a reply whose headers say how many requests are left of the minute's.

    Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    limits = {"limit": REQUESTS_A_MINUTE, "remaining": left}
    own = {f"x-ratelimit-{name}-requests": str(number) for name, number in limits.items()}
    return replace(reply, headers={**reply.headers, **own})


def serve(script: Script) -> OpenAIServer:
    """Return a server of both models."""
    return OpenAIServer(script, models=(FIRST, SECOND))
