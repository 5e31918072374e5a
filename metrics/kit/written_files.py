"""The files of the kit on the disk: what was changed by hand since it was written is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

MARKS = {
    ".yml": "# Written by `python -m metrics build` for {}, digest {}: once you change it, it is yours.\n",
    ".md": "<!-- Written by `python -m metrics build` for {}, digest {}: once you change it, it is yours. -->\n",
}
"""The last line of a file, by the end of its name. Dashboards are JSON, without comments: they are always written."""

MARK = re.compile(r"^.*Written by `python -m [\w.]+ build` for (\w+), digest (\w+): .*\n\Z", re.MULTILINE)


@dataclass(slots=True)
class Changes:
    """The paths that a build wrote or would write, those that it removed, and those that it kept as they are."""

    written: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether anything is written or removed."""
        return bool(self.written or self.removed)


def sign(path: Path, text: str, namespace: str) -> str:
    """Return a text with the last line that tells whether it was changed, where its format has comments."""
    mark = MARKS.get(path.suffix)
    return text + mark.format(namespace, digest(text)) if mark else text


def digest(text: str) -> str:
    """Return what a text is known by."""
    return sha256(text.encode()).hexdigest()[:16]


def written_for(path: Path) -> str:
    """Return the namespace that a build wrote a file for; nothing where it was changed since, or is another's."""
    text = path.read_text("utf-8", errors="replace")
    mark = MARK.search(text)
    return mark[1] if mark is not None and mark[2] == digest(text[: mark.start()]) else ""


def write_kit(
    files: Mapping[str, str], out: Path, runbooks: Path, *, namespace: str, dry: bool = False, force: bool = False
) -> Changes:
    """Write files below a folder, runbooks below their own, and return what changed.

    A file that somebody has changed is kept, unless it is forced. The runbook of an alert of this namespace that is no
    more is removed if nobody has changed it; nothing else is touched. ``dry`` changes nothing.

    Raises:
        OSError: a file cannot be written.
    """
    changes = Changes()
    paths = {place(name, out, runbooks): text for name, text in files.items()}
    for path, text in paths.items():
        signed = sign(path, text, namespace)
        if path.exists():
            if path.read_text("utf-8", errors="replace") == signed:
                continue
            if not force and path.suffix in MARKS and not written_for(path):
                changes.kept.append(path)
                continue
        changes.written.append(path)
        if not dry:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(signed, "utf-8")
    for path in sorted(runbooks.glob("*.md")):
        if path not in paths and written_for(path) == namespace:
            changes.removed.append(path)
            if not dry:
                path.unlink()
    return changes


def place(name: str, out: Path, runbooks: Path) -> Path:
    """Return where a file of the kit goes."""
    first, slash, rest = name.partition("/")
    return runbooks / rest if slash and first == "runbooks" else out / name
