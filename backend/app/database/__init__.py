"""The studio's database: brands, runs and their steps (`models`), read and written by `repositories`."""

from .engine import Database, DatabaseUnavailable
from .models import Base, Brand, Run, RunStatus, Step, StepStatus
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
]
