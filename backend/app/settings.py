"""The settings: read from the environment (prefix ``SPARKLIO_``), a ``.env`` file and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy.engine import URL

from .database_urls import parse_database_url
from .listener_settings import ListenerSettings
from .server_settings import ServerSettings
from .setting_types import PREFIX, Amount, Seconds, Text

Role = Literal["all", "api", "worker"]
"""What the processes of a studio do: everything, all but executing runs, or that alone."""


class Settings(ListenerSettings, ServerSettings):
    """The studio: AI agents that write marketing content, with metrics of everything they do."""

    # URLs hold passwords: neither an error nor a repr may show their values.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        cli_prog_name="python -m app",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_show_env_vars=True,
    )

    data_dir: Path = Field(default=Path("data"), description="Directory for the SQLite files; made when missing")
    database_url: Text | None = Field(
        default=None,
        repr=False,
        description="sqlite:///file.db or postgresql://user:password@host/name; unset: studio.db in the data directory",
    )
    role: Role = Field(
        default="all",
        description="What processes do: all; api: all but executing runs; worker: that alone, with /health, /metrics",
    )
    llm: Text = Field(
        default="embedded", description="Model: embedded, or provider:model as in openai:gpt-4o-mini or ollama:qwen3:4b"
    )
    llm_base_url: Text | None = Field(
        default=None, repr=False, description="URL of an OpenAI-compatible or Ollama server of one's own"
    )
    llm_prices: Text | None = Field(
        default=None,
        description="Seller whose prices apply to that server after all, as in openai; unset: it costs nothing",
    )
    llm_timeout: Seconds = Field(default=60.0, description="Seconds that a model may take to answer, retries included")
    llm_retries: int = Field(
        default=2, ge=0, le=20, description="Retries of a model call that failed in a way that passes"
    )
    llm_fallbacks: Text | None = Field(
        default=None, description="Models to ask when the first one fails, in order, as in ollama:qwen3:4b,embedded"
    )
    llm_window: int | None = Field(
        default=None,
        ge=1024,
        description="Tokens of prompt and answer that the model takes; unset: what is known of it",
    )
    run_time_limit: Seconds = Field(default=600.0, description="Seconds that a whole run may take")
    drain_time: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that /health and /health/ready answer 503 at SIGTERM, before the studio stops listening",
    )
    run_requeues: int = Field(
        default=3, ge=0, le=100, description="Times that a run is queued again when the workflow engine gave it up"
    )
    retention_days: int = Field(
        default=90, ge=0, le=36500, description="Days that ended runs are kept, with their steps; 0 keeps all"
    )
    sweep_interval: Seconds = Field(
        default=5.0, description="Seconds between two looks for runs that no process executes"
    )
    lease: float = Field(
        default=15.0,
        ge=3,
        le=3600,
        description="Seconds without a sign of life after which other processes take over one's runs, on PostgreSQL",
    )
    health_interval: Seconds = Field(
        default=15.0, description="Seconds between two checks of the database, the model and the workflows by itself"
    )
    revision: Text | None = Field(
        default=None, description="Commit that the studio was built from, for build_info; unset: what git says"
    )
    concurrency: int = Field(
        default=2, ge=1, le=1000, description="Runs at once in each worker; the others wait in the queue of all"
    )
    total_concurrency: Amount | None = Field(
        default=None, description="Runs at once in all workers on all hosts, which agree on it; unset: those of each"
    )
    max_queued: Amount = Field(
        default=1000, description="Runs that may wait in the queue, which all workers share; more are refused with 429"
    )
    max_body: Amount = Field(default=65_536, description="Bytes that the body of a request may have")
    max_errors: Amount = Field(default=10, description="Errors that the answer to an invalid request lists")
    max_logins: Amount = Field(
        default=10,
        description="Wrong keys that an address may try at /login of a worker in a minute; more are refused with 429",
    )
    max_connections: Amount = Field(
        default=1000,
        description="Connections of a worker at once, or as many as file descriptors allow; more are refused with 503",
    )
    receive_timeout: Seconds = Field(
        default=10.0, description="Seconds that a client may take to send a request, or to read some of its answer"
    )
    llm_max_answer: Amount = Field(
        default=4_194_304, description="Bytes that a model's answer may have, as its server sends it"
    )
    max_step_text: Amount = Field(default=65_536, description="Bytes that the answer of a step may have to be stored")
    slow_query: Seconds = Field(default=1.0, description="Seconds from which a database statement is logged as slow")
    long_hold: Seconds = Field(
        default=60.0, description="Seconds from which a database connection that is held is logged"
    )
    database_details: bool = Field(
        default=False, description="Count savepoints, compiling, times of transactions and ages of connections too"
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="What is logged at least; prompts and answers never are"
    )

    @field_validator("data_dir")
    @classmethod
    def _check_data_dir(cls, value: Path) -> Path:
        value = value.expanduser()
        if value.exists() and not value.is_dir():
            raise ValueError("it is a file; give a directory")
        return value

    @field_validator("log_level", "role", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value

    @field_validator("role")
    @classmethod
    def _check_role(cls, value: Role, info: ValidationInfo) -> Role:
        # A wrong database_url is not in the data: its own message is enough.
        if value != "all" and "database_url" in info.data and _is_sqlite(info.data["database_url"]):
            raise ValueError(
                "it needs PostgreSQL, as SQLite has one process that does all; set "
                f"{PREFIX}DATABASE_URL=postgresql://user:password@host/name, or leave the role out"
            )
        return value

    @field_validator("llm_base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("give an address such as http://localhost:11434/v1")
        return value

    @property
    def executes_runs(self) -> bool:
        """Whether the processes take runs from the queue."""
        return self.role != "api"

    @property
    def slots(self) -> int:
        """How many runs each process executes at once."""
        return min(self.concurrency, self.total_concurrency or self.concurrency) if self.executes_runs else 0

    @property
    def serves_api(self) -> bool:
        """Whether the processes serve the API and its pages, beside the health checks and the metrics."""
        return self.role != "worker"

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the model and its fallbacks, in order, without duplicates."""
        fallbacks = (name.strip() for name in (self.llm_fallbacks or "").split(","))
        return tuple(dict.fromkeys([self.llm, *(name for name in fallbacks if name)]))

    @property
    def async_database_url(self) -> URL:
        """The URL of the studio's own tables, for SQLAlchemy's async engine."""
        if self.database_url is None:
            return URL.create("sqlite+aiosqlite", database=str(self.data_dir / "studio.db"))
        return parse_database_url(self.database_url)

    @property
    def dbos_database_url(self) -> str:
        """The URL of DBOS's tables: a second SQLite file, or the same PostgreSQL database (schema ``dbos``)."""
        url = self.async_database_url
        if self.sqlite_file is None:
            return url.set(drivername="postgresql").render_as_string(hide_password=False)
        return url.set(drivername="sqlite", database=str(self.workflows_file)).render_as_string(hide_password=False)

    @property
    def workflows_file(self) -> Path | None:
        """The SQLite file of DBOS's tables, beside the studio's; None on PostgreSQL."""
        file = self.sqlite_file
        return None if file is None else file.with_name(f"{file.stem}.workflows.db")

    @property
    def sqlite_file(self) -> Path | None:
        """The studio's SQLite file; None on PostgreSQL."""
        url = self.async_database_url
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _is_sqlite(database_url: str | None) -> bool:
    return database_url is None or parse_database_url(database_url).get_backend_name() == "sqlite"
