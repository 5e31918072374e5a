"""ORM models of users with posts, and twenty of each."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """The models' declarative base."""


class User(Base):
    """A user, whose posts are loaded lazily."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    posts: Mapped[list[Post]] = relationship()


class Post(Base):
    """A user's post."""

    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))


def create_blog(engine: sa.Engine) -> None:
    """Create both tables, with twenty users who have a post each."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(User(id=number, posts=[Post(user_id=number)]) for number in range(20))
