"""What the studio keeps: brands, runs and their steps."""

from .engine import Database, DatabaseUnavailable
from .models import Base, Brand, Run, RunStatus, Step, StepStatus, Usage
from .repositories.brand_library import BrandLibrary

__all__ = [
    "Base",
    "Brand",
    "BrandLibrary",
    "Database",
    "DatabaseUnavailable",
    "Run",
    "RunStatus",
    "Step",
    "StepStatus",
    "Usage",
]
