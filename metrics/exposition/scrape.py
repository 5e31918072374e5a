"""`scrape`: the response to one scrape, by its headers, for any server that has to answer it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry

from events import metrics_rendered

from ..text_format.formats import Format
from .content_encoding import choose_encoding, compressors
from .content_type import choose_format
from .gzip_segments import MESSAGES, Division, GzipSegments
from .render import GilYielder, RenderedRegistry, render_with_count


@dataclass(frozen=True, slots=True)
class ScrapeResponse:
    """The rendered, compressed registry and the HTTP headers that describe it."""

    body: bytes
    headers: dict[str, str]


def scrape(
    registry: CollectorRegistry,
    accept: str = "",
    accept_encoding: str = "",
    names: Collection[str] | None = None,
) -> ScrapeResponse:
    """Return the response to a scrape with these headers, and emit `metrics_rendered`.

    Call it in a thread, not on an event loop. A header that cannot be parsed counts as absent: a scraper always gets
    its numbers.

    Args:
        registry: The registry to render.
        accept: The ``Accept`` header.
        accept_encoding: The ``Accept-Encoding`` header.
        names: If given, only samples and families of these names are rendered.
    """
    encoding = choose_encoding(accept_encoding, tuple(compressors()))
    return render_response(registry, choose_format(accept), encoding, names)


_pages: WeakKeyDictionary[CollectorRegistry, dict[Format, GzipSegments]] = WeakKeyDictionary()


def compressed(
    registry: CollectorRegistry, text_format: Format, encoding: str, rendered: RenderedRegistry, *, whole: bool
) -> bytes:
    """Return what was rendered in an encoding; of whole pages by gzip, unchanged parts as they were the last time."""
    if encoding == "identity":
        return rendered.body
    if encoding == "gzip" and whole:
        pages = _pages.setdefault(registry, {})
        if (page := pages.get(text_format)) is None:
            page = pages.setdefault(text_format, GzipSegments(MESSAGES if text_format.is_protobuf else Division()))
        return page.compress(rendered.parts)
    return compressors()[encoding](rendered.body)


def render_response(
    registry: CollectorRegistry, text_format: Format, encoding: str, names: Collection[str] | None
) -> ScrapeResponse:
    """Return the response in this format and encoding, and emit `metrics_rendered`."""
    started = perf_counter()
    rendered = render_with_count(registry, text_format, names, GilYielder())
    body = compressed(registry, text_format, encoding, rendered, whole=names is None)
    metrics_rendered.emit(
        format="other" if text_format.is_protobuf else "openmetrics" if text_format.is_openmetrics else "text",
        encoding=cast(Any, encoding),
        duration=perf_counter() - started,
        size=len(body),
        series=rendered.sample_count if names is None else None,
    )
    headers = {"Content-Type": text_format.content_type, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-store"}
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return ScrapeResponse(body, headers)
