"""A worker that ships what was ordered and serves its metrics on a port of its own. ``python worker.py``."""

import signal
import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from sparklio.events import Key, Label, Seconds, Signal, Span, Status
from sparklio.events.bridges.sqlalchemy import instrument
from sparklio.metrics import buckets, counter, gauge, histogram, in_flight, process_lifespan, serve, subscribe
from sqlalchemy import create_engine, func, select, update

from orders import FILE, metadata, orders

CARRIERS = {"KR": "hanjin", "DE": "dhl", "US": "ups"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentStarted:
    """The worker took up an order."""

    order_id: Key
    country: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentFinished:
    """An order was handed to a carrier, or could not be."""

    order_id: Key
    country: Label
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRead:
    """The worker looked how many orders wait."""

    orders: int


shipment_started, shipment_finished, queue_read = Signal(ShipmentStarted), Signal(ShipmentFinished), Signal(QueueRead)
shipment = Span(shipment_started, shipment_finished)
ROWS = (
    counter("shipments_total", "Shipments that ended.", shipment_finished, labels=("country", "status")),
    histogram("shipment_duration_seconds", "Time.", shipment_finished, value="duration", buckets=buckets.REQUEST),
    in_flight("active_shipments", "Shipments under way.", shipment),
    gauge("waiting_orders", "Orders that wait, as they were read last.", queue_read, value="orders"),
)

engine = create_engine(f"sqlite:///{FILE}")
instrument(engine, metadata=metadata)
registry = CollectorRegistry()
subscribe(("database", "workers", *ROWS), registry, namespace="shop", label_limits={"country": 50})


def ship_next() -> bool:
    """Ship the oldest order that waits, and return whether there was one."""
    with engine.begin() as connection:
        waiting = orders.c.state == "placed"
        queue_read.emit(orders=connection.execute(select(func.count()).where(waiting)).scalar_one())
        order = connection.execute(select(orders).where(waiting).order_by(orders.c.id)).first()
        if order is None:
            return False
        state = "lost"
        try:
            with shipment(order_id=str(order.id), country=order.country):
                state = f"with {CARRIERS[order.country]}"
        except KeyError:
            print(f"order {order.id}: no carrier goes to {order.country}")
        connection.execute(update(orders).where(orders.c.id == order.id).values(state=state))
        return True


if __name__ == "__main__":
    stopping: list[int] = []  # the signals that came: the order that it is at is shipped first
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    metadata.create_all(engine)
    with process_lifespan(), serve(registry, port=9200):
        while not stopping:
            if not ship_next():
                time.sleep(0.2)
