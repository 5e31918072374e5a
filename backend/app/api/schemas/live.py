"""The body of the response about the live page: what it shows, its last minutes, and the map of events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Values = dict[str, float | None]


class LiveServer(BaseModel):
    """The processes that serve."""

    version: str
    revision: str
    started_at: float | None = Field(description="Unix time in seconds")
    processes: int = Field(description="Processes that serve; the numbers are the sums over all of them")
    slots: int | None = Field(description="Runs that can be under way at once")


class LiveTile(BaseModel):
    """Some numbers that belong together: values come by the tile's id, by the names of its series."""

    id: str
    title: str
    unit: str = Field(description="Of every series that is not in `units`; ratio is a share of 1")
    units: dict[str, str] = Field(description="Units of series that have another one, by their names")
    promql: str = Field(description="What asks a Prometheus for the same")
    help: str


class LiveChart(LiveTile):
    """A chart: its values come as a tile's do."""

    tab: str
    kind: Literal["line", "stack"]


class LiveHistory(BaseModel):
    """The last fifteen minutes, a moment every five seconds."""

    times: list[float] = Field(description="Unix times in seconds")
    values: dict[str, dict[str, list[float | None]]] = Field(
        description="By id and series, a value for each of the times; null where there is none"
    )


class LiveSignal(BaseModel):
    """A signal, and how many of its events were counted."""

    name: str
    group: str
    count: int


class LiveInstrument(BaseModel):
    """A metric family, the signals that feed it, and how many of the series that it may have it has."""

    family: str
    signal: str = Field(description="The first of `signals`")
    signals: list[str] = Field(description="* is every signal")
    type: str
    labels: list[str]
    series: int
    limit: int
    help: str
    group: str


class LiveListener(BaseModel):
    """A listener of signals: the metrics, one that the emitter calls, or one on a thread of its own."""

    name: str
    kind: Literal["metrics", "direct", "background"]
    signals: list[str]
    failures: int = Field(description="Events that it failed at or lost")


class LiveMap(BaseModel):
    """From signals to instruments and listeners."""

    signals: list[LiveSignal]
    instruments: list[LiveInstrument]
    listeners: list[LiveListener]


class LiveFault(BaseModel):
    """A fault in the way the studio was started, or of what its processes share, that makes its numbers wrong."""

    fault: str
    advice: str


class LiveOut(BaseModel):
    """All that the live page shows when it opens; from then on, the live feed has it."""

    server: LiveServer
    tiles: list[LiveTile]
    charts: list[LiveChart]
    history: LiveHistory
    map: LiveMap
    pipeline: list[LiveFault]
