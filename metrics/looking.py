"""One scrape of a running server, as the doctor sees it: what it said and when, or why it cannot be read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, HTTPException
from time import time
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_WITHIN = 10.0  # seconds

_REFUSALS: Mapping[int, str] = {
    401: (
        "it asks for a secret and was given none, or another: give its token by --header 'Authorization: Bearer TOKEN',"
        " or its password in the address, http://any:PASSWORD@host/metrics"
    ),
    404: "give the address of its metrics, such as http://127.0.0.1:8000/metrics",
}


class Unreachable(Exception):
    """The server's metrics cannot be read; the message says why."""


@dataclass(frozen=True)
class Look:
    """One scrape: when it was asked for and answered, the server's own time, and what it said."""

    asked: float
    answered: float
    date: float | None
    samples: tuple[Sample, ...]


def look(url: str, headers: Mapping[str, str]) -> Look:
    """Scrape once, on a connection of its own: with several workers, any of them may answer.

    Raises:
        Unreachable: nobody answers, or not with metrics.
    """
    if not url.startswith(("http://", "https://")):
        raise Unreachable(f"{url} is no web address; give one such as http://127.0.0.1:8000/metrics")
    asked = time()
    try:
        with urlopen(Request(url, headers=dict(headers)), timeout=_WITHIN) as answer:  # noqa: S310  # seen to be http
            text, said = answer.read().decode(errors="replace"), answer.headers
    except HTTPError as error:
        with error:
            way_out = _REFUSALS.get(error.code, "see its log")
        raise Unreachable(f"{url} answers {error.code} {error.reason}: {way_out}") from None
    except (OSError, HTTPException, ValueError) as error:
        nonsense = type(error) is BadStatusLine  # and not the one that says that the connection broke
        reason = "no HTTP is spoken there" if nonsense else getattr(error, "reason", None) or error
        refused = isinstance(reason, ConnectionRefusedError)
        way_out = "; start the server, or give the address where it listens" if refused else ""
        raise Unreachable(f"{url} cannot be read: {reason}{way_out}") from None
    return Look(asked, time(), date_in(said.get("Date")), samples_in(text, url))


def samples_in(text: str, url: str) -> tuple[Sample, ...]:
    """Read Prometheus's text.

    Raises:
        Unreachable: it is none, or without a sample.
    """
    try:
        samples = tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)
    except (ValueError, LookupError):  # whichever the parser meets first in what was never meant for it
        samples = ()
    if not samples:
        raise Unreachable(f"{url} answers, but not with metrics: {_REFUSALS[404]}")
    return samples


def date_in(header: str | None) -> float | None:
    """Read the header ``Date``; None where it is missing or no date."""
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None


def without_secret(url: str) -> tuple[str, dict[str, str]]:
    """Take the user and the password out of an address and put them into the header that carries them.

    >>> without_secret("http://any:hush@127.0.0.1:8000/metrics")
    ('http://127.0.0.1:8000/metrics', {'Authorization': 'Basic YW55Omh1c2g='})
    """
    scheme, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if not at:
        return url, {}
    basic = b64encode(unquote(user).encode()).decode()
    return f"{scheme}{slashes}{host}{slash}{path}", {"Authorization": f"Basic {basic}"}
