"""The settings of the server: its addresses, who may use it, and its processes."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from .api_keys import parse_keys, read_key_file, validate_distinct
from .host_names import parse_host_names
from .setting_types import PREFIX, Text

WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class ServerSettings(BaseSettings):
    """The part of the settings that is about the server."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port for /metrics alone, which then is on no other; 0 takes a free one",
    )
    metrics_token: Text | None = Field(
        default=None, repr=False, description="Bearer token that scrapers of /metrics give; unset: none is asked for"
    )
    metrics_password: Text | None = Field(
        default=None, repr=False, description="Password that scrapers of /metrics give, with any user name; unset: none"
    )
    allowed_hosts: Text | None = Field(
        default=None,
        description="Names to be asked for beside localhost, as in studio.example.com,*.example.com; * for any",
    )
    api_keys: Text | None = Field(
        default=None, repr=False, description="Keys of the API, as in alice:KEY,bob:KEY; unset: none is asked for"
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File with more keys of the API, one a line, as in alice:KEY; read again when it changes",
    )
    allow_anyone: bool = Field(
        default=False, description="Let anyone who reaches it use the API without a key, on a public address too"
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes that serve; several need PostgreSQL")
    metrics_dir: Path | None = Field(
        default=None,
        description="Directory in which processes share their numbers; with SPARKLIO_WORKERS one is made",
    )
    native_histograms: bool = Field(
        default=False, description="Count in exponential buckets too, for a Prometheus that asks for native histograms"
    )

    @field_validator("metrics_port")
    @classmethod
    def _check_metrics_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and value == info.data.get("port"):
            raise ValueError("the API has this port (SPARKLIO_PORT); give another, or none to have /metrics there too")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, value: str | None) -> str | None:
        if value is not None:
            parse_host_names(value)
        return value

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: str | None) -> str | None:
        if value is not None:
            parse_keys(value)
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _check_api_keys_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        value = value.expanduser()
        try:
            keys = read_key_file(value)
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from None
        if (inline := info.data.get("api_keys")) is not None:
            try:
                validate_distinct((*parse_keys(inline), *keys))
            except ValueError as error:
                raise ValueError(f"with those of {PREFIX}API_KEYS, which count too, {error}") from None
        return value

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names that requests may ask for, beside the studio's own address and those of the loopback interface."""
        return parse_host_names(self.allowed_hosts) if self.allowed_hosts else ()

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The address that the studio listens on, unless it listens on all."""
        return () if self.host in WILDCARD_ADDRESSES else (self.host,)
