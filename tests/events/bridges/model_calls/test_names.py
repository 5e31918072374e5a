"""Names of models and providers: cut where they are too long, and providers by their URLs."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.model_calls.names import MAX_NAME_LENGTH, label_of, provider_of, truncate_name


def test_a_name_is_cut_at_its_limit() -> None:
    assert truncate_name("x" * MAX_NAME_LENGTH) == "x" * MAX_NAME_LENGTH
    assert truncate_name("x" * MAX_NAME_LENGTH + "y") == "x" * MAX_NAME_LENGTH
    assert truncate_name(None) == ""


@pytest.mark.parametrize(
    ("name", "label"), [("m", "m"), ("", "unknown"), (None, "unknown"), (7, "unknown"), (["m"], "unknown")]
)
def test_what_is_no_name_is_unknown(name: Any, label: str) -> None:
    assert label_of(name) == label


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://API.OPENAI.COM", "openai"),
        ("https://mine.openai.azure.com/openai/", "azure"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://notapi.openai.com", None),
        ("http://127.0.0.1:8080/v1", None),
        ("http://[::1/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_provider_is_known_by_its_host(url: Any, provider: str | None) -> None:
    assert provider_of(url) == provider
