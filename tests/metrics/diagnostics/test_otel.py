"""The catalogue in OpenTelemetry's words, by version of its conventions."""

from __future__ import annotations

import pytest

from events.bridges.opentelemetry.attribute_names import read
from events.bridges.opentelemetry.span_reading import provider_in
from metrics import CATALOGUE, OPTIONAL
from metrics.__main__ import main
from metrics.diagnostics.otel import OtelNames, format_names, names_in, versions

FAMILIES = {row.name for row in CATALOGUE}
LABELS = {label for row in CATALOGUE for label in row.label_names}


@pytest.mark.parametrize("names", versions().values(), ids=lambda names: names.name)
def test_every_family_is_printed_once_and_no_other(names: OtelNames) -> None:
    lines = format_names(CATALOGUE, "sparklio", names.name).splitlines()[4:]
    printed = [line.split("`")[1].removeprefix("sparklio_") for line in lines]
    assert sorted(printed) == sorted(FAMILIES)


@pytest.mark.parametrize("names", versions().values(), ids=lambda names: names.name)
def test_what_is_mapped_has_the_form_of_the_conventions(names: OtelNames) -> None:
    """Dotted lower-case names below the namespaces that the conventions give to such metrics."""
    for name, otel_name in names.metrics.items():
        assert otel_name.startswith(("gen_ai.", "http.server.", "db.client.")), name
        assert otel_name == otel_name.lower()


@pytest.mark.parametrize(
    ("version", "family", "otel_name"),
    [
        ("1.41", "llm_request_duration_seconds", "gen_ai.client.operation.duration"),
        ("1.41", "llm_time_to_first_token_seconds", "gen_ai.client.operation.time_to_first_chunk"),
        ("genai-2026", "workflow_duration_seconds", "gen_ai.invoke_workflow.duration"),
        ("genai-0.1.0", "workflow_duration_seconds", "gen_ai.invoke_agent.duration"),
        ("genai-0.1.0", "llm_request_duration_seconds", "gen_ai.client.inference.duration"),
    ],
)
def test_a_family_has_the_name_of_its_version(version: str, family: str, otel_name: str) -> None:
    assert names_in(version).metrics[family] == otel_name


@pytest.mark.parametrize("names", versions().values(), ids=lambda names: names.name)
def test_a_client_has_no_names_of_a_model_server(names: OtelNames) -> None:
    assert not [name for name in names.metrics.values() if name.startswith("gen_ai.server.")]


# fmt: off
PROVIDERS = {
    "anthropic", "aws.bedrock", "azure.ai.inference", "azure.ai.openai", "cohere", "deepseek", "gcp.gemini",
    "gcp.gen_ai", "gcp.vertex_ai", "groq", "ibm.watsonx.ai", "mistral_ai", "moonshot_ai", "openai", "perplexity",
    "x_ai",
}
# fmt: on
"""The values of gen_ai.provider.name that semantic-conventions-genai lists (docs/gen-ai/client-inference.md)."""


def test_providers_have_values_of_the_conventions_and_are_read_back_as_they_are_printed() -> None:
    values = names_in().values["provider"]
    assert {*values.values()} <= PROVIDERS
    assert {ours: provider_in(read({"gen_ai.provider.name": theirs})) for ours, theirs in values.items()} == {
        ours: ours for ours in values
    }


@pytest.mark.parametrize("names", versions().values(), ids=lambda names: names.name)
def test_what_is_mapped_exists(names: OtelNames) -> None:
    assert {*names.metrics} <= FAMILIES
    assert {*names.labels} <= LABELS


def test_a_model_is_the_one_that_was_asked_for() -> None:
    labels = names_in().labels
    assert (labels["model"], labels["response_model"]) == ("gen_ai.request.model", "gen_ai.response.model")


def test_a_label_may_be_called_otherwise_in_one_version() -> None:
    assert names_in("genai-2026").labels["workflow_type"] == "gen_ai.workflow.name"
    assert names_in("genai-0.1.0").labels["workflow_type"] == "gen_ai.agent.name"


def test_the_command_prints_the_default_version_or_the_one_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--otel"]) == 0
    assert capsys.readouterr().out == format_names(CATALOGUE + OPTIONAL, "sparklio", "1.41") + "\n"
    assert main(["--namespace", "acme", "--otel", "genai-2026"]) == 0
    printed = capsys.readouterr().out
    assert (
        "| `acme_tool_call_duration_seconds` | `gen_ai.execute_tool.duration` | tool_name is gen_ai.tool.name |"
        in printed
    )
    assert "| `acme_active_workflows` | none: `acme.active_workflows` |  |" in printed
    assert "token_type is gen_ai.token.type (prompt is input, completion is output)" in printed


def test_a_version_that_is_not_mapped_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--otel", "9.9"]) == 2
    assert "choose one of 1.41, genai-2026, genai-0.1.0" in capsys.readouterr().err
