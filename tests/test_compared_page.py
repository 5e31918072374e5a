"""The page that compares three instrumentations is true: the same application, so many lines, and what each serves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.openai_server import OpenAIServer, fails, says
from tests.support.page_snippets import code_blocks, run_snippet

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "compared.md"
MARKS = ("  # metrics", "  # by hand")
INSTRUMENTATOR, OPENTELEMETRY, SPARKLIO = range(3)
OWN_PROCESS = re.compile(r"python_|process_|target_info")

DRIVER = """
import asyncio, httpx
from application import app, engine

async def drive():
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", follow_redirects=True) as browser:
            answers = [await browser.post(f"/orders/{country}") for country in ("KR", "KR", "DE")]
            answers.append(await browser.get("/nowhere"))
            assert [answer.status_code for answer in answers] == [200, 200, 500, 404]
            print((await browser.get("/metrics")).text)
    await engine.dispose()

asyncio.run(drive())
"""


def variants() -> list[str]:
    """Return the application as each of the three instruments it."""
    shop, *_ = code_blocks("python", DOCS / "instrument.md")
    return [*code_blocks("python", PAGE), shop]


def marked(code: str, mark: str) -> list[str]:
    """Return the lines that end in a mark, without it."""
    return [line.removesuffix(mark) for line in code.splitlines() if line.endswith(mark)]


def business_code(code: str) -> list[str]:
    """Return the lines that have no mark, but for empty ones and the name of the file."""
    return [
        line for line in code.splitlines() if line.strip() and not line.startswith("# ") and not line.endswith(MARKS)
    ]


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading, by their first cell."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)]
    return {name: cells for name, *cells in rows[2:]}


def test_the_three_are_the_same_application() -> None:
    instrumentator, opentelemetry, sparklio = map(business_code, variants())
    assert instrumentator == opentelemetry == sparklio
    assert f"{len(sparklio)} lines without its metrics" in PAGE.read_text()


def test_the_lines_are_as_many_as_the_table_says() -> None:
    by_library, by_hand = ([len(marked(code, mark)) for code in variants()] for mark in MARKS)
    rows = table("Lines beside the business code")
    assert [[int(cell) for cell in cells] for cells in rows.values()] == [
        by_library,
        by_hand,
        [sum(both) for both in zip(by_library, by_hand, strict=True)],
    ]


def test_the_lines_of_the_page_are_those_of_the_page_of_instrument() -> None:
    [shown] = code_blocks("text", PAGE)
    assert shown.splitlines() == marked(variants()[SPARKLIO], MARKS[0])


@dataclass(frozen=True)
class Served:
    """The families that an application serves, without the namespace, and those that are not 0."""

    families: frozenset[str]
    moved: frozenset[str]


def serve_after_requests(code: str, folder: Path, sparklio_path: Path) -> Served:
    """Return what an application serves after the page's requests."""
    (folder / "application.py").write_text(code)
    with OpenAIServer([says("Thanks."), says("Thanks."), fails(400)]) as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
        ran = run_snippet(DRIVER, sparklio_path, folder=folder, environment=environment)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = {
        re.sub("_total$", "", family.name.removeprefix("acme_")) + "_total" * (family.type == "counter"): family
        for family in text_string_to_metric_families(ran.stdout)
        if not family.name.endswith("_created")
    }
    moved = {name for name, family in found.items() if any(sample.value for sample in family.samples)}
    return Served(frozenset(found), frozenset(moved))


def check_column(column: int, served: Served) -> None:
    """Fail where a family that the table names in a column is not served, or their number is another."""
    *questions, number = [cells[column] for cells in table("What each shows").values()]
    named = {name for cell in questions for name in re.findall(r"`(\w+)`", cell)}
    assert named
    assert named <= served.families
    moved = sum(not OWN_PROCESS.match(name) for name in served.moved)
    assert moved > int(number.removeprefix("over ")) if number.startswith("over ") else moved == int(number)


@pytest.mark.models("prometheus_fastapi_instrumentator")
@pytest.mark.slow
def test_instrumentator_serves_what_the_table_says(tmp_path: Path, sparklio_path: Path) -> None:
    check_column(INSTRUMENTATOR, serve_after_requests(variants()[INSTRUMENTATOR], tmp_path, sparklio_path))


@pytest.mark.models("opentelemetry.instrumentation.fastapi", "opentelemetry.exporter.prometheus")
@pytest.mark.slow
def test_opentelemetry_serves_what_the_table_says(tmp_path: Path, sparklio_path: Path) -> None:
    check_column(OPENTELEMETRY, serve_after_requests(variants()[OPENTELEMETRY], tmp_path, sparklio_path))


@pytest.mark.slow
def test_sparklio_serves_what_the_table_says(tmp_path: Path, sparklio_path: Path) -> None:
    check_column(SPARKLIO, serve_after_requests(variants()[SPARKLIO], tmp_path, sparklio_path))
