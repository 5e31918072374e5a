# %% [markdown]
# # How many orders tomorrow?
# A notebook in the format of Jupytext, VS Code and Spyder: cells begin with `# %%`, and may be run again in any order.

# %% Once: what this notebook serves, for as long as its kernel lives
import math
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry
from sparklio.events import Signal
from sparklio.metrics import histogram, serve, subscribe

registry = CollectorRegistry()
server = serve(registry, port=9300)
subscription = None
print("metrics at", server.url)


# %% What can happen, and what is counted of it: to be changed and run again
@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastMade:
    """A day's orders were forecast, and it is known how many came."""

    method: Literal["same as yesterday", "mean of a week"]
    error: float


forecast_made = Signal(ForecastMade)
ROWS = [
    histogram(
        "forecast_error_orders",
        "How far off a forecast was.",
        forecast_made,
        value="error",
        labels=("method",),
        buckets=(1, 2, 5, 10, 20),
    ),
]
if subscription is not None:
    subscription.close()
subscription = subscribe(ROWS, registry, namespace="shop")

# %% The orders of eight weeks: more of them at weekends
days = [20 + 10 * (day % 7 in (5, 6)) + round(4 * math.sin(day)) for day in range(56)]

# %% Try both methods on each day
for today in range(7, len(days)):
    tries = {"same as yesterday": days[today - 1], "mean of a week": sum(days[today - 7 : today]) / 7}
    for method, forecast in tries.items():
        forecast_made.emit(method=method, error=abs(forecast - days[today]))

# %% Which is better
for method in tries:
    total = registry.get_sample_value("shop_forecast_error_orders_sum", {"method": method})
    number = registry.get_sample_value("shop_forecast_error_orders_count", {"method": method})
    print(f"{method}: off by {total / number:.1f} orders, of {number:.0f} days")
