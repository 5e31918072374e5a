"""The documents are true: snippets run, commands and links exist, every setting is listed."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from app.setting_types import PREFIX
from app.settings import Settings
from metrics import CATALOGUE
from metrics.commands.parser import build_parser
from metrics.diagnostics.project_config import parse_table
from tests.support.page_snippets import code_blocks, run_snippet
from tests.support.preloaded import LIBRARIES, run_preloaded
from tests.support.typed_programs import check_types

ROOT = Path(__file__).parents[1]
README, *OTHERS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES_OF_LIBRARIES = sorted((ROOT / "docs" / "models").glob("*.md"))  # whose snippets their bridges' tests run
DOCUMENTS = [README, *OTHERS, *PAGES_OF_LIBRARIES]
COMPARED = ROOT / "docs" / "compared.md"  # tests/test_compared_page.py runs its snippets
PAGES_OF_PROCESSES = [ROOT / "docs" / name for name in ("other-processes.md", "task-queues.md")]
"""Whose programs are run by ``tests/metrics/processes``."""
README_KO, EXAMPLES = ROOT / "README.ko.md", ROOT / "examples" / "README.md"
PAGES = [README_KO, EXAMPLES, *DOCUMENTS[: -len(PAGES_OF_LIBRARIES)], *(ROOT / "docs").glob("*/*.md")]


@pytest.fixture
def with_sparklio(sparklio_path: Path) -> dict[str, str]:
    """Return an environment in which the library can be imported as it is installed too."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(sparklio_path), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.slow
def test_the_snippets_of_the_readme_run(sparklio_path: Path) -> None:
    """One after the other in one program, as a reader who types them all."""
    ran = run_snippet("\n".join(code_blocks("python", README)), sparklio_path, "-W", "error")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [page for page in OTHERS if page not in (*PAGES_OF_PROCESSES, COMPARED)], ids=lambda path: path.name
)
def test_each_snippet_of_the_other_documents_runs_by_itself(
    document: Path, tmp_path: Path, sparklio_path: Path
) -> None:
    """One that begins with a file's name is in that file for those after it."""
    for snippet in code_blocks("python", document):
        if file := re.match(r"# (\w+\.py)\n", snippet):
            (tmp_path / file[1]).write_text(snippet)
        ran = run_snippet(snippet, sparklio_path, "-W", "error", folder=tmp_path)
        assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.slow
def test_the_snippets_of_the_readme_are_well_typed(tmp_path: Path, sparklio_path: Path) -> None:
    (tmp_path / "snippets.py").write_text("\n".join(code_blocks("python", README)))
    assert check_types(tmp_path, ["snippets.py"], sparklio_path, tmp_path / "mypy.ini") == (0, "")


def test_the_configuration_in_the_readme_is_one_that_is_read() -> None:
    [text] = code_blocks("toml", README)
    project = parse_table(tomllib.loads(text)["tool"]["sparklio"]["metrics"], README)
    assert (project.namespace, project.source, project.label_limits) == ("acme", ("yourpackage",), {"style": 10})


@pytest.mark.slow
def test_the_check_of_the_readme_passes_where_its_rows_are_fed(tmp_path: Path, with_sparklio: dict[str, str]) -> None:
    """In a project with the configuration and the snippets of the README, whose code imports both bridges."""
    package = tmp_path / "yourpackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "counting.py").write_text("\n".join(code_blocks("python", README)))
    bridges = "sparklio.events.bridges"
    (package / "web.py").write_text(f"import {bridges}.asgi\nimport {bridges}.sqlalchemy\n")
    (tmp_path / "pyproject.toml").write_text(*code_blocks("toml", README))
    assert run_check(tmp_path, with_sparklio).startswith("ok: ")
    (package / "web.py").write_text(f"import {bridges}.asgi\n")
    assert (
        f"- sparklio.metrics:DATABASE: nothing feeds any of its 35 families: import {bridges}.sqlalchemy, or "
        in run_check(tmp_path, with_sparklio)
    )


def run_check(folder: Path, environment: dict[str, str]) -> str:
    """Return what ``python -m sparklio.metrics check`` prints in a folder."""
    command = ("-m", "sparklio.metrics", "check")
    return run_preloaded(*command, modules=LIBRARIES, cwd=folder, env=environment, timeout=100).stdout


