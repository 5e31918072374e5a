"""The answers of Prometheus to the queries of a dashboard's panels, over a range of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

SCRAPE_INTERVAL = 15  # seconds, as the provisioned data source says; Grafana looks no closer
RATE_INTERVAL = 4 * SCRAPE_INTERVAL
"""What Grafana puts in place of ``$__rate_interval`` where a step is no longer than a scrape's interval."""


@dataclass(frozen=True)
class Asked:
    """A Prometheus and the range of time that pictures show, in seconds since 1970.

    Attributes:
        url: Where Prometheus answers.
        start: Where the range starts.
        end: Where the range ends.
        step: The time between two points.
    """

    url: str
    start: float
    end: float
    step: int = SCRAPE_INTERVAL

    def answers(self, dashboard: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answers to a dashboard's queries, by panel and query, with all values of its variables chosen.

        Raises:
            PrometheusError: Prometheus refused a query; the message names panel and query.
        """
        variables = self.variables(dashboard)
        panels = {
            panel["id"]: {target["refId"]: self.series(panel, target, variables) for target in panel["targets"]}
            for panel in dashboard["panels"]
            if panel["type"] != "row"
        }
        annotations = [
            {"color": line["iconColor"], "times": sorted(self.starts_of(line, variables))}
            for line in dashboard["annotations"]["list"]
            if "expr" in line
        ]
        return {
            "panels": panels,
            "annotations": annotations,
            "from": self.start * 1000,
            "to": self.end * 1000,
            "step": self.step * 1000,
            "chosen": ", ".join(self.chosen(dashboard)),
        }

    def variables(self, dashboard: Mapping[str, Any]) -> dict[str, str]:
        """Return what stands in place of each variable: the current value, and all values where it may be several."""
        own = {
            f"${variable['name']}": variable.get("allValue") or variable["current"]["value"]
            for variable in dashboard["templating"]["list"]
            if variable["type"] == "query"
        }
        return {
            "$__rate_interval": f"{RATE_INTERVAL}s",
            "$__range": f"{round(self.end - self.start)}s",
            "$__interval": f"{self.step}s",
            **own,
        }

    def chosen(self, dashboard: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a reader has chosen: the range of time, and each variable's value."""
        start, end = (datetime.fromtimestamp(each, UTC) for each in (self.start, self.end))
        yield f"{start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} UTC"
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{variable.get('label') or variable['name']}: {variable['current']['text']}"

    def series(self, panel: Mapping[str, Any], target: Mapping[str, Any], variables: Mapping[str, str]) -> list[Any]:
        """Return the series that a query has, each with its labels and values: one value where it is asked at once."""
        expr = fill(target["expr"], variables)
        try:
            if target.get("instant"):
                found = self.ask("query", query=expr, time=self.end)
                return [{"metric": each["metric"], "values": [each["value"]]} for each in vector_of(found)]
            return list(self.ask("query_range", query=expr, start=self.start, end=self.end, step=self.step)["result"])
        except PrometheusError as error:
            raise PrometheusError(f"panel {panel['title']!r}, query {target['refId']}: {error}") from None

    def starts_of(self, line: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[float]:
        """Yield when what an annotation asks for began to be there, in milliseconds since 1970."""
        expr = fill(line["expr"], variables)
        for series in self.ask("query_range", query=expr, start=self.start, end=self.end, step=self.step)["result"]:
            before = None
            for at, _ in series["values"]:
                if before is None or at - before > self.step:
                    yield at * 1000
                before = at

    def last_seen(self) -> float:
        """Return when a server was scraped last.

        Raises:
            PrometheusError: none was ever scraped.
        """
        expr = f"max(max_over_time(timestamp(up == 1)[{round(self.end - self.start)}s:5s]))"
        found = self.ask("query", query=expr, time=self.end)["result"]
        if not found:
            raise PrometheusError(f"{self.url} has scraped no server")
        return float(found[0]["value"][1])

    def ask(self, path: str, **parameters: object) -> dict[str, Any]:
        """Return what Prometheus answers.

        Raises:
            PrometheusError: it refuses, or cannot be reached.
        """
        try:
            answer = httpx.post(f"{self.url}/api/v1/{path}", data=parameters, timeout=60.0).json()
        except (httpx.HTTPError, ValueError) as error:
            raise PrometheusError(f"{self.url} does not answer as a Prometheus does: {error}") from error
        if answer["status"] != "success":
            raise PrometheusError(f"{answer['error']}: {parameters['query']}")
        found: dict[str, Any] = answer["data"]
        return found


class PrometheusError(Exception):
    """Prometheus refused a query, or could not be reached."""


def fill(expression: str, variables: Mapping[str, str]) -> str:
    """Return an expression with values in place of its variables, the longest name first."""
    for name in sorted(variables, key=len, reverse=True):
        expression = expression.replace(name, variables[name])
    return expression


def vector_of(found: Mapping[str, Any]) -> list[Any]:
    """Return an answer's series; a number alone is one without labels."""
    return [{"metric": {}, "value": found["result"]}] if found["resultType"] == "scalar" else list(found["result"])
