"""The start page loads nothing from elsewhere, writes no markup, and its links lead somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from app.api.routers import start_page
from tests.backend.api.conftest import on_sqlite


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@on_sqlite
async def test_the_start_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = response.text
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", page)
    parser = _Elements()
    parser.feed(page)
    for tag, attributes in parser.found:
        assert "src" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), "the policy lets no such handler run"
        assert "style" not in attributes, "the policy lets no such style apply"


@pytest.mark.slow
@on_sqlite
async def test_the_start_page_writes_no_markup(client: httpx.AsyncClient) -> None:
    """The output of models becomes text, never markup, and the policy allows no script but the page's own."""
    response = await client.get("/")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", response.text)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}=';", policy)
    assert "unsafe" not in policy


@on_sqlite
async def test_every_field_of_the_start_page_has_a_label(client: httpx.AsyncClient) -> None:
    parser = _Elements()
    parser.feed((await client.get("/")).text)
    labelled = {attributes["for"] for tag, attributes in parser.found if tag == "label"}
    fields = {attributes["id"] for tag, attributes in parser.found if tag in {"input", "select", "textarea"}}
    assert fields == labelled


@pytest.mark.slow
@on_sqlite
async def test_every_link_of_the_start_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    parser = _Elements()
    parser.feed((await client.get("/")).text)
    links = {str(attributes["href"]) for tag, attributes in parser.found if tag == "a"}
    assert links == {"docs", "metrics", "health", "api/v1/runs", "api/v1/brands"}
    for link in links - {"metrics"}:  # added where the application is put together
        assert (await client.get(f"/{link}")).status_code == 200


def test_the_start_page_is_part_of_the_package() -> None:
    assert Path(start_page.__file__).with_name("start_page.html").is_file()
