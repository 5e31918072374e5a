"""Answers that are streamed, so that it is seen when their tokens come, and returned as a whole."""

from __future__ import annotations

from http import HTTPStatus

from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from events.bridges.pydantic_ai.response import lacks_end

from .answer_limit import current_answer

REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED)


class StreamingModel(WrapperModel):
    """A model whose answers are streamed inside of a request that is not.

    A model that cannot be streamed is asked without, from its first refusal on: a class of pydantic-ai's that has no
    streams, a provider that says so (OpenAI streams some models for verified organizations only), or a server that
    ignores it and answers as a whole, where there is nothing in the stream.
    """

    def __init__(self, wrapped: Model) -> None:
        super().__init__(wrapped)
        self._streams = True

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make the request, streamed if the model can be."""
        if self._streams:
            try:
                return await request_streamed(self.wrapped, messages, model_settings, model_request_parameters)
            except NotImplementedError:
                self._streams = False
            except ModelHTTPError as error:
                if not refuses_streams(error):
                    raise
                self._streams = False
            except EmptyStream:
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
                self._streams = False
                return response
        return await self.wrapped.request(messages, model_settings, model_request_parameters)


class EmptyStream(UnexpectedModelBehavior):
    """A stream ended without anything in it that pydantic-ai can read."""


async def request_streamed(
    model: Model,
    messages: list[ModelMessage],
    model_settings: ModelSettings | None,
    model_request_parameters: ModelRequestParameters,
) -> ModelResponse:
    """Stream an answer and return it as a whole.

    Raises:
        EmptyStream: There is nothing in the stream.
        UnexpectedModelBehavior: The stream ended without the end of the answer, or is none that can be read.
    """
    is_open = False
    size = current_answer.get()
    try:
        async with model.request_stream(messages, model_settings, model_request_parameters) as stream:
            is_open = True
            async for event in stream:
                if size is not None:
                    size.add(event)
    except UnexpectedModelBehavior as error:
        if is_open or (size is not None and size.exceeded):
            raise
        raise EmptyStream(f"the stream of {model.model_name} has nothing in it") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # pydantic-ai does not check what is streamed
        raise UnexpectedModelBehavior(f"the answer of {model.model_name} cannot be read") from error
    if lacks_end(stream):
        raise UnexpectedModelBehavior(f"the answer of {model.model_name} broke off")
    return stream.get()


def refuses_streams(error: ModelHTTPError) -> bool:
    """Return whether a provider refused a request because it was to be streamed: it names the parameter."""
    return error.status_code in REFUSALS and "stream" in str(error.body).lower()
