"""The clients of the SDKs of OpenAI and Anthropic, which are made alike: their calls, attempts and streams.

- `instrument_client`: the entry point of both bridges
- `sdk_parts`: the parts of the SDKs that are reached here, and the oldest releases that have them
- `sdk_request`: one request of a client while it is under way
- `attempts`: what was sent for it, as attempts at its call
- `answer`: the answer of a call as it comes, which each bridge reads by its provider's protocol
- `http_sends`: each request that the client's HTTP client sends
- `streams`: the chunks of a stream, until its end
- `bodies`: the body of a response that is read piece by piece
- `raw_responses`: responses that their reader parses

A client, its HTTP client and a raw response get a class derived from their own, each on that one object. So they refer
to nothing that refers to them: whatever of them is dropped is seen as soon as it is, not when garbage is collected.
"""

from .answer import Answer, Protocol
from .instrument_client import InstrumentedClient, instrument_client, is_instrumented

__all__ = ["Answer", "InstrumentedClient", "Protocol", "instrument_client", "is_instrumented"]
