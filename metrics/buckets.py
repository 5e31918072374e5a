"""Bucket ladders, by what they measure. Bounds are only ever added, so that old queries by ``le`` stay true."""

# fmt: off
REQUEST = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Seconds of an HTTP request; one that waits for a model is no 10 s request."""

MODEL = (.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600)
"""Seconds of a model call, from a cached answer to a minute of reasoning (quantiles off by 22% at most)."""

AGENT = (.05, .1, .25, .5, 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600)
"""Seconds of an agent's execution."""

QUERY = (.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
"""Seconds of a database statement; holds the bounds of OpenTelemetry's ``db.client.operation.duration``."""

CONTEXT_BYTES = (1024, 4096, 16384, 65536, 262144, 1048576, 4194304)
"""Bytes of an agent's context."""
# fmt: on
