"""HTTP requests and websockets."""

from __future__ import annotations

from events import http_activity_read, http_request_finished, http_request_waited, websocket_finished

from .. import buckets
from ..rows import counter, gauge, histogram

LABEL_LIMITS = {
    "channel": 6,
    "close_code": 8,
    "endpoint": 60,
    "method": 180,  # pairs of endpoint and method: three for each endpoint
    "status_code": 14,
}
"""How many values an open label takes, by its name."""

PRESET_LABEL_VALUES = {"endpoint": ("unmatched",)}
"""Values that the bridges use beside those that they learn."""

PHASES = "Time of requests, by what they waited for."

# What the share of requests with a fault of the server is made of, and the clients that went away.
JUDGED_OUTCOMES = {"outcome": ("ok", "client_error", "server_error", "stream_aborted", "timeout", "client_disconnect")}

# fmt: off
HTTP = (
    counter("http_requests_total", "HTTP requests whose answer ended; 499 is a client that went away.",
        http_request_finished, labels=("method", "endpoint", "status_code"), nested_in={"method": "endpoint"},
        initialize=False, expected={"status_code": ("500",)}),
    histogram("http_request_duration_seconds",
        "Time from a request's arrival to the last byte of its answer; streamed answers stand apart.",
        http_request_finished, value="duration", labels=("method", "endpoint"), nested_in={"method": "endpoint"},
        where={"streamed": False}, buckets=buckets.REQUEST, initialize=False),
    counter("http_request_outcomes_total", "HTTP requests by what became of them.",
        http_request_finished, labels=("endpoint", "outcome"), expected=JUDGED_OUTCOMES),
    histogram("http_time_to_first_byte_seconds",
        "Time from a request's arrival to the first byte of its answer, streamed or not.",
        http_request_finished, value="first_byte", labels=("endpoint",), buckets=buckets.FIRST_BYTE, initialize=False),
    histogram("http_stream_duration_seconds",
        "Time from a request's arrival to the last byte of an answer that came in pieces of no announced length.",
        http_request_finished, value="duration", labels=("endpoint",), where={"streamed": True}, buckets=buckets.STREAM,
        initialize=False),
    counter("http_request_phase_seconds_total", PHASES,
        http_request_finished, value="self_time", labels=("endpoint",), const_labels={"phase": "self"},
        initialize=False),
    counter("http_request_phase_seconds_total", PHASES,
        http_request_waited, value="database_time", labels=("endpoint",), const_labels={"phase": "database"},
        initialize=False),
    counter("http_request_phase_seconds_total", PHASES,
        http_request_waited, value="llm_time", labels=("endpoint",), const_labels={"phase": "llm"},
        initialize=False),
    counter("http_request_phase_seconds_total", PHASES,
        http_request_waited, value="tool_time", labels=("endpoint",), const_labels={"phase": "tool"},
        initialize=False),
    counter("http_request_phase_seconds_total", PHASES,
        http_request_waited, value="backoff_time", labels=("endpoint",), const_labels={"phase": "backoff"},
        initialize=False),
    histogram("http_request_body_size_bytes",
        "Bytes of requests' bodies, as read or as announced.",
        http_request_finished, value="request_size", buckets=buckets.BODY_BYTES),
    histogram("http_response_body_size_bytes",
        "Bytes of answers' bodies, as they went out.",
        http_request_finished, value="response_size", buckets=buckets.BODY_BYTES),
    gauge("http_active_requests", "HTTP requests under way, streamed answers included.",
        http_activity_read, value="requests"),
    gauge("websocket_active_sessions", "Websockets open in this process.",
        http_activity_read, value="websockets"),
    counter("websocket_sessions_total", "Accepted websockets that were closed, by RFC 6455's close code; 1006 is none.",
        websocket_finished, labels=("channel", "close_code"), initialize=False),
    histogram("websocket_session_duration_seconds", "Time from a websocket's acceptance to its close.",
        websocket_finished, value="duration", labels=("channel",), buckets=buckets.WEBSOCKET, initialize=False),
    counter("websocket_messages_total", "Messages of websockets that were closed.",
        websocket_finished, value="received", labels=("channel",), const_labels={"direction": "received"},
        initialize=False),
    counter("websocket_messages_total", "Messages of websockets that were closed.",
        websocket_finished, value="sent", labels=("channel",), const_labels={"direction": "sent"}, initialize=False),
)
# fmt: on
