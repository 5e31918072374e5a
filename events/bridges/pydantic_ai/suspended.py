"""The calls whose answers a provider works on by itself, and that are polled for: OpenAI's background mode.

A request to the model that begins such a job returns a suspended response, and every request that carries it returns it
anew, until the answer is there. All of them are one call with one attempt, which ends with the job.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model

from ...bus.failures import report_failure
from ...llm import llm_called
from .calls import OngoingRequest


class SuspendedRequests:
    """The requests to one model whose jobs are under way, by the provider's id of the response."""

    MAX_REQUESTS = 1024
    """Past it, the oldest is given up: nobody polls for it any more."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._requests: OrderedDict[str, OngoingRequest] = OrderedDict()

    def suspends(self, response: Any) -> bool:
        """Return whether the answer is yet to be polled for.

        A response that is continued at once, such as Anthropic's ``pause_turn``, is complete, and billed by itself.
        """
        try:
            is_pending = getattr(response, "state", None) == "suspended" and response.provider_response_id
            return bool(is_pending) and self._model.continuation_delay(response) is not None
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)
            return False

    def add(self, response: Any, request: OngoingRequest) -> None:
        """Add a request that returned a suspended response."""
        request.is_polling = True
        self._requests[response.provider_response_id] = request
        if len(self._requests) > self.MAX_REQUESTS:
            self._requests.popitem(last=False)[1].finish("cancelled")

    def polled_response(self, messages: Sequence[ModelMessage]) -> ModelResponse | None:
        """Return the suspended response that messages poll for; None where they are a request of their own."""
        last = messages[-1] if messages else None
        return last if isinstance(last, ModelResponse) and self.suspends(last) else None

    def pop(self, response: ModelResponse) -> OngoingRequest | None:
        """Return the request that a suspended response is of, which is under way again; None if it is not known."""
        request = self._requests.pop(response.provider_response_id or "", None)
        if request is not None:
            request.resume()
        return request
