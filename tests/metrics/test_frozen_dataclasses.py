"""What is passed around does not change: dataclasses are frozen, but for those that hold state."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module
from inspect import getmembers
from pkgutil import walk_packages
from typing import Any

import pytest

import metrics

STATE = {"FileIndex", "_Record"}
"""Dataclasses that are changed by the module that made them."""


def dataclasses() -> dict[str, Any]:
    modules = [import_module(each.name) for each in walk_packages(metrics.__path__, "metrics.")]
    return {
        name: member
        for module in modules
        for name, member in getmembers(module, is_dataclass)
        if isinstance(member, type) and member.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", sorted(dataclasses()))
def test_a_dataclass_is_frozen_unless_it_holds_state(name: str) -> None:
    parameters: Any = dataclasses()[name].__dataclass_params__
    assert parameters.frozen is (name not in STATE)
    assert parameters.eq
