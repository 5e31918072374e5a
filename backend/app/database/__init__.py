"""The studio's database: brands, runs and their steps (`models`), read and written by `repositories`."""

from .clock import database_time
from .engine import POSTGRESQL_OPTIONS, Database, DatabaseUnavailable
from .lost_tables import lost_studio_table
from .models import Base, Brand, Run, RunStatus, Step, StepStatus
from .passing_errors import is_passing, retry_passing
from .postgresql_sessions import READ_COMMITTED, prepare_sessions
from .psycopg_options import psycopg_options
from .repositories.brand_library import BrandLibrary
from .repositories.runs import UnfinishedRun
from .sqlite_connections import FileState, file_identity, file_state

__all__ = [
    "POSTGRESQL_OPTIONS",
    "READ_COMMITTED",
    "Base",
    "Brand",
    "BrandLibrary",
    "Database",
    "DatabaseUnavailable",
    "FileState",
    "Run",
    "RunStatus",
    "Step",
    "StepStatus",
    "UnfinishedRun",
    "database_time",
    "file_identity",
    "file_state",
    "is_passing",
    "lost_studio_table",
    "prepare_sessions",
    "psycopg_options",
    "retry_passing",
]
