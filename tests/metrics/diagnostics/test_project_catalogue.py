"""A catalogue is found by its module and its name in it."""

from __future__ import annotations

import pytest

from metrics import CATALOGUE, HTTP, PIPELINE
from metrics.diagnostics.project_catalogue import CatalogueNotFound, assemble_catalogue, check_names, load_catalogue
from metrics.diagnostics.project_config import ProjectConfig, ProjectConfigInvalid


@pytest.mark.parametrize("path", ["metrics:NOTHING", "no_such_module", "metrics:LABEL_LIMITS", ":", "json"])
def test_what_is_no_catalogue_is_not_found(path: str) -> None:
    with pytest.raises(CatalogueNotFound, match=f"no catalogue at '{path}'"):
        load_catalogue(path)


def test_a_catalogue_without_a_name_is_the_modules() -> None:
    assert load_catalogue("metrics") == load_catalogue("metrics:CATALOGUE") == CATALOGUE


def test_a_name_that_is_none_is_answered_with_the_three_most_alike() -> None:
    project = ProjectConfig(without=("queu",))
    known = {"queue", "queues", "queued", "cost"}
    with pytest.raises(ProjectConfigInvalid) as raised:
        check_names("without", project.without, known, "family", project)
    assert all(name in str(raised.value) for name in ("queue", "queued", "queues"))
    assert "cost" not in str(raised.value)


@pytest.mark.parametrize("names", [("http",), ("http", "metrics:PIPELINE")])
def test_groups_are_named_as_in_subscribe(names: tuple[str, ...]) -> None:
    assert assemble_catalogue(ProjectConfig(catalogue=names)) == HTTP + PIPELINE
