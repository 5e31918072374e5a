"""Whether an answer fits the JSON schema that was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Tell whether a value fits a schema."""
    return _validator(json.dumps(schema, sort_keys=True)).is_valid(value)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    return Draft202012Validator(json.loads(schema))
