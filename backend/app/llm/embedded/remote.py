"""The embedded model's server as a worker sees it: the launcher owns it, one for all workers of a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from urllib.parse import urlsplit

from ..unavailable import ModelUnavailable

PATIENCE = 20.0  # seconds for the launcher to bring the model back
_EVERY = 0.2
_ANSWER_WITHIN = 1.0  # seconds


@dataclass(frozen=True)
class RemoteEmbeddedServer:
    """A server of somebody else's: its address, which it keeps when it is started anew, and its key."""

    address: str
    key: str = field(repr=False)

    @property
    def base_url(self) -> str:
        """Where its OpenAI-compatible API is."""
        return f"{self.address}/v1"

    def answers(self) -> bool:
        """Tell whether it serves: somebody listens there, and the model is loaded."""
        where = urlsplit(self.address)
        asking = HTTPConnection(str(where.hostname), where.port, timeout=_ANSWER_WITHIN)
        try:
            asking.request("GET", "/health")
            return asking.getresponse().status == HTTPStatus.OK
        except TimeoutError:
            return True  # it is busy
        except (OSError, HTTPException):
            return False
        finally:
            asking.close()

    def revive(self) -> None:
        """Wait until its owner has brought it back.

        Raises:
            ModelUnavailable: that takes too long.
        """
        deadline = monotonic() + PATIENCE
        while not self.answers():
            if monotonic() > deadline:
                raise ModelUnavailable("the embedded model does not answer: start the studio again")
            sleep(_EVERY)
