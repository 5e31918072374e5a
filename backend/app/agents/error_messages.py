"""The reason of an agent's failure for its user: model, cause and way out, without a word of prompt or answer."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_ai import exceptions as ai

from app.llm.answer_limit import AnswerTooLong
from app.llm.model_errors import ModelUnavailable

from .error_types import is_timeout
from .tools import ToolFailed

# From the particular to the general: the first type that fits gives the message.
# fmt: off
MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (ai.ModelContextWindowExceededError, "the brief is too long for {model}: shorten it, or {other}"),
    (ai.ModelAuthenticationError, "the provider of {model} refuses the studio's key (HTTP {status}): check the key"),
    (ai.ModelNotFoundError,       "the provider does not know {model} (HTTP {status}): check SPARKLIO_LLM"),
    (ai.ModelQuotaExceededError,  "the quota for {model} is used up (HTTP {status}): raise it, or {other}"),
    (ai.ModelRateLimitError,      "{model} is asked too often (HTTP {status}): wait, or lower SPARKLIO_CONCURRENCY"),
    (ai.ModelHTTPError,           "the server of {model} answers with HTTP {status}: try again later"),
    (ai.ModelConnectionError,     "{model} cannot be reached: is its server running? Check SPARKLIO_LLM_BASE_URL"),
    (ai.ModelAPIError,            "the server of {model} gives no proper answer: check SPARKLIO_LLM_BASE_URL"),
    (ai.ContentFilterError,       "the content filter of {model} refuses: change the brief"),
    (ai.OutputTokenLimitExceeded, "{model} comes to no end within its limit: try again, or {other}"),
    (ai.UsageLimitExceeded,       "{model} goes on calling tools: try again, or {other}"),
    (AnswerTooLong,               "{model} exceeds SPARKLIO_LLM_MAX_ANSWER with its answer: try again, or {other}"),
    (ai.UnexpectedModelBehavior,  "{model} does not answer in the form that was asked for: try again, or {other}"),
    (ValidationError,             "the server of {model} gives no proper answer: try again, or {other}"),
    (ToolFailed,                  "{error}: the studio's log says where"),
    (ModelUnavailable,            "{error}"),
)
# fmt: on
TIMEOUT_MESSAGE = "{model} does not answer in time: raise SPARKLIO_LLM_TIMEOUT, or {other}"
OTHER_MODEL = "set SPARKLIO_LLM to another model"


def user_message(error: Exception, model: str) -> str | None:
    """Return one line that says why an agent failed; None when the cause is neither the model nor a tool but a bug."""
    if isinstance(error, ExceptionGroup):
        error = error.exceptions[-1]  # of a chain of models, the last one's
    if is_timeout(error):
        return TIMEOUT_MESSAGE.format(model=model, other=OTHER_MODEL)
    for error_class, message in MESSAGES:
        if isinstance(error, error_class):
            return message.format(model=model, status=getattr(error, "status_code", ""), other=OTHER_MODEL, error=error)
    return None
