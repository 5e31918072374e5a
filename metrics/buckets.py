"""The buckets of histograms, by what they measure.

Each bound is a series of every child, so where there is a child for each agent, table or step, bounds are few: those
that a 95th percentile needs.
"""

# fmt: off
REQUEST = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Seconds of an HTTP request: fine where an API answers, to five minutes where one waits for a model."""

FIRST_BYTE = (.01, .05, .25, 1, 5, 30)
"""Seconds to the first byte of an HTTP answer."""

STREAM = (10, 60, 600)
"""Seconds of a streamed answer: a model's words, a report, a feed that stays open."""

BODY_BYTES = (0, 1024, 16384, 262144, 4194304, 67108864)
"""Bytes of the body of an HTTP request or answer; many have none."""

WEBSOCKET = (1, 10, 60, 600, 3600, 86400)
"""Seconds that a websocket was open."""

MODEL = (.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600)
"""Seconds of a model call, from a cached answer to a minute of reasoning (quantiles off by 22% at most)."""

AGENT = (.05, .25, 1, 2, 5, 10, 30, 60, 120, 600)
"""Seconds of an agent's execution."""

QUERY = (.001, .005, .01, .05, .1, .5, 1, 5, 10)
"""Seconds of a database statement: the bounds of OpenTelemetry's ``db.client.operation.duration``."""

CONTEXT_BYTES = (1024, 4096, 16384, 65536, 262144, 1048576)
"""Bytes of an agent's context."""

CONTEXT_TOKENS = (256, 1024, 4096, 8192, 16384, 32768, 131072, 200000, 1048576)
"""Tokens of an agent's context; the windows of usual models are among the bounds."""

WINDOW_RATIO = (.25, .5, .7, .8, .9, 1, 2)
"""The ratio of a context to its model's window; past 1 is what was wanted before a cut."""

CALLS = (0, 1, 2, 4, 8, 16, 64)
"""Calls of one kind in one agent execution or workflow run."""

TOOL = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Seconds of a tool call."""

RETRIEVAL = (.005, .025, .1, .5, 2.5, 10)
"""Seconds of a lookup of documents."""

DOCUMENTS = (0, 1, 3, 10, 30)
"""Documents that one lookup found."""

GUARDRAIL = (.001, .01, .1, .5, 2, 10)
"""Seconds that the check of a guardrail took: a pattern at once, a model in seconds."""

SCORE = (.2, .4, .6, .8, 1)
"""The score of an answer, from 0 to 1."""

WORKFLOW = (.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds of a workflow run."""

QUEUE_WAIT = (.01, .1, .5, 1, 5, 10, 30, 60, 120, 300, 1800)
"""Seconds that a run waited in the queue."""

STEP = (.05, .25, 1, 5, 10, 30, 120, 600)
"""Seconds of one step of a run."""

RENDER = (.001, .005, .01, .025, .05, .1, .5, 1, 5, 10)
"""Seconds of writing an answer to a scrape; Prometheus gives up after 10 by default."""

POOL_WAIT = (.0001, .001, .01, .05, .1, .5, 1, 5, 30)
"""Seconds of waiting for a connection of a pool; the pool's timeout is 30 by default."""

HOLD = (.001, .01, .1, .5, 1, 10, 60, 120, 300)
"""Seconds that a connection was held, or a transaction lasted: one held during a model call is among the last."""

CONNECT = (.001, .005, .01, .05, .1, .5, 1, 5)
"""Seconds that making a connection took."""

LIFETIME = (1, 10, 60, 300, 900, 1800, 3600, 14400)
"""Seconds that a connection lasted; they are recycled after half an hour or an hour."""

QUERIES = (1, 5, 10, 20, 50, 100, 500)
"""Statements sent by one request, agent execution or workflow run."""

QUERIES_SECONDS = (*QUERY, 30, 60)
"""Seconds of database time in one request, agent execution or workflow run."""

MODEL_QUEUE = (.01, .1, .5, 1, 5, 15, 60)
"""Seconds that a model call waited in a limiter's queue; those that began at once are in the first."""

FIRST_TOKEN = (.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
"""Seconds until a model's first token."""

FIRST_TOKEN_OF_AGENT = (.05, .25, 1, 2, 5, 10, 30, 120)
"""Seconds until a model's first token, by agent: half of the bounds, as there is a series of each for every agent."""

TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""Tokens of a model call: the bounds of OpenTelemetry's ``gen_ai.client.token.usage``."""

LAG = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
"""Seconds that an event loop was late."""

NEXT_TOKEN = (.002, .005, .01, .02, .03, .05, .075, .1, .15, .25, .5, 1, 2.5)
"""Seconds between two tokens of a model."""
# fmt: on
