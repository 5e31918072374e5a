"""The end of a streamed request: at the end of the provider's events, or where its consumer leaves it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic_ai.models import StreamedResponse

from ...bus.failures import report_failure
from ...llm import llm_called
from .response import lacks_end

if TYPE_CHECKING:
    from .calls import OngoingRequest


def track_stream(request: OngoingRequest, stream: StreamedResponse) -> None:
    """Have the end of the provider's events end the request; it ends when it is closed where that cannot be."""
    request.stream = stream
    try:
        request.stream_events.track(stream, partial(finish_events, request))
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)


def finish_events(request: OngoingRequest, stream: StreamedResponse, error: BaseException | None) -> None:
    """End a request at the end of its stream's events, or at their error."""
    if stream.cancelled:
        request.finish("cancelled", error, stream)
    elif error is not None:
        request.finish(request.status_of(error), error, stream)
    elif request.suspends(stream):
        return
    elif lacks_end(stream):
        request.fault = "invalid_response"
        request.finish("error", response=stream)
    else:
        request.finish("success", response=stream)


def finish_stream(request: OngoingRequest, error: BaseException | None) -> None:
    """Emit the events of a stream that is closed, or whose consumer raised ``error``, unless that is done."""
    if request.is_emitted:
        return
    if error is None or isinstance(error, GeneratorExit):
        error = request.stream_events.interruption or error
    stream, status = request.stream, request.status_of(error)
    last_response, last = request.call.last or (None, None)
    if stream is not None and last is not None and last_response is stream and not request.stream_events.are_tracked:
        request.stream_events.end_as(last.ended_at, last.reader_pauses)
    if stream is not None and error is None and last is not None and last_response is stream:
        status, request.fault = last.status, last.fault  # its attempt has seen the end
    elif stream is not None and error is None:
        try:
            status = "success" if stream.get().state in ("complete", "suspended") else "cancelled"
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)
    elif stream is not None and status == "error" and (request.stream_events.are_tracked or stream.cancelled):
        status = "cancelled"  # the consumer failed, not the model: that would have ended its events
    request.finish(status, error, stream)
