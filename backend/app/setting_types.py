"""The types of settings, and the prefix of their names in the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

PREFIX = "SPARKLIO_"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Amount = Annotated[int, Field(ge=1)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
