"""A hook of mkdocs: what the documents link to outside of docs/ is in the site too, and links lead there.

In the repository a page links to `../CHANGELOG.md`; the site has it as `repository/CHANGELOG.md`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PLACE = "repository"
"""The folder of the site for what is outside of docs/."""

PAGES = ("README.md", "README.ko.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages that are in the site, linked to or not."""

LINK = re.compile(r"\]\(([^()\s#]+)((?:#[^()\s]*)?)\)")
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is outside of docs/ and linked to, and what is linked to from there."""
    from mkdocs.structure.files import File  # in an environment of its own: the rest of this module is tested without

    pages = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in PAGES)]
    added = {path for path in pages if not path.is_relative_to(DOCS)}
    for page in pages:
        for target in linked_files(page):
            if not target.is_relative_to(DOCS) and target not in added:
                added.add(target)
                if target.suffix == ".md":
                    pages.append(target)
    for path in sorted(added):
        files.append(File.generated(config, place_in_site(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Return a page whose links lead to where their targets are in the site."""
    source = Path(str(page.file.abs_src_path)).resolve()
    folder = Path(place_in_site(source)).parent

    def moved(target: Path) -> str:
        return os.path.relpath(place_in_site(target), folder)

    return rewrite_links(markdown, source.parent, moved)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail where a page of the site loads something from elsewhere."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := LOADED.search(page.read_text("utf-8")):
            raise ValueError(f"{page} loads from elsewhere, and the site is to be read without a network: {found[0]}")


def place_in_site(path: Path) -> str:
    """Return the path in the site's sources of a file of the repository."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return "/".join([PLACE, *(part.removeprefix(".") for part in path.relative_to(ROOT).parts)])  # mkdocs skips .files


def linked_files(page: Path) -> list[Path]:
    """Return the files of the repository that a page links to."""
    found: list[Path] = []

    def note(target: Path) -> str:
        found.append(target)
        return ""

    rewrite_links(page.read_text("utf-8"), page.parent, note)
    return found


def rewrite_links(markdown: str, folder: Path, moved: Callable[[Path], str]) -> str:
    """Return Markdown with its links to files of the repository replaced; code stays as it is."""

    def replace(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        return f"]({moved(target)}{link[2]})" if "://" not in link[1] and target.is_file() else link[0]

    pieces, last = [], 0
    for code in CODE.finditer(markdown):
        pieces += [LINK.sub(replace, markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*pieces, LINK.sub(replace, markdown[last:])])
