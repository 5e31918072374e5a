"""The refusal of models that cannot be asked whatever happens, before anything is loaded."""

from __future__ import annotations

from app.llm.model_errors import ModelUnavailable
from app.llm.model_names import check_models
from app.settings import Settings

from .startup_error import StartupError


def validate_models(settings: Settings) -> None:
    """Check names of models, keys of their providers and what goes with them, where a model is asked at all.

    Raises:
        StartupError: One of them is wrong or missing.
    """
    if not settings.executes_runs:
        return
    try:
        check_models(settings)
    except ModelUnavailable as error:
        raise StartupError(str(error)) from None
