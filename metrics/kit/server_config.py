"""The configurations of Prometheus and of Alertmanager, as text with comments.

What is commented out works as it stands once the ``#`` of a block are taken away.
"""

from __future__ import annotations

from .placeholders import Names

PROMETHEUS = """\
# Scrapes a server on this machine, then http://localhost:9090 shows it:
# `prometheus --config.file=prometheus.yml --storage.tsdb.path=/tmp/prometheus`, here
# Written by `python -m metrics build`; the blocks below work when the `#` before them are taken away.
global:
  scrape_interval: 15s

rule_files:
  - rules/*.yml

scrape_configs:
  - job_name: JOB
    metrics_path: /metrics
    static_configs:
      - targets: ["localhost:8000"]

  # Instances from a file that is read again when it changes, as in [{"targets": ["10.0.0.5:8000"]}]:
  #- job_name: JOB-by-file
  #  file_sd_configs:
  #    - files: ["targets/*.json"]
  #  relabel_configs:
  #    - target_label: job
  #      replacement: JOB

  # Instances from DNS, as those of a service that Docker Compose or Kubernetes (headless) resolves:
  #- job_name: JOB-by-dns
  #  dns_sd_configs:
  #    - names: ["backend"]
  #      type: A
  #      port: 8000
  #      refresh_interval: 15s
  #  relabel_configs:
  #    - target_label: job
  #      replacement: JOB

  # A server that asks scrapers for a token; the file has the token alone:
  #- job_name: JOB-with-token
  #  authorization:
  #    type: Bearer
  #    credentials_file: metrics-token
  #  static_configs:
  #    - targets: ["localhost:8000"]
  #  relabel_configs:
  #    - target_label: job
  #      replacement: JOB

# Where alerts go, configured by alertmanager.yml:
#alerting:
#  alertmanagers:
#    - static_configs:
#        - targets: ["localhost:9093"]

# A store for longer than Prometheus keeps what it scraped:
#remote_write:
#  - url: http://localhost:9009/api/v1/push
#    write_relabel_configs:
#      - source_labels: [__name__]
#        regex: (\\w+:)?NS[_:].*|up|scrape_.*|ALERTS|process_.*
#        action: keep
"""

ALERTMANAGER = """\
# Where alerts go: `alertmanager --config.file=alertmanager.yml --storage.path=/tmp/alertmanager`, here
# Written by `python -m metrics build`. Put your pager and your chat in the place of the two webhooks;
# `python -m metrics.kit.webhook` prints what they are sent.
route:
  receiver: tickets
  group_by: [job, alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 24h
  routes:
    - matchers: [severity="page"]
      receiver: pages
      group_wait: 10s
      repeat_interval: 4h

receivers:
  - name: pages
    webhook_configs:
      - url: http://localhost:9095/pages
        send_resolved: true
  - name: tickets
    webhook_configs:
      - url: http://localhost:9095/tickets
        send_resolved: true

inhibit_rules:
  # What nothing is known of cannot be judged: everything of a job that is down.
  - source_matchers: [alertname="ALERTDown"]
    target_matchers: [alertname=~"ALERT.+", alertname!="ALERTDown"]
    equal: [job]
  - source_matchers: [alertname="ALERTInstanceDown"]
    target_matchers: [alertname=~"ALERT.+", alertname!="ALERTInstanceDown"]
    equal: [job, instance]
  # The same trouble, seen again: whoever is paged needs no ticket for it.
  - source_matchers: [alertname="ALERTPoolRefuses"]
    target_matchers: [alertname="ALERTPoolFull"]
    equal: [job, pool]
  # A database that does not answer fails statements and the health check of all that needs it.
  - source_matchers: [alertname=~"ALERTDatabaseFails|ALERTPoolRefuses"]
    target_matchers: [alertname="ALERTComponentDown", component=~"database|workflows"]
    equal: [job]
  - source_matchers: [alertname="ALERTComponentDown", component="model"]
    target_matchers: [alertname="ALERTModelFails"]
    equal: [job]
  - source_matchers: [alertname="ALERTSpendsFast"]
    target_matchers: [alertname="ALERTDayBudgetNearlySpent"]
    equal: [job]
"""


def prometheus_config(names: Names) -> str:
    """Return the text of ``prometheus.yml``."""
    return names.fill(PROMETHEUS)


def alertmanager_config(names: Names) -> str:
    """Return the text of ``alertmanager.yml``."""
    return names.fill(ALERTMANAGER)
