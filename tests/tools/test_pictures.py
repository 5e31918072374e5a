"""Each dashboard has a picture, and queries are asked as Grafana asks them."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from tools.monitor.configuration import MONITORING
from tools.pictures.__main__ import MOST_BYTES, PICTURES, main
from tools.pictures.answers import Asked
from tools.pictures.browser import PAGE, WIDTH

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))


def panels() -> list[dict[str, Any]]:
    return [panel for file in DASHBOARDS for panel in json.loads(file.read_text())["panels"]]


@pytest.mark.parametrize("name", [file.stem for file in DASHBOARDS])
def test_each_dashboard_has_a_picture_that_is_wide_and_small_and_shown(name: str) -> None:
    picture = (ROOT / PICTURES / f"{name}.png").read_bytes()
    (width,) = struct.unpack(">I", picture[16:20])
    assert width == WIDTH
    assert len(picture) <= MOST_BYTES
    assert f"dashboards/{name}.png" in (ROOT / "docs" / "operators.md").read_text()


def test_each_kind_of_panel_is_drawn() -> None:
    table = (PAGE / "panels.jsx").read_text().split("const KINDS")[1].split("};")[0]
    assert {panel["type"] for panel in panels()} - {"row"} == set(re.findall(r"^  (\w+): ", table, re.MULTILINE))


def test_no_variable_is_left_in_a_query() -> None:
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        variables = Asked("http://127.0.0.1:1", start=1000.0, end=1600.0).variables(dashboard)
        assert variables["$__range"] == "600s"
        assert variables["$job"] == "sparklio-backend"
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                assert set(re.findall(r"\$\w+", target["expr"])) <= set(variables)


def test_a_dashboard_that_there_is_not_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit):
        main(["weather"])
    assert "no dashboard is called weather; they are: database, http" in capsys.readouterr().err


def test_the_packages_are_pinned_and_name_no_host() -> None:
    pinned = json.loads((PAGE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned.values())
    locked = json.loads((PAGE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in locked.items() if "resolved" in package]