APPLICATION = """
import asyncio, httpx

async def drive():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            assert (await client.post("/notes/milk")).json() == ["milk"]
            print((await client.get("/metrics")).text)

asyncio.run(drive())
"""


@pytest.mark.slow
def test_the_complete_application_serves_the_samples_that_its_page_shows(tmp_path: Path, sparklio_path: Path) -> None:
    page = ROOT / "docs" / "application.md"
    [code], [shown] = code_blocks("python", page), code_blocks("text", page)
    ran = run_snippet(code + APPLICATION, sparklio_path, "-W", "error", folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {*shown.splitlines()} <= {*ran.stdout.splitlines()}


@pytest.mark.slow
def test_the_complete_application_passes_the_check_with_the_configuration_of_its_page(
    tmp_path: Path, with_sparklio: dict[str, str]
) -> None:
    page = ROOT / "docs" / "application.md"
    (tmp_path / "shop.py").write_text(*code_blocks("python", page))
    (tmp_path / "pyproject.toml").write_text(*code_blocks("toml", page))
    assert run_check(tmp_path, with_sparklio).startswith("ok: ")


@pytest.mark.slow
def test_an_application_passes_the_check_with_the_spans_that_the_page_of_who_pays_declares(
    tmp_path: Path, with_sparklio: dict[str, str]
) -> None:
    """Inline, as in ``Span(Signal(Started), Signal(Finished))``, and counted by nobody."""
    (tmp_path / "shop").mkdir()
    blocks = code_blocks("python", ROOT / "docs" / "who-pays.md")
    assert any("Span(Signal(" in block for block in blocks)
    for number, block in enumerate(blocks):
        (tmp_path / "shop" / f"block_{number}.py").write_text(block)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.sparklio.metrics]\nsource = ['./shop']\ncatalogue = ['sparklio.metrics:EXPOSITION']\n"
    )
    assert run_check(tmp_path, with_sparklio).startswith("ok: ")


def files_of(page: Path, folder: Path) -> dict[str, str]:
    """Write the code blocks of a page that begin with a file's name into a folder, and return them by that name."""
    files = {block.split()[1]: block for block in code_blocks("python", page) if block.startswith("# ")}
    for name, code in files.items():
        (folder / name).write_text(code)
    return files


