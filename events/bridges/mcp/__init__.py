"""The bridge to the SDK of MCP: emits `tool_called` for every call of a tool on a server, with the server's name.

Instrument the clients of the program, or one of them::

    from events.bridges.mcp import instrument

    instrument()

A server tells its calls where it is asked to, by `instrument_server`: they are work for another process, whose client
tells them already. Events hold names, a duration and the class of an error; never arguments, results or messages.

- `client`: the calls of clients
- `server`: the calls that a server serves
- `tool_results`: how a call ended
"""

from .client import InstrumentedSessions, instrument
from .server import InstrumentedServer, instrument_server

__all__ = ["InstrumentedServer", "InstrumentedSessions", "instrument", "instrument_server"]
