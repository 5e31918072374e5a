"""A shop that takes orders: requests, a database, a model, and an event of its own. ``uvicorn shop:app`` serves it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, HTTPException
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel, Field
from sparklio.events import Dollars, Label, Signal
from sparklio.metrics import counter, instrument
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from orders import FILE, metadata, orders

engine = create_async_engine(f"sqlite+aiosqlite:///{FILE}")
client = AsyncOpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=0, timeout=20)
PRICES = {"lamp": 40.0, "chair": 90.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """A customer placed an order."""

    product: Label
    country: Label
    price: Dollars
    order_id: str  # for listeners: never a label


order_placed = Signal(OrderPlaced)
ROWS = (
    counter("orders_total", "Orders placed.", order_placed, labels=("product", "country")),
    counter("revenue_usd_total", "What orders brought.", order_placed, value="price", labels=("product",)),
)
LIMITS = {"product": 20, "country": 50}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(title="Shop", version="1.0", lifespan=lifespan)
instrument(app, namespace="shop", engine=engine, clients=[client], rows=ROWS, label_limits=LIMITS)


class Order(BaseModel):
    product: str
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]


@app.post("/orders", status_code=201)
async def place_order(order: Order) -> dict[str, object]:
    if order.product not in PRICES:
        raise HTTPException(404, f"there is no {order.product}")
    price = PRICES[order.product]
    async with engine.begin() as connection:
        placed = insert(orders).values(**order.model_dump(), price=price).returning(orders.c.id)
        order_id = await connection.scalar(placed)
    order_placed.emit(product=order.product, country=order.country, price=price, order_id=str(order_id))
    return {"id": order_id, "price": price, "thanks": await thanks_for(order)}


@app.get("/orders/{order_id}")
async def show_order(order_id: int) -> dict[str, object]:
    async with engine.connect() as connection:
        found = (await connection.execute(select(orders).where(orders.c.id == order_id))).mappings().first()
    if found is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return {**found}


async def thanks_for(order: Order) -> str:
    """Return a model's thanks, plain ones where it does not answer: no order fails for want of them."""
    asked = f"Thank a customer in {order.country} for ordering a {order.product}, in one sentence."
    try:
        answer = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": asked}]
        )
    except OpenAIError:
        return "Thank you for your order."
    return answer.choices[0].message.content or ""


@order_placed.connect
def note(event: OrderPlaced) -> None:
    """Print an order: a listener, which the code that takes orders does not know of."""
    print(f"order {event.order_id}: a {event.product} to {event.country}")
