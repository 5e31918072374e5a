"""A real Prometheus that has scraped a life with faults answers what operators, managers and finance people ask."""

from __future__ import annotations

from math import isnan

import pytest

from tests.monitoring.conftest import Scenario
from tests.monitoring.questions import QUESTIONS, Question

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus"), pytest.mark.timeout(400)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.ask)
def test_the_question_is_answered(scenario: Scenario, question: Question) -> None:
    for answer in question.answers:
        result = scenario.query(answer.query, scenario.busy_at if answer.busy else scenario.ended_at)
        if answer.empty:
            assert result == {}, (answer.query, answer.empty)
            continue
        assert result, answer.query
        found = dict(result)
        found.setdefault((), max(result.values()))  # of several series, any
        for labels, (least, most) in answer.expected.items():
            assert labels in found, (answer.query, labels, result)
            assert least <= found[labels] <= most, (answer.query, labels, found[labels])
        assert not [labels for labels in answer.expected if isnan(found[labels])], answer.query
