"""The server of the embedded model as a worker sees it: the supervisor owns it, one for all workers of a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from urllib.parse import urlsplit

from ..model_errors import ModelUnavailable

RESTART_TIMEOUT = 20.0  # seconds for the supervisor to restart the model
_POLL_INTERVAL = 0.2  # seconds
_RESPONSE_TIMEOUT = 1.0  # seconds


@dataclass(frozen=True)
class RemoteEmbeddedServer:
    """A server that another process owns: its address, which it keeps over a restart, and its key."""

    address: str
    key: str = field(repr=False)

    @property
    def base_url(self) -> str:
        """The base URL of its OpenAI-compatible API."""
        return f"{self.address}/v1"

    def is_alive(self) -> bool:
        """Return whether it serves, with its model loaded."""
        url = urlsplit(self.address)
        connection = HTTPConnection(str(url.hostname), url.port, timeout=_RESPONSE_TIMEOUT)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == HTTPStatus.OK
        except TimeoutError:
            return True  # it is busy with a request
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def ensure_alive(self) -> None:
        """Wait until its owner has restarted it, if it has died.

        Raises:
            ModelUnavailable: That takes too long.
        """
        deadline = monotonic() + RESTART_TIMEOUT
        while not self.is_alive():
            if monotonic() > deadline:
                raise ModelUnavailable("the embedded model does not answer: start the studio again")
            sleep(_POLL_INTERVAL)
