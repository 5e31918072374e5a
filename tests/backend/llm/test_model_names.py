"""What the settings say of models is checked before anything is loaded; errors name the setting that is wrong."""

from __future__ import annotations

import inspect
import re
from itertools import chain
from pathlib import Path

import pydantic_ai.providers
import pytest

from app.llm.model_errors import ModelUnavailable
from app.llm.model_names import check_models
from app.llm.provider_keys import KEY_VARIABLES, OTHER_PROVIDERS, SERVER_VARIABLES
from app.server.model_check import validate_models
from app.server.startup_error import StartupError
from app.settings import Settings

OWN = "http://localhost:8080"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"OPENAI_BASE_URL", *chain(*KEY_VARIABLES.values())}:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"llm_fallbacks": "gpt4"}, "SPARKLIO_LLM_FALLBACKS=gpt4 cannot be used: no provider is named"),
        ({"llm_fallbacks": "gpt4", "llm_base_url": OWN}, "SPARKLIO_LLM_FALLBACKS=gpt4 cannot be used"),
        ({"llm_fallbacks": "opnai:x"}, "SPARKLIO_LLM_FALLBACKS=opnai:x cannot be used.*did you mean openai:x"),
        ({"llm_fallbacks": "ollama:x,openai:y"}, "SPARKLIO_LLM_FALLBACKS=openai:y needs a key.*set OPENAI_API_KEY"),
        ({"llm": "openai:"}, "SPARKLIO_LLM=openai: cannot be used: no model is named"),
        ({"llm": "groq:x", "llm_base_url": OWN}, "SPARKLIO_LLM_BASE_URL goes with .*not with SPARKLIO_LLM=groq:x"),
        (
            {"llm": "openai:x", "llm_fallbacks": "groq:y", "llm_base_url": OWN},
            "SPARKLIO_LLM_BASE_URL goes with .*not with SPARKLIO_LLM_FALLBACKS=groq:y",
        ),
        ({"llm": "openai:x", "llm_base_url": OWN, "llm_prices": "nobody"}, "SPARKLIO_LLM_PRICES=nobody is not"),
    ],
)
def test_what_is_wrong_is_named_by_its_setting(settings: dict[str, str], message: str) -> None:
    with pytest.raises(StartupError, match=message):
        validate_models(Settings(**settings))  # type: ignore[arg-type]  # all are texts


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"llm": "openai:x", "llm_base_url": OWN, "llm_prices": "openai", "llm_fallbacks": "embedded"},
        {"llm": "ollama:qwen3:4b", "llm_fallbacks": "azure:x,gateway/openai:y"},
    ],
)
def test_what_may_be_right_passes(settings: dict[str, str]) -> None:
    check_models(Settings(**settings))  # type: ignore[arg-type]  # all are texts


def test_any_of_the_variables_of_a_provider_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="GOOGLE_API_KEY or GEMINI_API_KEY"):
        check_models(Settings(llm="google:x"))
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    check_models(Settings(llm="google:x"))
    monkeypatch.setenv("OPENAI_BASE_URL", OWN)
    check_models(Settings(llm="openai:x"))


def test_the_providers_and_their_variables_are_those_of_the_installed_library() -> None:
    cases = re.findall(r"case (.*):", inspect.getsource(pydantic_ai.providers.infer_provider_class))
    assert set(re.findall(r"'([^']+)'", " ".join(cases))) == {*KEY_VARIABLES, *OTHER_PROVIDERS}
    sources = "".join(path.read_text() for path in Path(pydantic_ai.providers.__file__).parent.glob("*.py"))
    read = {*chain(*KEY_VARIABLES.values(), *OTHER_PROVIDERS.values()), *SERVER_VARIABLES}
    assert not [name for name in read if name not in sources]
