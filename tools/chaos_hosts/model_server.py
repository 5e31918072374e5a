"""A scripted model server that knows for which host, run and step each request was."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from random import Random
from time import time

from app.workflows.definitions import WORKFLOWS
from tests.support.openai_server import ChatRequest, Reply
from tools.chaos.model_server import AccountingModelServer

from .history import ModelCall

KEY = "chaos-{:05}"
"""The brand of a run, which is in each of its prompts, and its idempotency key."""
_KEY = re.compile(r"chaos-\d{5}")
_TASKS = {step.task: step.name for workflow in WORKFLOWS.values() for step in workflow.steps()}


class AttributingModelServer(AccountingModelServer):
    """The server. A host is known by its API key, a run by its brand, and a step by its task.

    Attributes:
        calls: The requests so far, by number; ``run`` is the idempotency key of each.
    """

    def __init__(self, rng: Random, delay: float) -> None:
        super().__init__(rng, delay)
        self.calls: dict[int, ModelCall] = {}

    def _behave(self, request: ChatRequest) -> Reply:
        reply = super()._behave(request)
        assert reply.usage is not None
        text = json.dumps(request.messages)
        found = _KEY.search(text)
        self.calls[reply.usage.prompt] = ModelCall(
            number=reply.usage.prompt,
            host=request.headers.get("authorization", "").removeprefix("Bearer "),
            run=found.group() if found else "",
            step=next((name for task, name in _TASKS.items() if task in text), ""),
            began=time(),
            completion_tokens=reply.usage.completion,
        )
        return reply

    async def _send(
        self,
        reply: Reply,
        request: ChatRequest,
        number: int,
        writer: asyncio.StreamWriter,
        finishing: asyncio.Event,
    ) -> None:
        try:
            await super()._send(reply, request, number, writer, finishing)
        finally:
            if reply.usage is not None:
                self.calls[reply.usage.prompt] = replace(self.calls[reply.usage.prompt], ended=time())

    def finished_calls(self) -> list[ModelCall]:
        """Return the requests so far, with what is known of their answers."""
        return [
            replace(call, is_sent=self.answers[number].is_sent, is_read=self.answers[number].is_read)
            for number, call in list(self.calls.items())
        ]
