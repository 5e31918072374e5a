"""The repository's configurations, with the addresses of one running server in the place of theirs."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from metrics.diagnostics.scrape_client import strip_credentials

MONITORING = Path(__file__).parents[2] / "monitoring"
PACE = "5s"
"""How often is scraped and evaluated: whoever looks does not want to wait as long as a server of one's own may."""


@dataclass(frozen=True, slots=True)
class Server:
    """The parts of the address of a server's metrics, as Prometheus is told them.

    ``host`` has the port too. ``login`` is the user and the password, empty where the address has none.
    """

    scheme: str
    host: str
    path: str
    params: Mapping[str, Sequence[str]]
    login: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> Server:
        """Return the parts of a URL.

        Raises:
            ValueError: it is no address of HTTP; the message has nothing of it that may be a secret.
        """
        shown = re.split("[?#]", strip_credentials(url))[0]
        try:
            address = urlsplit(url)
            is_readable = address.port != 0 and "@" not in address.path + address.query + address.fragment
        except ValueError:  # its message repeats what it takes for a port, which may be a password
            is_readable = False
        if not is_readable:
            raise ValueError(
                f"{shown} cannot be read as an address; in a password, write / as %2F, ? as %3F and @ as %40"
            )
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"{shown} is no web address: give one such as http://127.0.0.1:8000/metrics")
        login, at, host = address.netloc.rpartition("@")
        user, _, password = login.partition(":")
        params = parse_qs(address.query, keep_blank_values=True)
        given = (unquote(user), unquote(password)) if at else ()
        return cls(address.scheme, host, unquote(address.path) or "/metrics", params, given)

    @property
    def shown(self) -> str:
        """The address without what may be a secret: user, password and parameters."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def without_login(self) -> str:
        """The address with all but user and password."""
        query = urlencode(self.params, doseq=True)
        return f"{self.scheme}://{self.host}{quote(self.path)}{f'?{query}' if query else ''}"

    @property
    def headers(self) -> dict[str, str]:
        """The header with the user and the password."""
        return {"Authorization": f"Basic {b64encode(':'.join(self.login).encode()).decode()}"} if self.login else {}


def prometheus_config(
    url: str,
    alertmanager: int | None = None,
    token_file: Path | None = None,
    *,
    pace: str = PACE,
    rules: Path = MONITORING / "rules",
) -> str:
    """Return `monitoring/prometheus.yml` for a server's metrics at a URL; it has the password of the URL, if any.

    Args:
        url: The address, with its path.
        alertmanager: The port of an Alertmanager on this machine, which alerts go to.
        token_file: The file with the token that the server asks for.
        pace: How often is scraped and evaluated.
        rules: The folder with the rules.

    Raises:
        ValueError: it is no address of HTTP, or has a password although there is a token.
    """
    server = Server.of(url)
    if server.login and token_file:
        raise ValueError("the address has a password and there is a token: give one of them")
    own_keys: dict[str, object] = {"metrics_path": server.path, "scheme": server.scheme}
    if server.params:
        own_keys["params"] = server.params
    if server.login:
        own_keys["basic_auth"] = dict(zip(("username", "password"), server.login, strict=True))
    if token_file:
        own_keys["authorization"] = {"credentials_file": str(token_file.resolve())}
    text = (MONITORING / "prometheus.yml").read_text("utf-8")
    for ours, own in (
        ("scrape_interval: 15s", f"scrape_interval: {pace}\n  evaluation_interval: {pace}"),
        ("- rules/*.yml", f"- {rules}/*.yml"),
        ("metrics_path: /metrics", "\n    ".join(f"{key}: {json.dumps(value)}" for key, value in own_keys.items())),
        ('["localhost:8000"]', json.dumps([server.host])),
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
