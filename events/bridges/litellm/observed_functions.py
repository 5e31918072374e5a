"""The functions that stand in the place of LiteLLM's, and tell their calls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, Protocol

from ...bus.failures import report_failure
from ...llm import llm_called
from ..model_calls.claims import claim_call
from ..model_calls.model_call import is_idle
from .functions import Function, asked_model, is_mocked, model_argument
from .inner_calls import InnerCall, Running
from .litellm_call import BRIDGE, LiteLLMCall
from .sent_requests import current_sender
from .tracked_streams import is_stream, track_stream


class Switch(Protocol):
    """The switch of what is told.

    Attributes:
        is_active: Whether anything is.
    """

    is_active: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A call of a function that began.

    Attributes:
        call: The call of the program that it is, or is made for.
        inner: It, as one that LiteLLM makes.
        is_whole: Whether it is all of the program's call.
    """

    call: LiteLLMCall
    inner: InnerCall
    is_whole: bool


def observed_function(original: Callable[..., Any], function: Function, switch: Switch) -> Callable[..., Any]:
    """Return a function of LiteLLM that tells its calls; ``original`` is what it does."""
    return _observe(original, lambda args, options: _begin(function, switch, args, options))


def observed_method(original: Callable[..., Any], function: Function, switch: Switch) -> Callable[..., Any]:
    """Return a method of LiteLLM's Router that tells its calls."""
    return _observe(original, lambda args, options: _begin_routed(function, switch, args[1:], options))


def _observe(
    original: Callable[..., Any], begin: Callable[[tuple[Any, ...], dict[str, Any]], Begun | None]
) -> Callable[..., Any]:
    @wraps(original)
    def observed(*args: Any, **options: Any) -> Any:
        begun = begin(args, options)
        if begun is None:
            return original(*args, **options)
        try:
            with Running(begun.inner):
                result = original(*args, **options)
        except BaseException as error:
            _fail(begun, error)
            raise
        if iscoroutine(result):  # a plain function that was asked for an asynchronous call
            return _await(result, begun) if begun.is_whole else result
        return _take(result, begun)

    @wraps(original)
    async def observed_async(*args: Any, **options: Any) -> Any:
        begun = begin(args, options)
        if begun is None:
            return await original(*args, **options)
        try:
            with Running(begun.inner):
                result = await original(*args, **options)
        except BaseException as error:
            _fail(begun, error)
            raise
        return _take(result, begun)

    return observed_async if iscoroutinefunction(original) else observed


def _begin(function: Function, switch: Switch, args: tuple[Any, ...], options: dict[str, Any]) -> Begun | None:
    """Return the call that begins; None where nothing is to be told."""
    try:
        around = _running_call()
        if around is None and (not switch.is_active or is_idle()):
            return None
        name = model_argument(function.model_at, args, options)
        asked = asked_model(name, options)
        if around is not None:
            return Begun(around, around.begin(asked, is_mocked=is_mocked(options)), is_whole=False)
        claim = claim_call(is_exact=True, model=asked.model)
        if claim is None:
            return None
        call = LiteLLMCall(claim, function, name, asked, streamed=options.get("stream") is True)
        return Begun(call, call.begin(asked, is_mocked=is_mocked(options)), is_whole=True)
    except Exception as failure:  # the call is made without events
        report_failure(llm_called.name, BRIDGE, failure)
        return None


def _begin_routed(function: Function, switch: Switch, args: tuple[Any, ...], options: dict[str, Any]) -> Begun | None:
    try:
        if _running_call() is not None or not switch.is_active or is_idle():
            return None
        claim = claim_call(is_exact=True)
        if claim is None:
            return None
        name = model_argument(function.router_model_at, args, options)
        call = LiteLLMCall(claim, function, name, None, streamed=options.get("stream") is True)
        return Begun(call, call.begin(None, is_mocked=is_mocked(options)), is_whole=True)
    except Exception as failure:  # the same
        report_failure(llm_called.name, BRIDGE, failure)
        return None


def _running_call() -> LiteLLMCall | None:
    """Return the call of LiteLLM that the running code is in."""
    sender = current_sender.get()
    call = sender.call if isinstance(sender, InnerCall) else None
    return call if isinstance(call, LiteLLMCall) and not call.has_ended else None


def _fail(begun: Begun, error: BaseException) -> None:
    try:
        if begun.is_whole:
            begun.call.fail(error)
        else:
            begun.call.fail_inner(begun.inner, error)
    except Exception as failure:
        report_failure(llm_called.name, BRIDGE, failure)


def _take(result: Any, begun: Begun) -> Any:
    """Return the result of a call, whose end is that of the call; a stream ends it later."""
    call = begun.call
    try:
        streams = is_stream(result)
        if streams and not (begun.is_whole and call.has_stream):
            call.add_stream(result)
        if begun.is_whole and streams:
            call.streamed = call.model_call.streamed = True
            track_stream(result, call)
        elif begun.is_whole:
            call.add_whole(result)
    except Exception as failure:
        report_failure(llm_called.name, BRIDGE, failure)
        call.finish()
    return result


async def _await(pending: Coroutine[Any, Any, Any], begun: Begun) -> Any:
    try:
        with Running(begun.inner):
            result = await pending
    except BaseException as error:
        _fail(begun, error)
        raise
    return _take(result, begun)
