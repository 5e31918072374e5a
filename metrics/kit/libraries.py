"""The libraries of the extra ``kit``, imported when they are needed: `metrics` works without them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class KitLibraryMissing(ImportError):
    """A library of the extra ``kit`` is not installed."""


def load(module: str, package: str) -> Any:
    """Return a module.

    Raises:
        KitLibraryMissing: it is not installed; the message says how it is.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise KitLibraryMissing(f"{package} is not installed: pip install 'sparklio[kit]'") from error


def yaml() -> Any:
    """Return PyYAML."""
    return load("yaml", "PyYAML")


def promql_parser() -> Any:
    """Return promql-parser."""
    return load("promql_parser", "promql-parser")


def grafana(module: str) -> Any:
    """Return a module of grafana-foundation-sdk, such as ``builders.stat``."""
    return load(f"grafana_foundation_sdk.{module}", "grafana-foundation-sdk")
