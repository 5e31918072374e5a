"""The check whether an answer matches the JSON schema that was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator


def matches_schema(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value matches a JSON schema (draft 2020-12)."""
    return _validator(json.dumps(schema, sort_keys=True)).is_valid(value)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    return Draft202012Validator(json.loads(schema))
