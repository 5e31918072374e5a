"""YAML as people write it: expressions of several lines as blocks, keys in their own order."""

from __future__ import annotations

from typing import Any

from .libraries import yaml


def to_yaml(data: object) -> str:
    """Return data as text of YAML.

    Raises:
        KitLibraryMissing: PyYAML is not installed.
    """
    library = yaml()

    class Dumper(library.SafeDumper):  # type: ignore[misc, name-defined]  # a module that is imported late
        """Writes sequences below their key with an indent, as people do."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:  # noqa: ARG002
            return super().increase_indent(flow, False)

    def represent(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, represent)
    text: str = library.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
