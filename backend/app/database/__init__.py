"""What the studio keeps: brands, runs and their steps."""

from .engine import Database, DatabaseUnavailable
from .models import Brand, Model, Run, RunStatus, Step, StepStatus, Usage
from .repositories.brand_library import BrandLibrary

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
