"""Escaping of metric names, label names and label values."""

from __future__ import annotations

import re
from functools import lru_cache

from .formats import Escaping

_LEGACY_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGACY_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def escape_label_value(value: object) -> str:
    """Return a label value with backslashes, line feeds and double quotes escaped."""
    return str(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@lru_cache(4096)
def escape_metric_name(name: str, escaping: Escaping) -> str:
    """Return the name of a family or sample under this escaping scheme; in double quotes where it stays UTF-8."""
    return _escape_name(name, escaping, _LEGACY_METRIC_NAME)


@lru_cache(4096)
def escape_label_name(name: str, escaping: Escaping) -> str:
    """Return the name of a label under this escaping scheme; in double quotes where it stays UTF-8."""
    return _escape_name(name, escaping, _LEGACY_LABEL_NAME)


def _escape_name(name: str, escaping: Escaping, legacy: re.Pattern[str]) -> str:
    if legacy.fullmatch(name) and escaping != "dots":
        return name
    if escaping == "allow-utf-8":
        return f'"{escape_label_value(name)}"'
    # Each character is checked at its position, since a digit is not allowed as the first character.
    checked = [(char, legacy.fullmatch(f"{'_' if position else ''}{char}")) for position, char in enumerate(name)]
    if escaping == "underscores":
        return "".join(char if legal else "_" for char, legal in checked)
    if escaping == "dots":
        replacements = {"_": "__", ".": "_dot_"}
        return "".join(replacements.get(char, char if legal else "__") for char, legal in checked)
    return "U__" + "".join("__" if char == "_" else char if legal else _code_point(char) for char, legal in checked)


def _code_point(char: str) -> str:
    surrogate = "\ud800" <= char <= "\udfff"
    return "_FFFD_" if surrogate else f"_{ord(char):x}_"
