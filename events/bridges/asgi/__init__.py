"""HTTP requests and websockets told as the events of `events.http`: pure ASGI, for any framework and any server.

>>> app.add_middleware(HTTPEventsMiddleware)  # doctest: +SKIP

or, around a finished application, ``app = HTTPEventsMiddleware(app)``. The first sits inside the framework's handler of
unexpected errors: an exception that reaches it is reported as 500, whatever that handler makes of it. The second
sees what is sent, not the exception behind it.

`middleware` is the entry, `request` a request and its response, `websocket` a websocket, `disconnects` asks whether the
client is still there, `routes` names the route, `in_flight` counts what is under way: have `read_in_flight` called
before each render, as in ``subscription.poll(read_in_flight)``.
"""

from .in_flight import read_in_flight
from .middleware import HTTPEventsMiddleware

__all__ = ["HTTPEventsMiddleware", "read_in_flight"]
