"""The compose file: Compose's own schema takes it, and what it names exists."""

from __future__ import annotations

import json
import subprocess
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from app.llm.provider_keys import KEY_VARIABLES, OTHER_PROVIDERS, SERVER_VARIABLES
from app.server.stop_deadline import STOP_SECONDS
from app.setting_types import PREFIX
from app.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
STUDIOS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "sparklio"}


@pytest.mark.deploy("check_jsonschema")
def test_compose_takes_the_file() -> None:
    found = find_spec("check_jsonschema")
    assert found is not None
    [package] = found.submodule_search_locations or []
    schema = json.loads((Path(package) / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    wrong = {**COMPOSE, "services": {"api": {"image": "sparklio", "enviroment": {}}}}
    with pytest.raises(jsonschema.ValidationError, match="enviroment"):
        jsonschema.validate(wrong, schema)


def test_the_studio_s_services_have_a_role_each_and_settings_that_there_are() -> None:
    assert {name: service["environment"]["SPARKLIO_ROLE"] for name, service in STUDIOS.items()} == {
        "api": "api",
        "worker": "worker",
    }
    for service in STUDIOS.values():
        names = {name for name in service["environment"] if name.startswith(PREFIX)}
        assert names <= {f"{PREFIX}{field}".upper() for field in Settings.model_fields}


def test_a_worker_is_handed_what_any_model_needs_and_an_api_nothing_of_it() -> None:
    """What is not set where Compose is started is not set in the container either: `NAME:` alone says so."""
    variables = {*chain(*KEY_VARIABLES.values(), *OTHER_PROVIDERS.values()), *SERVER_VARIABLES}
    variables |= {f"{PREFIX}{field}".upper() for field in Settings.model_fields if field.startswith("llm_")}
    empty = {
        name: {key for key, value in each["environment"].items() if value is None} for name, each in STUDIOS.items()
    }
    assert empty == {"api": set(), "worker": variables}


def test_a_studio_is_given_the_time_that_it_takes_to_stop() -> None:
    for service in STUDIOS.values():
        drain = float(service["environment"].get("SPARKLIO_DRAIN_TIME", 0))
        assert float(service["stop_grace_period"].removesuffix("s")) >= drain + STOP_SECONDS + 5


def test_a_studio_writes_into_its_volume_and_into_memory_alone() -> None:
    for service in STUDIOS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]
        assert service["volumes"] == ["studio:/var/lib/sparklio"]


def test_ports_are_this_machine_s_alone_and_secrets_have_no_default() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    text = (DEPLOY / "compose.yml").read_text()
    assert text.count("${POSTGRES_PASSWORD") == text.count("${POSTGRES_PASSWORD:?")
    assert text.count("${SPARKLIO_API_KEYS") == text.count("${SPARKLIO_API_KEYS:?")


def test_the_image_is_built_from_a_file_that_is_there() -> None:
    for service in STUDIOS.values():
        context = DEPLOY / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()


def test_prometheus_finds_the_studio_s_services_under_their_names() -> None:
    [job] = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    assert job["job_name"] == "sparklio-backend"
    assert job["dns_sd_configs"][0]["names"] == [*STUDIOS]


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint_of_the_configuration_with_the_rules(tmp_path: Path) -> None:
    rules = next(volume for volume in COMPOSE["services"]["prometheus"]["volumes"] if "rules" in volume)
    (tmp_path / "rules").symlink_to((DEPLOY / rules.partition(":")[0]).resolve())
    file = tmp_path / "prometheus.yml"
    file.write_text(COMPOSE["configs"]["prometheus"]["content"])
    checked = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, "2 rule files found" in checked.stdout) == (0, True), checked.stderr
