"""All files of the kit, from a catalogue and the application's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..rows import Metric
from .grafana_files import grafana_files
from .kubernetes import prometheus_rule, service_monitor
from .placeholders import Available, Names
from .rule_files import alert_groups, available_alerts, recording_groups
from .runbook_pages import index, runbook
from .server_config import alertmanager_config, prometheus_config
from .yaml_text import to_yaml

MARK = "# Written by `python -m metrics build`: change the tables in metrics/kit instead.\n"


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
        "rules/recording.yml": MARK + to_yaml({"groups": recorded}),
        "rules/alerts.yml": MARK + to_yaml({"groups": alerting}),
        "kubernetes/service-monitor.yml": MARK + to_yaml(service_monitor(names)),
        "kubernetes/prometheus-rule.yml": MARK + to_yaml(prometheus_rule([*recorded, *alerting], names)),
        **grafana_files(rows, available, names),
        **{
            f"runbooks/{names.alert_prefix}{alert.name}.md": runbook(alert, names, available)
            for _, group in alerts
            for alert in group
        },
        "runbooks/README.md": index(alerts, names),
    }


def write_kit(files: Mapping[str, str], out: Path, runbooks: Path, *, dry: bool = False) -> list[Path]:
    """Write files below a folder, runbooks below their own, and return the paths of those that changed.

    A runbook of an alert that is no more is removed; nothing else in the folders is touched. ``dry`` writes and removes
    nothing.
    """
    changed = []
    paths = {place(name, out, runbooks): text for name, text in files.items()}
    for path, text in paths.items():
        if not path.exists() or path.read_text("utf-8") != text:
            changed.append(path)
            if not dry:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    for path in stale_runbooks(paths, runbooks):
        changed.append(path)
        if not dry:
            path.unlink()
    return changed


def place(name: str, out: Path, runbooks: Path) -> Path:
    """Return where a file of the kit goes."""
    first, slash, rest = name.partition("/")
    return runbooks / rest if slash and first == "runbooks" else out / name


def stale_runbooks(paths: Iterable[Path], runbooks: Path) -> list[Path]:
    """Return the pages in the folder of runbooks that were written for alerts which are no more."""
    kept = set(paths)
    return [
        path
        for path in sorted(runbooks.glob("*.md"))
        if path not in kept and "It fires when this has a result" in path.read_text("utf-8")
    ]
