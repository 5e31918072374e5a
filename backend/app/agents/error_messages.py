"""The reason of an agent's failure for its user: model, cause and way out, without a word of prompt or answer."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_ai import exceptions as ai
from pydantic_ai.models import Model

from app.llm.answer_limit import AnswerTooLong
from app.llm.model_errors import ModelUnavailable
from app.llm.provider_keys import KEY_VARIABLES
from events.bridges.pydantic_ai.members import leaf_models

from .error_types import is_timeout
from .tools import ToolFailed

# From the particular to the general: the first type that fits gives the message.
# fmt: off
MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (ai.ModelContextWindowExceededError, "the brief is too long for {model}: shorten it, or {other}"),
    (ai.ModelAuthenticationError, "the provider of {model} refuses the studio's key (HTTP {status}): check {key}"),
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


def user_message(error: Exception, model: Model) -> str | None:
    """Return one line that says why an agent failed; None when the cause is neither the model nor a tool but a bug."""
    if isinstance(error, ExceptionGroup):
        error = error.exceptions[-1]  # of a chain of models, the last one's
    failed = failed_model(error, model)
    name = failed.model_name
    if is_timeout(error):
        return TIMEOUT_MESSAGE.format(model=name, other=OTHER_MODEL)
    for error_class, message in MESSAGES:
        if isinstance(error, error_class):
            return message.format(
                model=name,
                status=getattr(error, "status_code", ""),
                key=key_of(failed.system),
                other=OTHER_MODEL,
                error=error,
            )
    return None


def failed_model(error: Exception, model: Model) -> Model:
    """Return the model that an error is of: of a chain that which it names, else the last one."""
    members = leaf_models(model)
    named = getattr(error, "model_name", None)
    return next((member for member in members if member.model_name == named), members[-1])


def key_of(provider: str) -> str:
    """Return where a provider's key is looked for: the variables of the environment."""
    variables = KEY_VARIABLES.get(provider, ())
    return f"the key in {' or '.join(variables)}" if variables else "its key"
