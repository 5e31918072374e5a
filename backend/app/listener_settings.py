"""The settings of the listeners, which take events elsewhere: a table, a log, a webhook, the live feed."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from .setting_types import Amount, Text


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
        default=None, repr=False, description="Secret that signs what is sent to the webhook; unset: nothing is signed"
    )
    webhook_signals: Text = Field(
        default="workflow_finished", description="Signals whose events the webhook gets, with commas between"
    )
    live: bool = Field(default=True, description="Serve the live feed of events, and the page that shows it")
    live_clients: Amount = Field(
        default=200, description="Clients that may follow the live feed of a worker; more are refused with 503"
    )
    live_buffer: Amount = Field(
        default=2000, description="Events that a worker keeps for clients of the live feed that come back"
    )
