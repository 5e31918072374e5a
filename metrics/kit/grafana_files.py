"""The files that Grafana is provisioned with, and a compose file that starts all of it."""

from __future__ import annotations

from ..rows import Metric
from .database_panels import DATABASE
from .grafana import dashboard_json
from .http_panels import HTTP
from .model_panels import MODELS
from .other_panels import other_dashboard
from .overview_panels import OVERVIEW
from .pipeline_panels import PIPELINE
from .placeholders import Available, Names
from .work_panels import WORK

DASHBOARDS = (OVERVIEW, MODELS, WORK, HTTP, DATABASE, PIPELINE)

DATA_SOURCE = """\
# Written by `python -m metrics build`: Grafana's data source.
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    access: proxy
    url: http://prometheus:9090
    isDefault: true
    jsonData:
      timeInterval: 15s
"""

PROVIDER = """\
# Written by `python -m metrics build`: where Grafana finds the dashboards.
apiVersion: 1
providers:
  - name: NS
    folder: NS
    type: file
    options:
      path: /var/lib/grafana/dashboards
"""

COMPOSE = """\
# Prometheus, Alertmanager and Grafana with all of this: `docker compose --file compose.yml up`, then
# http://localhost:3000. Written by `python -m metrics build`. NOT RUN where it was written, which has no Docker:
# images and ports are those of their makers' documents. `network_mode: host` lets Prometheus reach a server on
# localhost:8000 as prometheus.yml has it; where there is none (Docker Desktop), name the server's address there.
services:
  prometheus:
    image: prom/prometheus:v3.5.0
    network_mode: host
    command: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/prometheus]
    volumes:
      - ./prometheus.yml:/etc/prometheus/prometheus.yml:ro
      - ./rules:/etc/prometheus/rules:ro
      - prometheus:/prometheus
  alertmanager:
    image: prom/alertmanager:v0.28.1
    network_mode: host
    volumes:
      - ./alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro
  grafana:
    image: grafana/grafana:11.6.0
    network_mode: host
    extra_hosts: ["prometheus:127.0.0.1"]
    environment:
      GF_AUTH_ANONYMOUS_ENABLED: "true"
      GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: /var/lib/grafana/dashboards/overview.json
    volumes:
      - ./grafana/provisioning:/etc/grafana/provisioning:ro
      - ./grafana/dashboards:/var/lib/grafana/dashboards:ro
volumes:
  prometheus:
"""


def grafana_files(catalogue: tuple[Metric, ...], available: Available, names: Names) -> dict[str, str]:
    """Return the text of each file by its path.

    Raises:
        KitLibraryMissing: grafana-foundation-sdk is not installed.
    """
    dashboards = (*DASHBOARDS, other_dashboard(catalogue, DASHBOARDS))
    written = {each.uid: dashboard_json(each, catalogue, available, names) for each in dashboards}
    return {
        "compose.yml": names.fill(COMPOSE),
        "grafana/provisioning/datasources/prometheus.yml": DATA_SOURCE,
        "grafana/provisioning/dashboards/dashboards.yml": names.fill(PROVIDER),
        **{f"grafana/dashboards/{uid}.json": text for uid, text in written.items() if text},
    }
