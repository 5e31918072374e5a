"""The resources that Prometheus Operator reads in Kubernetes: what to scrape, and the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .placeholders import Names

API = "monitoring.coreos.com/v1"


def service_monitor(names: Names) -> dict[str, Any]:
    """Return a ServiceMonitor for the Service with the label ``app.kubernetes.io/name`` of the job's name.

    The Service's port is called ``http``; ``jobLabel`` names the label that becomes the job, so that the rules apply.
    """
    return {
        "apiVersion": API,
        "kind": "ServiceMonitor",
        "metadata": metadata(names),
        "spec": {
            "jobLabel": "app.kubernetes.io/name",
            "selector": {"matchLabels": {"app.kubernetes.io/name": names.job}},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
        },
    }


def prometheus_rule(groups: Sequence[dict[str, Any]], names: Names) -> dict[str, Any]:
    """Return a PrometheusRule with groups of rules."""
    return {
        "apiVersion": API,
        "kind": "PrometheusRule",
        "metadata": metadata(names),
        "spec": {"groups": list(groups)},
    }


def metadata(names: Names) -> dict[str, Any]:
    """Return the metadata that both have."""
    return {"name": names.job, "labels": {"app.kubernetes.io/name": names.job}}
