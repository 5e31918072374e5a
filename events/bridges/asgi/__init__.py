"""ASGI bridge: emits the events of `events.http` for each request and websocket, with any framework and any server.

Add it as a middleware of the framework, ``app.add_middleware(HTTPEventsMiddleware)``, or wrap the finished application,
``app = HTTPEventsMiddleware(app)``. The first sits inside the framework's handler of unexpected errors: an exception
that reaches it is recorded by its name and with status code 500, whatever response that handler makes of it. The second
sees the response only, not the exception behind it.

- `middleware`: the entry point, `HTTPEventsMiddleware`
- `request`: tracks one request and its response
- `websocket`: tracks one websocket
- `surrounding`: the scope that a request is made in
- `outcomes`: the outcome of a request, from its status code or its exception
- `disconnects`: whether the client is still connected
- `inbox`: messages that were received before the application asked for them
- `routes`: the template of the route that responded
- `open_requests`: how many requests and websockets are open, read before each render of metrics
"""

from .middleware import HEALTH_CHECKS, SCRAPES, HTTPEventsMiddleware
from .open_requests import read_in_flight

__all__ = ["HEALTH_CHECKS", "SCRAPES", "HTTPEventsMiddleware", "read_in_flight"]