def run_in(folder: Path, code: str, sparklio_path: Path) -> str:
    """Return what a program prints that runs in a folder."""
    ran = run_snippet(code, sparklio_path, "-W", "error", folder=folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


WHO_PAYS = ROOT / "docs" / "who-pays.md"


@pytest.mark.slow
def test_what_each_tenant_pays_adds_up_to_what_was_billed(tmp_path: Path, sparklio_path: Path) -> None:
    code = files_of(WHO_PAYS, tmp_path)["application.py"]
    [shown] = code_blocks("text", WHO_PAYS)
    text = run_in(
        tmp_path,
        code + "\nfrom prometheus_client import generate_latest\nprint(generate_latest(registry).decode())",
        sparklio_path,
    )
    assert {*shown.splitlines()} <= {*text.splitlines()}


REQUESTS_OF_TENANTS = """
import asyncio, httpx
from billing import TenantBilled, tenant_billed
from server import app

async def drive():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await asyncio.gather(*(client.post("/slogans", headers={"X-Tenant": name}) for name in ("a", "b", "a")))

with tenant_billed.captured() as bills:
    asyncio.run(drive())
print(sorted((bill.tenant, bill.cost) for bill in bills))
"""


@pytest.mark.slow
def test_a_request_is_paid_by_the_tenant_of_its_header(tmp_path: Path, sparklio_path: Path) -> None:
    files_of(WHO_PAYS, tmp_path)
    assert run_in(tmp_path, REQUESTS_OF_TENANTS, sparklio_path) == "[('a', 0.25), ('a', 0.25), ('b', 0.25)]\n"


SPENDING_AGENT = """
import asyncio, logging, sys
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from billing import tenant_billed, tenant_work
from budget import Budgets, BudgetExceeded, WithinBudget
from sparklio.events import agent_finished, agent_run, llm_called
from sparklio.events.bridges.pydantic_ai import instrument

logging.basicConfig(stream=sys.stdout, format="%(message)s")
budgets = Budgets({"globex": 2.0})
tenant_billed.connect(budgets.add)
model = instrument(TestModel(call_tools=["look_up"]), price=lambda *_: 0.75)
agent = Agent(name="writer")

@agent.tool_plain
def look_up() -> str:
    return "nothing"

def is_rejected(response: ModelResponse) -> bool:
    return response.model_name == "first"

members = TestModel(model_name="first", call_tools=[]), TestModel(model_name="second", call_tools=[])
chain = instrument(FallbackModel(*members, fallback_on=[is_rejected]), price=lambda *_: 0.75)

async def work(tenant, asked=model, streamed=False):
    bounded = WithinBudget(asked, budgets, tenant)
    with tenant_work(tenant=tenant), agent_run(agent_name="writer"):
        try:
            if streamed:
                async with agent.run_stream("x", model=bounded) as stream:
                    await stream.get_output()
            else:
                await agent.run("x", model=bounded)
            print(tenant, "done", budgets.spent)
        except BudgetExceeded as error:
            print(error)

with tenant_billed.captured() as bills, agent_finished.captured() as runs:
    for job in (("globex",), ("globex",), ("globex", model, True), ("hooli", model, True), ("initech", chain)):
        asyncio.run(work(*job))
print([(run.llm_calls, run.cost) for run in runs])
print([(bill.tenant, bill.model) for bill in bills])
"""


@pytest.mark.slow
def test_a_tenant_past_its_budget_is_warned_of_once_and_stopped(tmp_path: Path, sparklio_path: Path) -> None:
    files_of(WHO_PAYS, tmp_path)
    assert run_in(tmp_path, SPENDING_AGENT, sparklio_path).splitlines() == [
        "globex done {'globex': 1.5}",
        "globex has spent its budget: $2.25 of $2",
        "globex has spent $2.25 of $2",
        "globex has spent $2.25 of $2",
        "hooli done {'globex': 2.25}",
        "initech done {'globex': 2.25}",
        "[(2, 1.5), (1, 0.75), (0, None), (2, 1.5), (1, 1.5)]",
        str([("globex", "test")] * 3 + [("hooli", "test")] * 2 + [("initech", "first"), ("initech", "second")]),
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_exist(document: Path) -> None:
    for block in code_blocks("sh", document):
        for line in block.splitlines():
            words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
            command = words[: words.index(">")] if ">" in words else words
            if not names_file_of(command, document):
                check_command(command)
    prose = re.sub(r"^```text\n.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)  # without output
    for command in re.findall(r"`(python -m (?:sparklio\.)?metrics[^`]*)`", prose):
        check_command(shlex.split(command))


def names_file_of(words: list[str], document: Path) -> bool:
    """Return whether a command uses a file that the page has the content of, by its own name or as a module's."""
    files = {
        name for kind in ("python", "yaml") for block in code_blocks(kind, document) for name in block.split()[1:2]
    }
    match words:
        case ["gunicorn" | "uvicorn", application, *_]:
            return f"{application.partition(':')[0]}.py" in files
        case ["python", file, *_] | ["prometheus", file, *_]:
            return file.removeprefix("--config.file=") in files
    return False


def check_command(words: list[str]) -> None:
    """Fail for a command that does not exist, or that does not take its options."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    match words:
        case ["make", target, *variables]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
            for path in (word.partition("=")[2] for word in variables if word.startswith("T=")):
                assert (ROOT / path).exists(), words
        case ["python" | ".venv/bin/python", "-m", "metrics" | "sparklio.metrics", *arguments]:
            build_parser().parse_args(arguments)
        case ["python" | ".venv/bin/python", "-m", "app", command, *arguments]:
            import_module(f"app.commands.{command}").build_parser().parse_args(arguments)
        case (
            ["git", "tag", _]
            | ["kubectl", "create", "secret", "generic", "sparklio" | "sparklio-model", *_]
            | ["python3", "-m", "venv", ".venv"]
            | [".", ".venv/bin/activate"]
            | ["curl", *_, "http://127.0.0.1:8000/metrics" | "http://127.0.0.1:8000/orders/KR"]
        ):
            pass
        case ["gunicorn" | "uvicorn" | "arq" | "dramatiq", module, *_] | ["celery", "--app", module, *_]:
            [name, *_] = re.split("[:.]", module)
            pages = "".join(page.read_text() for page in PAGES_OF_PROCESSES)
            assert f"```python\n# {name}.py\n" in pages or find_spec(module.partition(":")[0]), words
        case ["pip", "install", what, *others] if {*others} <= {"fastapi", "uvicorn"}:
            wheel = f"sparklio-{project['version']}-py3-none-any.whl["
            assert what.startswith(("/path/to/checkout[", f"./dist/{wheel}", f"./{wheel}"))
            extras = what.partition("[")[2].removesuffix("]").split(",")
            assert {*extras} <= {*project["optional-dependencies"]}, words
        case [".venv/bin/python", "-m", module]:
            assert find_spec(module), words
        case (
            ["promtool", "test", "rules", file]
            | ["prometheus" | "prometheus-alertmanager", file, _]
            | ["docker", "build" | "compose", file, *_]
            | ["kubectl", "apply", file]
        ):
            assert (ROOT / file.rpartition("=")[2]).exists(), words
        case _:
            pytest.fail(f"no test knows whether this command exists: {words}")


def test_the_table_of_sums_has_every_family_of_tokens_and_money() -> None:
    section = (ROOT / "docs" / "metrics.md").read_text().partition("## Tokens and money")[2].partition("<!--")[0]
    listed = re.findall(r"^\| `(\w+)` \| ([\w, ]*) \|", section, re.MULTILINE)
    money = re.compile(r"_(tokens|token_details|cost|usage|unpriced)_|_tokens$")
    families = {row.name: row.label_names for row in CATALOGUE if money.search(row.name)}
    assert {name: tuple(labels.split(", ")) for name, labels in listed} == families


def anchors(document: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*?)\s*$", text, re.MULTILINE)
    plain = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_links_between_documents_lead_to_a_file_and_a_heading(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^()#\s]*)#?([^()\s]*)\)", document.read_text()):
        if "://" not in target:
            path = document.parent / target if target else document
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_a_link_that_is_named_after_a_page_leads_to_it(document: Path) -> None:
    for text, target in re.findall(r"\[`?([\w./-]+)`?\]\(([^()#\s]*)[^()\s]*\)", document.read_text()):
        if text == "README" or text.endswith(".md"):
            assert Path(target or document).stem == Path(text).stem, f"[{text}]({target})"


def outline(document: Path) -> tuple[list[int], list[str], list[str]]:
    """Return the levels of a page's headings, its code without comments, and its links to other pages."""
    text = document.read_text()
    code = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return (
        [len(level) for level in re.findall(r"^(#+) ", prose, re.MULTILINE)],
        [re.sub(r" +# .*", "", block) for block in code],
        sorted(re.findall(r"\]\(([^#)][^)]*)\)", prose)),
    )


def test_each_test_that_a_page_of_what_is_held_names_is_there() -> None:
    there = {file.name for file in (ROOT / "tests").rglob("test_*.py")}
    for page in ("reliability.md", "hosts.md", "security.md"):
        assert {*re.findall(r"`(test_\w+\.py)`", (ROOT / "docs" / page).read_text())} <= there, page


def test_the_korean_readme_has_the_headings_the_code_and_the_links_of_the_english_one() -> None:
    (levels, code, links), (english_levels, english_code, english_links) = outline(README_KO), outline(README)
    assert levels == english_levels
    assert code == english_code
    assert [link for link in links if link != "README.md"] == [link for link in english_links if link != "README.ko.md"]
    assert "README.md" in links
    assert "README.ko.md" in english_links


def test_each_page_is_in_the_menu_of_the_site_and_in_the_list_of_documents() -> None:
    menu = re.findall(r": ([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if not path.name.startswith("Sparklio")}
    assert pages == {page for page in menu if not page.startswith("repository/")}
    listed = {*re.findall(r"\]\(([\w./-]+\.md)", (docs / "README.md").read_text())}
    assert {page for page in pages if not page.startswith("models/")} - listed == {"README.md"}


CHECKED = {
    "python": "it runs: here, or where the page's own test is",
    "py": "an excerpt: of a program that runs, or of the source",
    "pycon": "the docstrings of the source, which run",
    "sh": "its commands exist",
    "text": "output, which the page's own test compares",
    "toml": "it is read",
    "yaml": "it is loaded",
    "json": "it is loaded",
    "promql": "it parses and names what exists: tests/metrics/kit/test_expressions.py",
    "sql": "PostgreSQL's: read by eye, but for docs/hosts.md: tests/backend/workflows/test_operators_queries.py",
    "ini": "its settings exist; the rest is systemd's, read by eye",
    "nginx": "nginx's: read by eye",
}
"""The languages of code on pages, and how each is checked."""


@pytest.mark.parametrize("document", [README_KO, EXAMPLES, *DOCUMENTS], ids=lambda path: path.name)
def test_code_on_pages_is_of_a_language_that_is_checked(document: Path) -> None:
    opened = re.findall(r"^ *```(\w*)$", document.read_text(), re.MULTILINE)[::2]
    assert {*opened} <= CHECKED.keys()
    for block in code_blocks("toml", document):
        table = tomllib.loads(block).get("tool", {}).get("sparklio", {}).get("metrics")
        assert table is None or parse_table(table, document).namespace
    for block in code_blocks("yaml", document):
        assert yaml.safe_load(block)
    for block in code_blocks("json", document):
        assert json.loads(block)
    for name in re.findall(rf"^{PREFIX}(\w+)=", "".join(code_blocks("ini", document)), re.MULTILINE):
        assert name.lower() in Settings.model_fields


def test_each_library_that_asks_models_is_in_the_table_of_what_is_known_of_them() -> None:
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", (ROOT / "docs" / "models.md").read_text(), re.MULTILINE)[1:]
    linked = [match[1] for name, _ in rows if (match := re.search(r"\]\(models/([\w-]+\.md)\)", name))]
    assert sorted(linked) == [page.name for page in PAGES_OF_LIBRARIES]
    assert {word for _, words in rows for word in words.split(" | ")} == {"exact", "partial", "absent"}
    assert {words.count("|") for _, words in rows} == {7}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_and_folders_that_are_named_exist(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # it names what was renamed
    for path in re.findall(
        r"`((?:events|metrics|backend|tests|docs|deploy|monitoring|benchmarks|tools)/[\w./*]*)`", document.read_text()
    ):
        assert [*ROOT.glob(path)], path


def test_the_page_of_the_distribution_has_every_bridge_and_every_extra() -> None:
    page = (ROOT / "tools" / "wheel" / "README.md").read_text()
    rows = dict(re.findall(r"^\| `sparklio\.events\.bridges\.(\w+)` \| [^|]* \| ([^|]*) \|$", page, re.MULTILINE))
    bridges = {path.parent.name for path in (ROOT / "events" / "bridges").glob("*/__init__.py")}
    assert {*rows} == bridges - {"model_calls", "sdk_clients"}  # what bridges share
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name.replace("_", "-"): extra.strip("`") for name, extra in rows.items()}
    assert {name: extra for name, extra in named.items() if extra != "none needed"} == {
        name: name for name in extras.keys() - {"traces", "kit", "watch"}
    }
    for extra in ("traces", "kit", "watch"):
        assert f"`{extra}`" in page


def test_every_setting_is_listed_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    listed = {name.lower(): default.strip().strip("`") for name, default in rows.items()}
    assert listed == {
        name: "" if field.default is None else str(field.default) for name, field in Settings.model_fields.items()
    }


def test_the_changelog_names_modules_and_objects_that_exist() -> None:
    """In the second column of its tables of what was renamed."""
    text = (ROOT / "CHANGELOG.md").read_text().partition("## [0.1.0]")[0]
    renamed = [row.split("|")[2] for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    names = [name for cell in renamed for name in re.findall(r"`((?:events|metrics|app)\.[\w.]+)`", cell)]
    assert len(names) > 100
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute) or find_spec(name), name
