"""The scripted model server of the load: most answers are good, some come late, break off, or are errors."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails, says


def scripted_model(seed: int) -> OpenAIServer:
    """Return the server, whose answers are the same in each run with the same requests."""
    random = Random(seed)  # noqa: S311 - no secret

    def reply(request: ChatRequest) -> Reply:
        usage = Usage(prompt=random.randint(50, 500), completion=random.randint(5, 100))
        good = replace(matching_reply(request), usage=usage, delay=random.uniform(0.02, 0.2))
        chance = random.random()
        if chance < 0.02:
            return fails(429, retry_after=0.05)
        if chance < 0.03:
            return fails(500)
        if chance < 0.04:
            return replace(good, break_after=2)
        if chance < 0.05:
            return replace(says("This fits no schema. " * random.randint(1, 50)), usage=usage)
        if chance < 0.07:
            return replace(good, delay=2.0)  # there is time to cancel the run
        return good

    return OpenAIServer(reply)
