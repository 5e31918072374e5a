"""The part of Prometheus Operator's kinds that is used here, as schemas that allow nothing else.

Written after https://prometheus-operator.dev/docs/api-reference/api/ (monitoring.coreos.com/v1), which has all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]


def closed(required: Iterable[str] = (), **properties: Schema) -> Schema:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string", "minLength": 1}
DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$",
    "minLength": 1,
}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = closed(["name"], name=TEXT, namespace=TEXT, labels=LABELS, annotations=LABELS)
SECRET_KEY = closed(["key"], name=TEXT, key=TEXT, optional={"type": "boolean"})

ENDPOINT = closed(
    port=TEXT,
    path=TEXT,
    scheme={"enum": ["http", "https"]},
    interval=DURATION,
    scrapeTimeout=DURATION,
    honorLabels={"type": "boolean"},
    authorization=closed(type=TEXT, credentials=SECRET_KEY),
)
RULE = closed(
    ["expr"],
    record=TEXT,
    alert=TEXT,
    expr={"type": ["integer", "string"]},
    labels=LABELS,
    annotations=LABELS,
    **{"for": DURATION, "keep_firing_for": DURATION},
)
GROUP = closed(["name"], name=TEXT, interval=DURATION, rules=list_of(RULE))


def kind(name: str, spec: Schema) -> Schema:
    """Return the schema of a kind."""
    constant = {"apiVersion": {"const": "monitoring.coreos.com/v1"}, "kind": {"const": name}}
    return closed(["apiVersion", "kind", "metadata", "spec"], **constant, metadata=METADATA, spec=spec)


SCHEMAS = {
    "ServiceMonitor": kind(
        "ServiceMonitor",
        closed(
            ["selector", "endpoints"],
            jobLabel=TEXT,
            selector=closed(matchLabels=LABELS),
            endpoints=list_of(ENDPOINT),
        ),
    ),
    "PrometheusRule": kind("PrometheusRule", closed(groups=list_of(GROUP))),
}
