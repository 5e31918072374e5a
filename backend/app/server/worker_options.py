"""The options of a worker: one line of JSON, which the supervisor writes to the worker's standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from app.llm.embedded.remote import RemoteEmbeddedServer


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The options of a worker; the ``..._fd`` are file descriptors that it inherits.

    Attributes:
        arguments: The launcher's command line.
        factory: The import string of the application's factory.
        listener_fd: The listening socket of the API.
        metrics_listener_fd: The listening socket of the metrics; may be the same one.
        ready_fd: The pipe that the worker writes one byte to when it accepts requests.
        model_server: The server of the embedded model; None if it is not used or not installed.
    """

    arguments: list[str]
    factory: str
    listener_fd: int
    metrics_listener_fd: int
    ready_fd: int
    model_server: RemoteEmbeddedServer | None

    def to_json(self) -> str:
        """Return the options as one line of JSON, without the line break."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> WorkerOptions:
        """Return the options that `to_json` has written."""
        values = json.loads(line)
        server = values.pop("model_server")
        return cls(**values, model_server=None if server is None else RemoteEmbeddedServer(**server))
