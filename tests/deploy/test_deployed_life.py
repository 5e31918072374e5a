"""What the compose file and the manifests start, by the same settings: an API, a worker, and who scrapes them.

There is no Docker and no cluster here: each container is a process, on an address of its own where it has a name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.deploy.test_compose import COMPOSE, STUDIOS
from tests.deploy.test_kubernetes import container_of, environment_of
from tests.support.dns_server import DNSServer, prometheus_that_asks
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.postgresql import create_database, running_postgresql
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "a-key-of-more-than-sixteen"
ADDRESSES = {"api": "127.0.0.2", "worker": "127.0.0.3"}
RESOLVER = "127.0.0.54"


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with running_postgresql() as server:
        yield create_database(server)


@pytest.fixture(scope="module")
def model_settings() -> Iterator[dict[str, str]]:
    """Return the settings of a scripted model."""
    with OpenAIServer(matching_reply) as model:
        yield {"SPARKLIO_LLM": "openai:scripted", "SPARKLIO_LLM_BASE_URL": model.base_url}


def studio_of(environment: dict[str, str], folder: Path, port: int, host: str = "127.0.0.1") -> StudioProcess:
    """Return a studio with these variables, which talks as somebody who has a key."""
    folder.mkdir()
    studio = StudioProcess(folder, port)
    studio.environment |= environment | {"SPARKLIO_PORT": str(port), "SPARKLIO_HOST": host}
    studio.url = f"http://{host}:{port}"
    studio.client.base_url = studio.url
    studio.client.headers["Authorization"] = f"Bearer {KEY}"
    return studio


@pytest.mark.needs("prometheus")
@pytest.mark.skipif(os.geteuid() != 0, reason="a port below 1024 and a mount take root")
def test_the_services_of_the_compose_file_work_together_and_prometheus_finds_both(
    tmp_path: Path, free_port: Callable[[], int], database_url: str, model_settings: dict[str, str]
) -> None:
    port = free_port()
    config = COMPOSE["configs"]["prometheus"]["content"]
    (tmp_path / "prometheus.yml").write_text(config.replace("15s", "1s").replace("port: 8000", f"port: {port}"))
    own = {"SPARKLIO_DATABASE_URL": database_url, "SPARKLIO_API_KEYS": f"alice:{KEY}"}
    names = {name: [address] for name, address in ADDRESSES.items()}
    with ExitStack() as stack:
        studios = {}
        for name, service in STUDIOS.items():
            given = {variable: own.get(variable, value) for variable, value in service["environment"].items() if value}
            studio = studio_of(given | model_settings, tmp_path / name, port, ADDRESSES[name])
            studios[name] = stack.enter_context(studio)
        stack.enter_context(DNSServer(RESOLVER, names))
        prometheus = stack.enter_context(prometheus_that_asks(RESOLVER, tmp_path, free_port()))
        run_id = studios["api"].submit("product_content")
        assert studios["api"].wait_for_end(run_id)["status"] == "completed"
        done = 'sum(sparklio_workflows_total{job="sparklio-backend",status="completed"})'
        wait_until(lambda: prometheus.query(done).get(()) == 1.0, every=0.1)
        both = {(("instance", f"{address}:{port}"), ("job", "sparklio-backend")): 1.0 for address in ADDRESSES.values()}
        wait_until(lambda: prometheus.query("up") == both, every=0.1)


def test_the_pods_of_the_manifests_work_together_and_stop_as_they_are_given_time(
    tmp_path: Path, free_port: Callable[[], int], database_url: str, model_settings: dict[str, str]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"alice:{KEY}\n")
    keys.chmod(0o440)
    secrets = {"<database-url>": database_url}
    studios, metrics = {}, {}
    with ExitStack() as stack:
        for name in ("sparklio-api", "sparklio-worker"):
            metrics[name] = free_port()
            variables = {key: secrets.get(value, value) for key, value in environment_of(name).items()}
            variables |= {
                "SPARKLIO_DATA_DIR": str(tmp_path / f"{name}-data"),
                "SPARKLIO_METRICS_DIR": str(tmp_path / f"{name}-metrics"),
                "SPARKLIO_METRICS_PORT": str(metrics[name]),
                "SPARKLIO_DRAIN_TIME": "1000" if "SPARKLIO_DRAIN_TIME" in variables else "0",
                **model_settings,
            }
            if "SPARKLIO_API_KEYS_FILE" in variables:
                variables["SPARKLIO_API_KEYS_FILE"] = str(keys)
            studios[name] = stack.enter_context(studio_of(variables, tmp_path / name, free_port()))
            for probe in ("startup", "liveness", "readiness"):
                path = container_of(name)[f"{probe}Probe"]["httpGet"]["path"]
                pod = {"Host": f"10.1.2.3:{studios[name].url.rpartition(':')[2]}"}
                assert studios[name].client.get(path, headers=pod).status_code == 200
            assert studios[name].client.get("/metrics").status_code == 404
        api = studios["sparklio-api"]
        assert api.wait_for_end(api.submit("brand_identity"))["status"] == "completed"
        wanted = 'sparklio_workflows_total{status="completed",workflow_type="brand_identity"} 1.0'
        wait_until(lambda: wanted in httpx.get(f"http://127.0.0.1:{metrics['sparklio-worker']}/metrics").text)
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: api.client.get("/health/ready").status_code == 503)
        assert api.client.get("/api/v1/runs").status_code == 200  # until the load balancer has noticed
        for studio in studios.values():
            assert studio.stop() == 0
            assert " WARNING " not in studio.output
