"""A server that answers each chat completion at once: ``python -m benchmarks.model_server``, a process of its own."""

from __future__ import annotations

import asyncio
import json

from .model_calls import ANSWER

BODY = json.dumps(ANSWER).encode()
HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 200000\r\n"
    "x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 199000\r\n"
    f"content-length: {len(BODY)}\r\n\r\n"
).encode()


class Answers(asyncio.Protocol):
    """A connection whose requests are answered alike, each once all of it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection; nothing of a request has come."""
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole by now."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = int(self.received[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.transport.write(HEAD + BODY)  # type: ignore[attr-defined]  # of a connection, which is written to


async def serve() -> None:
    """Serve on a free port, which is printed, until the process is stopped."""
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
