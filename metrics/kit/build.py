"""All files of the kit, from a catalogue and the application's names."""

from __future__ import annotations

from collections.abc import Iterable

from ..rows import Metric
from .grafana_files import grafana_files
from .kubernetes import prometheus_rule, service_monitor
from .placeholders import Available, Names
from .rule_files import alert_groups, available_alerts, recording_groups
from .runbook_pages import index, runbook
from .server_config import alertmanager_config, prometheus_config
from .yaml_text import to_yaml


def build_kit(catalogue: Iterable[Metric], names: Names) -> dict[str, str]:
    """Return the text of each file by its path; runbooks are in the folder ``runbooks``.

    Raises:
        KitLibraryMissing: a library of the extra ``kit`` is not installed.
    """
    rows = tuple(catalogue)
    available = Available(rows)
    recorded = list(recording_groups(available, names))
    alerts = list(available_alerts(available, rows))
    alerting = list(alert_groups(alerts, names))
    return {
        "prometheus.yml": prometheus_config(names),
        "alertmanager.yml": alertmanager_config(names),
        "rules/recording.yml": to_yaml({"groups": recorded}),
        "rules/alerts.yml": to_yaml({"groups": alerting}),
        "kubernetes/service-monitor.yml": to_yaml(service_monitor(names)),
        "kubernetes/prometheus-rule.yml": to_yaml(prometheus_rule([*recorded, *alerting], names)),
        **grafana_files(rows, available, names),
        **{
            f"runbooks/{names.alert(alert.name)}.md": runbook(alert, names, available)
            for _, group in alerts
            for alert in group
        },
        "runbooks/README.md": index(alerts, names),
    }
