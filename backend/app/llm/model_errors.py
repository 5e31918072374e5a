"""The errors of models that cannot be asked; without heavy imports, so that the launcher can load them."""

from __future__ import annotations


class ModelUnavailable(ConnectionError):
    """The model cannot be asked; the message says why, and what to do, in one line."""


class ModelNotInstalled(ModelUnavailable):
    """A package that the embedded model needs is not installed."""
