"""Live numbers: what a Prometheus would say of a registry now, said by the process itself.

`expressions` are rates, ratios, quantiles and sums that are PromQL and a value at once: the text asks a Prometheus, the
value is computed from two snapshots of a registry (`snapshot`, of `sources`). `tiles` has the form of tables of them,
`history` keeps the last minutes, and `sampler` reads in a thread of its own at a bounded cost. `flow_map` says which
signals feed which instruments and who else listens, `findings` what is wrong with the numbers; `live_numbers` is all of
it for a page.
"""

from .expressions import Expression, Increase, Latest, Quantile, Rate, Ratio
from .flow_map import FlowMap, Listener
from .history import History
from .live_numbers import LiveNumbers
from .sampler import Sampler
from .snapshot import Snapshot, SnapshotReader
from .tiles import Chart, Tile

__all__ = [
    "Chart",
    "Expression",
    "FlowMap",
    "History",
    "Increase",
    "Latest",
    "Listener",
    "LiveNumbers",
    "Quantile",
    "Rate",
    "Ratio",
    "Sampler",
    "Snapshot",
    "SnapshotReader",
    "Tile",
]
