"""A client of a live feed in the test's own process, which reads all the time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from app.listeners.live_client import FeedClient


class Following:
    """A client of a feed that reads.

    Attributes:
        client: The client.
        status: The data of the messages of this name, so far.
        numbers: The same.
        records: The events so far, with their ids.
    """

    def __init__(self, client: FeedClient) -> None:
        self.client = client
        self.status: list[dict[str, Any]] = []
        self.numbers: list[dict[str, Any]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.has_ended = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for chunk in self.client.messages():
            for message in chunk.decode().split("\r\n\r\n")[:-1]:
                lines = dict(line.split(": ", 1) for line in message.split("\r\n"))
                data = json.loads(lines["data"])
                if "event" in lines:
                    {"status": self.status, "numbers": self.numbers}[lines["event"]].append(data)
                else:
                    self.records.append((lines["id"], data))
        self.has_ended = True

    @property
    def signals(self) -> list[str]:
        return [record["signal"] for _, record in self.records]
