"""Every PromQL expression of the repository parses, and names metrics, labels and values that exist."""

from __future__ import annotations

import pytest

from metrics import CATALOGUE
from metrics.kit.expression_check import check_expression, labels_of_expression
from metrics.kit.vocabulary import Vocabulary, vocabulary_of
from tests.metrics.kit.conftest import expressions


@pytest.mark.slow
def test_every_expression_of_the_repository_names_what_exists(vocabulary: Vocabulary) -> None:
    every = list(expressions())
    assert {"docs/http.md", "docs/own-events.md", "docs/metrics.md", "SparklioRunStuck"} <= {
        each.place for each in every
    }
    wrong = {each.place: (each.text, faults) for each in every if (faults := check_expression(each.text, vocabulary))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum by (model) (", "cannot be parsed"),
        ("rate(acme_llm_requests[5m])", "there is no metric acme_llm_requests"),
        ('acme_llm_requests_total{modle="m"}', "acme_llm_requests_total has no label modle"),
        ('acme_llm_requests_total{status="failed"}', "status of acme_llm_requests_total is never 'failed'"),
        ('acme_llm_requests_total{status=~"error|failed"}', "status of acme_llm_requests_total is never 'failed'"),
        ('acme_llm_requests_total{status!="fail"}', "status of acme_llm_requests_total is never 'fail'"),
        ("sum by (agent) (rate(acme_agent_executions_total[5m]))", "agent is summed by, but no series has it"),
        ("topk by (agent) (3, acme_agent_executions_total)", "agent is summed by, but no series has it"),
        ("up / on (model) acme_llm_active_requests", "model is matched on, but no series has it"),
        (
            "rate(acme_llm_request_duration_seconds_total[5m])",
            "there is no metric acme_llm_request_duration_seconds_to",
        ),
        ('acme_events_total{signal="llm_call"}', "signal of acme_events_total is never"),
        ('acme_db_pool_connections{state="busy"}', "state of acme_db_pool_connections is never 'busy'"),
        ("sum by (le) (acme_llm_requests_total)", "le is summed by"),
        ("sum(sum by (model) (acme_llm_requests_total)) by (provider)", "provider is summed by"),
    ],
)
def test_what_does_not_exist_is_named(expression: str, fault: str) -> None:
    [found] = check_expression(expression, vocabulary_of(CATALOGUE, "acme_"))[:1] or [""]
    assert fault in found


@pytest.mark.parametrize(
    "expression",
    [
        'acme_llm_requests_total{model="any-model",status=~"error|timeout"}',
        'sum(rate(acme_llm_requests_total{model=~"$model"}[$__rate_interval]))',
        "histogram_quantile(0.9, sum by (le) (rate(acme_llm_request_duration_seconds_bucket[5m])))",
        "histogram_quantile(0.9, sum(rate(acme_llm_request_duration_seconds[5m])))",
        'label_replace(up, "slo", "runs", "", "")',
        "count by (__name__) ({job='x'})",
        'acme_events_total{signal=~"(receiver|collector)_failed"}',
        'acme_llm_requests_total{status=~"$status"}',
        'acme_llm_requests_total{status="$status"}',
        'acme_llm_requests_total{status=""}',
        'acme_llm_requests_total{status!=""}',
    ],
)
def test_what_exists_is_no_fault(expression: str) -> None:
    assert check_expression(expression, vocabulary_of(CATALOGUE, "acme_")) == []


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("sum(up)", set()),
        ("up", {"job", "instance"}),
        ("sum without (instance) (up)", {"job"}),
        ("topk(3, up)", {"job", "instance"}),
        ("histogram_quantile(0.9, sum by (le, model) (acme_llm_request_duration_seconds_bucket))", {"model"}),
        ('label_replace(up, "slo", "runs", "", "")', {"job", "instance", "slo"}),
        ("vector(1)", set()),
        ("sum by (job) (up) * on (job) group_left (model) acme_llm_active_requests", {"job", "model"}),
    ],
)
def test_the_labels_of_a_result_are_known(expression: str, labels: set[str]) -> None:
    assert labels_of_expression(expression, vocabulary_of(CATALOGUE, "acme_")) == labels
