"""The message of a webhook: a record as a CloudEvent, with the headers by which the receiver knows who sent it.

- CloudEvents 1.0, structured mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
- Signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent

from events.bus.records import Record


@dataclass(frozen=True, slots=True)
class Message:
    """A message, the same at every attempt to send it: its id tells the receiver that it comes again."""

    id: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, record: Record, source: str) -> Message:
        """Return the message of a record.

        Args:
            record: The record, which is the data of the CloudEvent.
            source: The URI of the studio that emitted it.
        """
        message_id = uuid4().hex  # a signature is over id.timestamp.body, so it has no full stop
        attributes = {
            "id": message_id,
            "source": source,
            "type": f"sparklio.{record['signal']}",
            "time": datetime.fromtimestamp(record["time"], UTC),
            "datacontenttype": "application/json",
        }
        if run_id := record["fields"].get("run_id"):
            attributes["subject"] = str(run_id)
        written = to_structured_event(CloudEvent(attributes, dict(record)))
        return cls(message_id, dict(written.headers), written.body)

    def signed_headers(self, secrets: Sequence[bytes], now: float) -> dict[str, str]:
        """Return the headers of an attempt at a Unix time, with a signature by each of the secrets."""
        timestamp = str(int(now))
        return {
            **self.headers,
            "webhook-id": self.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(self._signature(secret, timestamp) for secret in secrets),
        }

    def _signature(self, secret: bytes, timestamp: str) -> str:
        content = b".".join((self.id.encode(), timestamp.encode(), self.body))
        return f"v1,{base64.b64encode(hmac.digest(secret, content, 'sha256')).decode()}"
