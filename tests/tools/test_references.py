"""The pages of public names, commands and settings are those of the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.public_api.test_promises import public_names
from tools import command_reference, name_reference, setting_reference
from tools.public_names import names_of

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- from here on written by `make docs` -->\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "reference"),
    [
        ("names.md", name_reference.reference),
        ("command-line.md", command_reference.reference),
        ("settings.md", setting_reference.reference),
    ],
)
def test_the_page_is_current(page: str, reference: Callable[[], Iterator[str]]) -> None:
    """But for how lines of help are broken, which is another thing in each release of Python."""
    written = (DOCS / page).read_text().partition(MARK)[2]
    assert written.split() == " ".join(reference()).split(), "run `make docs`"


def test_every_promised_name_is_on_the_page_of_names_or_is_of_an_event() -> None:
    described: dict[str, set[str]] = {}
    for package, text in re.findall(
        r"^## sparklio\.([\w.]+)\n(.*?)(?=^## |\Z)", (DOCS / "names.md").read_text(), re.MULTILINE | re.DOTALL
    ):
        short = package.rpartition(".")[2] + "." if "." in package else ""
        described[package] = {*re.findall(rf"^### {re.escape(short)}(\w+)$", text, re.MULTILINE)}
    for line in public_names():
        package, _, name = line.removeprefix("name ").rpartition(".")
        assert name in described[package] or name in name_reference.signal_names(), line


def test_every_public_name_has_a_docstring_or_is_an_event_or_a_group() -> None:
    lines = (DOCS / "names.md").read_text().partition(MARK)[2].splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith("### ")]
    for begin, end in zip(headings, [*headings[1:], len(lines)], strict=True):
        text = re.sub(r"```py\n.*?```", "", "\n".join(lines[begin + 1 : end]), flags=re.DOTALL)
        assert text.strip(), lines[begin]


def test_a_name_is_described_where_it_was_imported_from() -> None:
    """Through packages, of a bridge whose library may be missing too."""
    by_name = {public.name: public for public in names_of("events.bridges.anthropic")}
    assert by_name["list_price"].doc.startswith("Return")
    [first, *_] = name_reference.signature(by_name["InstrumentedClient"].definitions[0])
    assert first.startswith("class InstrumentedClient(")


def test_every_command_has_its_help() -> None:
    text = (DOCS / "command-line.md").read_text()
    for command in ("sparklio.metrics check", "sparklio.metrics doctor", "app record", "app reconcile"):
        assert f"\nusage: python -m {command} [-h]" in text
