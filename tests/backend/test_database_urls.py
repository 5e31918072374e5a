"""What is told of a database's URL: where it is, and no secret."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from app.database import Database, DatabaseUnavailable
from app.database_urls import describe_database, parse_database_url, without_secrets
from app.settings import Settings
from app.workflows import dbos_engine

CANARY = "canary-pw"
SECRETS = [f"password={CANARY}", f"sslpassword={CANARY}", f"options=-c%20x.y%3D{CANARY}", f"passfile=/srv/{CANARY}"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////srv/a.db", "SQLite file /srv/a.db"),
        (f"postgresql://u:{CANARY}@h:5433/d?application_name=x", "PostgreSQL database d at h:5433"),
        ("postgresql:///d?host=/run/pg", "PostgreSQL database d at /run/pg"),
        ("postgresql://u@/d?host=a&host=b&port=1&port=2", "PostgreSQL database d at a,b:1,2"),
        ("postgresql://u@[::1]:5432/d", "PostgreSQL database d at ::1:5432"),
        ("postgresql:///d", "PostgreSQL database d at localhost"),
        *[(f"postgresql://u@h/d?{secret}", "PostgreSQL database d at h") for secret in SECRETS],
    ],
)
def test_a_database_is_described_by_where_it_is(url: str, expected: str) -> None:
    assert describe_database(parse_database_url(url)) == expected


@pytest.mark.parametrize("secret", SECRETS)
async def test_no_secret_of_a_url_is_told(secret: str, free_port: object) -> None:
    assert callable(free_port)
    address = f"postgresql://u:{CANARY}@127.0.0.1:{free_port()}/d?{secret}"
    database = Database(Settings(database_url=address))
    for use in (database.upgrade, database.ping):
        with pytest.raises(DatabaseUnavailable) as caught:
            await use()
        assert CANARY not in str(caught.value)
        assert "PostgreSQL database d at 127.0.0.1:" in str(caught.value)
    await database.close()


def test_a_driver_that_quotes_a_parameter_is_not_repeated() -> None:
    """libpq quotes what it cannot use, before anything is sent."""
    settings = Settings(database_url=f"postgresql://127.0.0.1:1/d?ssl_min_protocol_version={CANARY}")
    engine = dbos_engine.create(settings.dbos_database_url)
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    dbos_engine.dispose(engine)
    said = str(caught.value.orig)
    assert CANARY in said
    assert CANARY not in without_secrets(said, settings.async_database_url)


@pytest.mark.parametrize(
    "said",
    [
        f'FATAL:  invalid value for parameter "x.y": "{CANARY}"',
        f"FATAL:  invalid command-line argument for server process: x.y={CANARY}",
        f"-c x.y={CANARY}",
        f"{CANARY}",
    ],
)
def test_a_server_that_quotes_a_word_of_a_parameter_is_not_repeated(said: str) -> None:
    url = parse_database_url(f"postgresql://h/d?options=-c%20x.y%3D{CANARY}")
    shown = without_secrets(said, url)
    assert CANARY not in shown
    assert "***" in shown


def test_a_text_without_a_secret_stays_as_it_is() -> None:
    said = 'connection to server at "127.0.0.1", port 5432 failed: Connection refused'
    url = "postgresql://u:conn@h/d?sslmode=require&connect_timeout=5&options=-c%20a%3Dto"
    assert without_secrets(said, parse_database_url(url)) == said
    assert without_secrets(said, parse_database_url("sqlite:///a.db")) == said
