"""One scrape of a running server, as the doctor sees it: what it said and when, or why it cannot be read."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, HTTPException, InvalidURL, responses
from time import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

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
    """The server's metrics cannot be read; the message says why, without what may be a secret in the address."""


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
    place = shown(url)
    if not url.lower().startswith(("http://", "https://")):
        raise Unreachable(f"{place} is no web address; give one such as http://127.0.0.1:8000/metrics")
    asked = time()
    try:
        request = Request(url, headers=dict(headers))  # noqa: S310  # seen to be http
        with _OPENER.open(request, timeout=_WITHIN) as answer:
            text, said = answer.read().decode(errors="replace"), answer.headers
    except HTTPError as error:
        with error:
            way_out = _REFUSALS.get(error.code, "see its log")
        raise Unreachable(f"{place} answers {error.code} {responses.get(error.code, '')}: {way_out}") from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        refused = isinstance(reason, ConnectionRefusedError)
        way_out = "; start the server, or give the address where it listens" if refused else ""
        raise Unreachable(f"{place} cannot be read: {reason}{way_out}") from None
    except (InvalidURL, ValueError):  # their words repeat the part of the address that they take for a port or a path
        raise Unreachable(
            f"{place} cannot be read: the address is malformed; in a password, write / as %2F and @ as %40"
        ) from None
    except HTTPException as error:
        reason = "no HTTP is spoken there" if isinstance(error, BadStatusLine) else error
        raise Unreachable(f"{place} cannot be read: {reason}") from None
    return Look(asked, time(), date_in(said.get("Date")), samples_in(text, place))


class _SameServer(HTTPRedirectHandler):
    """Follows no redirect to another server: urllib would send it the secret as well."""

    def redirect_request(  # noqa: PLR0917  # urllib's
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if (here.scheme, here.netloc.lower()) == (there.scheme, there.netloc.lower()):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.close()
        goal = shown(re.split("[?#]", newurl)[0])  # a query may hold a secret too
        raise Unreachable(f"{shown(req.full_url)} points to {goal}, another server: give that address if you trust it")


_OPENER = build_opener(_SameServer)


def samples_in(text: str, place: str) -> tuple[Sample, ...]:
    """Read Prometheus's text, which a server answered at that place.

    Raises:
        Unreachable: it is none, or without a sample.
    """
    try:
        samples = tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)
    except (ValueError, LookupError):  # whichever the parser meets first in what was never meant for it
        samples = ()
    if not samples:
        raise Unreachable(f"{place} answers, but not with metrics: {_REFUSALS[404]}")
    return samples


def date_in(header: str | None) -> float | None:
    """Read the header ``Date``; None where it is missing or no date."""
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None


def shown(url: str) -> str:
    """Cut everything that may be a user and a password out of what was given as an address, whatever its form.

    >>> shown("http://any:hu/sh@127.0.0.1:8000/metrics")
    'http://127.0.0.1:8000/metrics'
    """
    return re.sub(r"(?is)^(https?://)?.*@", r"\1", url)


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
