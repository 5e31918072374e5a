"""The table of orders, which the shop and its worker have in common."""

from sqlalchemy import Column, Float, Integer, MetaData, String, Table

FILE = "shop.db"
metadata = MetaData()
orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("product", String, nullable=False),
    Column("country", String, nullable=False),
    Column("price", Float, nullable=False),
    Column("state", String, nullable=False, default="placed"),
)
