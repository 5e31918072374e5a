"""An API that other machines reach asks for a key, or says in words that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.server.public_bind import validate_public_bind
from app.server.startup_error import StartupError
from app.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "[::]", "2001:db8::1"])
def test_a_public_address_needs_a_key_or_a_word(host: str, tmp_path: Path) -> None:
    host = host.strip("[]")
    with pytest.raises(StartupError, match=r"SPARKLIO_API_KEYS=.*SPARKLIO_ALLOW_ANYONE=true"):
        validate_public_bind(Settings(host=host))
    (tmp_path / "keys").write_text("alice:a-long-key")
    validate_public_bind(Settings(host=host, api_keys="alice:a-long-key"))
    validate_public_bind(Settings(host=host, api_keys_file=tmp_path / "keys"))
    validate_public_bind(Settings(host=host, allow_anyone=True))


def test_a_worker_has_no_api_to_protect() -> None:
    url = "postgresql://user:password@host/name"
    validate_public_bind(Settings(host="0.0.0.0", role="worker", database_url=url))
    with pytest.raises(StartupError):
        validate_public_bind(Settings(host="0.0.0.0", role="api", database_url=url))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_loopback_interface_needs_none(host: str) -> None:
    validate_public_bind(Settings(host=host))


def test_a_host_that_does_not_exist_is_the_listeners_to_report() -> None:
    validate_public_bind(Settings(host="no-such-host.invalid"))
