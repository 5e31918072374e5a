"""HTTP requests and websockets told as the events of `events.http`: pure ASGI, for any framework and any server.

>>> app.add_middleware(HTTPEvents)  # doctest: +SKIP

or, around a finished application, ``app = HTTPEvents(app)``. The first sits inside the framework's own handler of
unexpected errors: an exception that reaches it is told as 500, whatever that handler makes of it. The second sees what
is sent, not the exception behind it.

`middleware` is the door, `exchange` a request and its answer, `session` a websocket, `disconnects` asks whether the
client is still there, `routes` names the route, `activity` counts what is under way: have `read_activity` called before
each render, as in ``subscription.poll(read_activity)``.
"""

from .in_flight import read_activity
from .middleware import HTTPEvents

__all__ = ["HTTPEvents", "read_activity"]
