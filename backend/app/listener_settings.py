"""The settings of the listeners, which take events elsewhere: a table, a log, a webhook, traces, the live feed."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from blinker import default_namespace
from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from events import Signal, listener_delivered

from .setting_types import Amount, Text
from .webhook_secrets import parse_webhook_secrets


class ListenerSettings(BaseSettings):
    """The part of the settings that is about the listeners."""

    audit_days: int = Field(
        default=0, ge=0, le=36500, description="Days that events are kept in the audit trail; 0 keeps none"
    )
    event_log: Text | None = Field(
        default=None, description="File to which each event is written as a line of JSON; - for standard error"
    )
    webhook_url: Text | None = Field(
        default=None, repr=False, description="URL that events are sent to, as CloudEvents; unset: none are"
    )
    webhook_secret: Text | None = Field(
        default=None,
        validate_default=True,  # with a URL it is needed
        repr=False,
        description="Secret that signs what is sent to the webhook, as in whsec_...; with a URL it is needed",
    )
    webhook_signals: Text = Field(
        default="workflow_finished", description="Signals whose events the webhook gets, with commas between"
    )
    traces: bool = Field(
        default=False,
        description="Make OpenTelemetry spans of what the studio does, and exemplars with their trace ids",
    )
    live: bool = Field(default=True, description="Serve the live feed of events, and the page that shows it")
    live_clients: Amount = Field(
        default=200, description="Clients that may follow the live feed of a worker; more are refused with 503"
    )
    live_buffer: Amount = Field(
        default=2000, description="Events that a worker keeps for clients of the live feed that come back"
    )

    @field_validator("event_log")
    @classmethod
    def _check_event_log(cls, value: str | None) -> str | None:
        if value in {None, "-"}:
            return value
        file = Path(str(value)).expanduser()
        if file.is_dir():
            raise ValueError("it is a folder; give a file")
        if not file.parent.is_dir():
            raise ValueError("its folder is not there; make it, or give another file")
        return str(file)

    @field_validator("webhook_url")
    @classmethod
    def _check_webhook_url(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parts = urlsplit(value)
                host = httpx.URL(value).host and parts.hostname  # each refuses what the other takes
                is_complete = parts.scheme in {"http", "https"} and host and parts.port != 0
            except (ValueError, httpx.InvalidURL):
                is_complete = False
            if not is_complete:
                raise ValueError("give an address such as https://hooks.example.com/sparklio")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None or info.data.get("webhook_url") is not None:
            parse_webhook_secrets(value or "")
        return value

    @field_validator("webhook_signals")
    @classmethod
    def _check_webhook_signals(cls, value: str) -> str:
        parse_signals(value)
        return value


def parse_signals(text: str) -> tuple[Signal[..., Any], ...]:
    """Return the signals whose names stand in a text, with commas between, each once.

    Raises:
        ValueError: There is none, or a name is of no signal.
    """
    names = [*dict.fromkeys(filter(None, (name.strip() for name in text.split(","))))]
    if not names:
        raise ValueError("there is no signal in it; docs/events.md lists them")
    declared = {name: signal for name, signal in default_namespace.items() if isinstance(signal, Signal)}
    for name in names:
        if name == listener_delivered.name:
            raise ValueError(f"{name} tells of each event that was sent, and so of itself without end")
        if name not in declared:
            alike = get_close_matches(name, declared, n=3)
            advice = f"did you mean {' or '.join(alike)}?" if alike else "docs/events.md lists them"
            raise ValueError(f"no signal is named {name!r}; {advice}")
    return tuple(declared[name] for name in names)
