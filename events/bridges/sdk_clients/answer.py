"""The answer of a call as it comes, and the protocol by which one is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Protocol as TypingProtocol

from ...bus.fields import ErrorType
from ...llm import FinishReason, ModelOperation
from ..model_calls.error_types import error_type_of_code, error_type_of_status_code
from ..model_calls.token_usage import TokenUsage, get, getter_of


class Answer(TypingProtocol):
    """The answer of one call: the whole, or the chunks of a stream, are added as they come.

    Attributes:
        model: What the answer calls its model.
        finish_reason: Why it ends; None while it has not.
        error_type: Why it failed although nothing was raised; None where it did not.
        has_ended: Whether its last chunk came.
    """

    model: str | None
    finish_reason: FinishReason | None
    error_type: ErrorType | None
    has_ended: bool

    def add_whole(self, body: Any) -> None:
        """Add an answer that came as a whole: an object of the SDK, or a mapping."""

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:
        """Add a chunk of a stream; return how many characters of content it has, and whether that is reasoning."""

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted so far."""

    def raw_usage(self) -> Any:
        """Return the usage as the provider sent it; None where it sent none."""


@dataclass(frozen=True, slots=True)
class CallKind:
    """A kind of calls: how an answer to one is read, and what the model is asked for."""

    make_answer: Callable[[], Answer]
    operation: ModelOperation


class Protocol(TypingProtocol):
    """How the requests and answers of one provider's SDK are read."""

    bridge: str
    """The name of the bridge."""

    sdk: str
    """The name of the SDK's package."""

    def provider_of_client(self, client: Any) -> str:
        """Return the provider that a client asks."""

    def kind_of_call(self, url: str) -> CallKind | None:
        """Return what is posted to a URL; None where that is no call to a model, such as a file."""


PARTS_OF_ANSWERS = ("choices", "output", "content", "data", "completion", "text", "usage")
"""Of which an answer has one at least."""


def fault_of(body: Any, operation: ModelOperation) -> ErrorType | None:
    """Return why a body that came with a status of success is no answer; None of an answer.

    Gateways answer so for a provider that failed, and with pages of their own.

    Args:
        body: An object of the SDK, a mapping, or what else it made of the body.
        operation: What the model was asked for: a transcription may be a plain text.
    """
    look_up = body.get if type(body) is dict else getter_of(body)
    error = look_up("error")
    if error:  # some say that there is none by an empty one, or by false
        code = get(error, "code")
        by_status = error_type_of_status_code(code)
        return by_status or error_type_of_code(code) or error_type_of_code(get(error, "type")) or "other"
    is_text = operation == "audio" and isinstance(body, str | None)
    if is_text:
        return None
    for name in PARTS_OF_ANSWERS:
        if look_up(name) is not None:
            return None
    return "invalid_response"


def provider_of_class(client: Any, providers: tuple[tuple[str, str], ...]) -> str | None:
    """Return the provider whose part of a name the class of a client, or one that it is derived from, has in its own.

    Args:
        client: The client.
        providers: Pairs of a part and a provider.
    """
    names = [parent.__name__ for parent in type(client).__mro__]
    return next((provider for part, provider in providers if any(part in name for name in names)), None)
