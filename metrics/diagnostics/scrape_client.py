"""The doctor's HTTP client: one scrape of a running server, or the reason why it cannot be read."""

from __future__ import annotations

import argparse
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.client import BadStatusLine, HTTPException, InvalidURL, responses
from time import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_TIMEOUT = 10.0  # seconds

_WAYS_OUT: Mapping[int, str] = {
    401: (
        "it wants a secret and got none, or another one: pass its token by --header 'Authorization: Bearer TOKEN',"
        " or its password in the address, http://any:PASSWORD@host/metrics"
    ),
    404: "give the address of its metrics, such as http://127.0.0.1:8000/metrics",
}


class Unreachable(Exception):
    """The server's metrics cannot be read. The message names the reason, and nothing that may be a secret."""


@dataclass(frozen=True, slots=True)
class ScrapeResult:
    """The answer to one scrape: its samples, and when it was sent and received by the local clock, as Unix times."""

    sent_at: float
    received_at: float
    date: float | None
    """The server's own time, from its header ``Date``."""
    samples: tuple[Sample, ...]


def scrape_url(url: str, headers: Mapping[str, str]) -> ScrapeResult:
    """Scrape a URL once, on a connection of its own, so that any of several workers may answer.

    Raises:
        Unreachable: nothing answers, or something without metrics.
    """
    address = strip_credentials(url)
    if not url.lower().startswith(("http://", "https://")):
        raise Unreachable(f"{address} is no web address; give one such as http://127.0.0.1:8000/metrics")
    sent_at = time()
    try:
        request = Request(url, headers=dict(headers))  # noqa: S310  # the scheme was checked above
        with _OPENER.open(request, timeout=_TIMEOUT) as response:
            text, response_headers = response.read().decode(errors="replace"), response.headers
    except HTTPError as error:
        with error:
            way_out = _WAYS_OUT.get(error.code, "see its log")
        raise Unreachable(f"{address} answers {error.code} {responses.get(error.code, '')}: {way_out}") from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        refused = isinstance(reason, ConnectionRefusedError)
        way_out = "; start the server, or give the address where it listens" if refused else ""
        raise Unreachable(f"{address} cannot be read: {reason}{way_out}") from None
    except (InvalidURL, ValueError):  # their messages repeat the part of the address that they take for a port or path
        raise Unreachable(
            f"{address} cannot be read: the address is malformed; in a password, write / as %2F and @ as %40"
        ) from None
    except HTTPException as error:
        reason = "no HTTP is spoken there" if isinstance(error, BadStatusLine) else error
        raise Unreachable(f"{address} cannot be read: {reason}") from None
    return ScrapeResult(sent_at, time(), parse_date(response_headers.get("Date")), parse_samples(text, address))


class _SameServer(HTTPRedirectHandler):
    """Redirect handler that refuses redirects to another server: urllib would send the secret there too."""

    def redirect_request(  # noqa: PLR0917  # urllib's signature
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        origin, target = urlsplit(req.full_url), urlsplit(newurl)
        if (origin.scheme, origin.netloc.lower()) == (target.scheme, target.netloc.lower()):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.close()
        shown = strip_credentials(re.split("[?#]", newurl)[0])  # a query may hold a secret too
        raise Unreachable(
            f"{strip_credentials(req.full_url)} points to {shown}, another server: give that address if you trust it"
        )


_OPENER = build_opener(_SameServer)


def parse_samples(text: str, address: str) -> tuple[Sample, ...]:
    """Return the samples of a text in Prometheus's format; the address is for the error's message.

    Raises:
        Unreachable: the text is in another format, or holds no sample.
    """
    try:
        samples = tuple(sample for part in _split_families(text) for sample in _parse_part(part))
    except (ValueError, LookupError):  # the parser raises either, depending on what the foreign text holds
        samples = ()
    if not samples:
        raise Unreachable(f"{address} answers, but not with metrics: {_WAYS_OUT[404]}")
    return samples


_FAMILY_END = re.compile(r"^[^#\s].*\n+(?=# (?:HELP|TYPE) )", re.MULTILINE)
"""Samples that are followed by the first line of another family; a mere comment between samples ends none."""


def _split_families(text: str) -> Iterator[str]:
    """Yield the parts of a text that can be parsed alone."""
    start = 0
    for match in _FAMILY_END.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    yield text[start:]


@lru_cache(1024)
def _parse_part(text: str) -> tuple[Sample, ...]:
    """Return the samples of a part of a text; most families are the same in the next scrape, and parsing is slow."""
    return tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def parse_date(header: str | None) -> float | None:
    """Return the header ``Date`` as a Unix time; None where it is missing or no date."""
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None


def strip_credentials(url: str) -> str:
    """Return a text that was typed as an address, without all that may be a user and a password in it.

    It works on malformed addresses too: one that cannot be parsed may be a good one with a mistake in its password.

    >>> strip_credentials("http://any:hu/sh@127.0.0.1:8000/metrics")
    'http://127.0.0.1:8000/metrics'
    """
    return re.sub(r"(?is)^(https?://)?.*@", r"\1", url)


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without its user and password, and the HTTP header that carries them.

    >>> split_credentials("http://any:hush@127.0.0.1:8000/metrics")
    ('http://127.0.0.1:8000/metrics', {'Authorization': 'Basic YW55Omh1c2g='})
    """
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not at:
        return url, {}
    basic = b64encode(unquote(user).encode()).decode()
    return f"{scheme}{slashes}{host}{slash}{path}", {"Authorization": f"Basic {basic}"}


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and value of a header; the error does not repeat a malformed one, which may hold a secret."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not (name and colon and value and text.isprintable() and text.isascii()):
        raise argparse.ArgumentTypeError("give it as 'NAME: VALUE', in one line of ASCII")
    return name, value
