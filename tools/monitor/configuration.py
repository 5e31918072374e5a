"""The repository's configurations, with the addresses of one running server in the place of theirs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

MONITORING = Path(__file__).parents[2] / "monitoring"
PACE = "5s"
"""How often is scraped and evaluated: whoever looks does not want to wait as long as a server of one's own may."""


def prometheus_config(url: str, alertmanager: int | None = None, token_file: Path | None = None) -> str:
    """Return `monitoring/prometheus.yml` for a server's metrics at a URL.

    Args:
        url: The address, with its path.
        alertmanager: The port of an Alertmanager on this machine, which alerts go to.
        token_file: The file with the token that the server asks for.

    Raises:
        ValueError: it is no address of HTTP.
    """
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError(f"{url} is no web address: give one such as http://127.0.0.1:8000/metrics")
    token = f"\n    authorization:\n      credentials_file: {token_file.resolve()}" if token_file else ""
    text = (MONITORING / "prometheus.yml").read_text("utf-8")
    for ours, own in (
        ("scrape_interval: 15s", f"scrape_interval: {PACE}\n  evaluation_interval: {PACE}"),
        ("- rules/*.yml", f"- {MONITORING}/rules/*.yml"),
        ("metrics_path: /metrics", f"metrics_path: {address.path or '/metrics'}\n    scheme: {address.scheme}{token}"),
        ("localhost:8000", address.netloc),
    ):
        text = text.replace(ours, own, 1)
    if alertmanager is not None:
        text = re.sub(
            r"^#alerting:\n(?:#.*\n)+", lambda block: re.sub("(?m)^#", "", block[0]), text, flags=re.MULTILINE
        )
        text = text.replace("localhost:9093", f"localhost:{alertmanager}")
    return text


def alertmanager_config(webhook: int) -> str:
    """Return `monitoring/alertmanager.yml`, whose webhooks are at a port of this machine."""
    return (MONITORING / "alertmanager.yml").read_text("utf-8").replace("localhost:9095", f"localhost:{webhook}")
