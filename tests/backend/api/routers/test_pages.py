"""The start page and the live page load nothing from elsewhere, write no markup, and their links lead somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from app.api.static_files import PAGE_POLICY, STATIC
from tests.backend.api.conftest import on_sqlite

both = pytest.mark.parametrize("path", ["/", "/live"])
LATER = {"metrics"}  # added where the application is put together
OWN_CODE = sorted(path for path in STATIC.rglob("*.js") if path.parent.name != "uplot")


class _Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def elements(client: httpx.AsyncClient, path: str) -> list[tuple[str, dict[str, str | None]]]:
    return _Elements((await client.get(path)).text).found


@on_sqlite
async def test_the_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/", "/live"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["content-security-policy"] == PAGE_POLICY
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<style|<script>", response.text)
        for tag, attributes in _Elements(response.text).found:
            assert not any(name.startswith("on") for name in attributes), "the policy lets no such handler run"
            assert "style" not in attributes, f"the policy lets no such style apply: {tag}"
            loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
            if loaded and not loaded.startswith("data:"):
                assert loaded.startswith("static/"), "relative: a proxy may serve the studio below a path"
                assert (await client.get(f"/{loaded}")).status_code == 200, loaded


def test_the_policy_allows_nothing_that_is_written_into_a_page() -> None:
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY


@pytest.mark.parametrize("path", OWN_CODE, ids=lambda path: path.name)
def test_no_module_writes_markup_or_asks_elsewhere(path: Path) -> None:
    """What comes from the API, the output of models too, becomes text."""
    code = path.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code)
    assert set(re.findall(r"https?://[^\"'` ]+", code)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"setAttribute\(\"style\"|[{ ]style:", code), "the policy lets no such style apply"


@on_sqlite
@both
async def test_every_field_of_a_page_has_a_label(client: httpx.AsyncClient, path: str) -> None:
    found = await elements(client, path)
    labelled = {attributes["for"] for tag, attributes in found if tag == "label"}
    fields = {attributes["id"] for tag, attributes in found if tag in {"input", "select", "textarea"}}
    assert fields == labelled


@on_sqlite
@both
async def test_every_id_that_a_page_refers_to_is_there(client: httpx.AsyncClient, path: str) -> None:
    found = await elements(client, path)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in found:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


@pytest.mark.slow
@on_sqlite
@both
async def test_every_link_of_a_page_leads_somewhere(client: httpx.AsyncClient, path: str) -> None:
    links = {str(attributes["href"]) for tag, attributes in await elements(client, path) if tag == "a"}
    assert {"docs", "metrics"} <= links
    for link in {link.removeprefix("./") for link in links if not link.startswith("#")} - LATER:
        assert (await client.get(f"/{link}")).status_code == 200, link


@on_sqlite
async def test_links_to_what_is_for_programs_say_so(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    links = dict(re.findall(r'<a href="([^"]+)">([^<]+)</a>', page))
    assert {link for link, text in links.items() if "(JSON)" in text} == {"health", "api/v1/runs", "api/v1/brands"}
    assert "(text)" in links["metrics"]
