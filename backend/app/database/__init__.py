"""What the studio keeps: brands, runs and their steps."""

from .engine import Database, DatabaseUnavailable
from .library import BrandLibrary
from .models import Brand, Model, Run, RunStatus, Step, StepStatus, Usage

__all__ = [
    "Brand",
    "BrandLibrary",
    "Database",
    "DatabaseUnavailable",
    "Model",
    "Run",
    "RunStatus",
    "Step",
    "StepStatus",
    "Usage",
]
