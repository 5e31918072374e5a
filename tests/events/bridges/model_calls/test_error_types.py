"""The word for why a request failed: by the class of its error, its status code, or what caused it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events.bridges.model_calls.error_types import (
    error_type_of,
    error_type_of_code,
    error_type_of_status,
    error_type_of_status_code,
    status_of_error,
)
from events.bus.timeout_errors import is_timeout


def error_named(name: str, **attributes: Any) -> Exception:
    """Return an error of a class with this name."""
    made: Exception = type(name, (Exception,), {})()
    vars(made).update(attributes)
    return made


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (None, None), ("500", None), (200, None), (399, None), (400, "invalid_request"), (401, "auth"),
        (402, "quota_exceeded"), (403, "auth"), (404, "invalid_request"), (408, "timeout"),
        (413, "context_length_exceeded"), (429, "rate_limited"), (499, "invalid_request"), (500, "provider_5xx"),
        (503, "provider_5xx"),
    ],
)  # fmt: skip
def test_a_status_code_has_a_word(code: object, word: str | None) -> None:
    assert error_type_of_status_code(code) == word


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (TimeoutError(), "timeout"),
        (error_named("ReadTimeout"), "timeout"),
        (caused(LookupError(), TimeoutError()), "timeout"),
        (LookupError(), "other"),
        (ConnectionError(), "connection"),
        (error_named("TransportError"), "connection"),
        (error_named("ValidationError"), "invalid_response"),
        (error_named("UnexpectedModelBehavior"), "invalid_response"),
        (error_named("ContentFilterError", status_code=400), "content_filtered"),
        (error_named("ModelRateLimitError"), "rate_limited"),
        (error_named("ModelAuthenticationError", status_code=500), "auth"),
        (error_named("ModelRequestRejectedError", body="too long"), "invalid_request"),
        (error_named("ModelRequestRejectedError", body="the context length is 8192"), "context_length_exceeded"),
        (error_named("ModelServerError", body="the context length is 8192"), "provider_5xx"),
        (error_named("APIError", status_code=429), "rate_limited"),
        (error_named("APIError", status_code=200), "other"),
        (error_named("ModelAPIError", status_code=401), "auth"),
        (error_named("APIError", provider_error_code="content_filter_x"), "content_filtered"),
        (error_named("APIError", provider_error_code="content_policy_violation"), "content_filtered"),
        (error_named("APIError", provider_error_code="no_content_filter"), "other"),
        (error_named("APIError", body={"error": {"code": "insufficient_quota"}}), "quota_exceeded"),
        (error_named("APIError", body={"type": "authentication_error"}), "auth"),
        (
            error_named("APIError", body={"error": {"type": "billing_error"}, "code": "invalid_api_key"}),
            "quota_exceeded",
        ),
        (error_named("APIError", body={"error": "insufficient_quota", "code": 7}), "other"),
        (ExceptionGroup("of one", [ConnectionError()]), "connection"),
        (ExceptionGroup("the last", [ConnectionError(), error_named("APIError", status_code=401)]), "auth"),
        (ExceptionGroup("of timeouts", [TimeoutError(), ExceptionGroup("in it", [TimeoutError()])]), "timeout"),
        (ExceptionGroup("of timeouts and another", [TimeoutError(), LookupError()]), "other"),
    ],
)
def test_an_error_has_a_word(error: BaseException | None, word: str) -> None:
    assert error_type_of(error) == word


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("insufficient_quota", "quota_exceeded"), ("overloaded_error", "provider_5xx"),
        ("content_filter", "content_filtered"), ("new_error", None), (None, None), (429, None),
    ],
)  # fmt: skip
def test_a_code_in_a_body_has_a_word(code: object, word: str | None) -> None:
    assert error_type_of_code(code) == word


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimeoutError(), "timeout"), (LookupError(), "error"), (KeyboardInterrupt(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)  # fmt: skip
def test_an_error_ends_a_request_with_a_status(error: BaseException, status: str) -> None:
    assert status_of_error(error) == status


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        ("success", None, None), ("success", LookupError(), None), ("timeout", LookupError(), "timeout"),
        ("cancelled", None, "cancelled"), ("error", LookupError(), "other"), ("error", None, "cancelled"),
    ],
)  # fmt: skip
def test_a_request_that_succeeded_has_no_word(status: Any, error: BaseException | None, word: str | None) -> None:
    assert error_type_of_status(status, error) == word


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, False),
        (LookupError(), False),
        (caused(LookupError(), LookupError()), False),
        (caused(LookupError(), caused(LookupError(), TimeoutError())), True),
        (ExceptionGroup("mixed", [TimeoutError(), LookupError()]), False),
        (caused(ExceptionGroup("mixed", [LookupError()]), TimeoutError()), False),
    ],
)
def test_a_timeout_is_one_whoever_raised_it(error: BaseException | None, expected: bool) -> None:
    assert is_timeout(error) is expected


@pytest.mark.parametrize("kind", ["cause", "group"])
def test_errors_that_lead_to_each_other_are_looked_through_once(kind: str) -> None:
    """As of `raise first from second`, where the second was raised from the first."""
    first = ValueError()
    first.__cause__ = second = ExceptionGroup("several", [first]) if kind == "group" else LookupError()
    second.__cause__ = first
    assert not is_timeout(first)
    assert not is_timeout(second)
    shared = TimeoutError()
    members = [ValueError(), LookupError()]
    for member in members:
        member.__cause__ = shared
    assert is_timeout(ExceptionGroup("several", members))
