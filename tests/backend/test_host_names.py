"""The names in SPARKLIO_ALLOWED_HOSTS are ones that a Host header can have; others are refused at the start."""

from __future__ import annotations

import pytest

from app.api.host_check import HostCheck
from app.settings import Settings
from app.settings_loading import InvalidSettings, load_settings


@pytest.mark.parametrize(
    "text",
    [
        "https://studio.example.com", "studio.example.com:443", "studio.example.com:443,other.example.com/",
        "good.example.com,other.example.com/", "studio.example.com/path", "a.example.com b.example.com",
        "a.example.com;b.example.com", "*example.com", "studio.*", "*.", "*.*", ".example.com", "a..example.com",
        '["studio.example.com"]', "user@studio.example.com", "b\u00fccher.example", "[::1", "[::1]:8000",
        "192.0.2.7:80", "192.0.2.0/24", "-a.example.com", "a" * 254, ",", "'studio.example.com'",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SPARKLIO_ALLOWED_HOSTS", text)
    with pytest.raises(InvalidSettings, match=r"SPARKLIO_ALLOWED_HOSTS .*as in studio\.example\.com|there is no name"):
        load_settings()


def test_names_and_addresses_are_taken_as_requests_ask_for_them() -> None:
    settings = Settings(
        allowed_hosts=" Studio.Example.com.,*.team.example , 192.0.2.7,[2001:DB8:0::7], my_host,xn--bcher-kva.example,"
    )
    check = HostCheck(settings.host_names)
    for host in (
        "studio.example.com:443", "a.team.example", "192.0.2.7:8000", "[2001:db8::7]:8000", "my_host",
        "xn--bcher-kva.example",
    ):  # fmt: skip
        assert check.allows_host(host.encode()), host
    assert HostCheck(Settings(allowed_hosts="*").host_names).allows_host(b"any.example")
