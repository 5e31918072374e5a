"""Only the studio's own names are served, and no page of another site changes anything."""

from __future__ import annotations

import pytest

from app.api.host_check import HostCheck

LOCAL = b"localhost:8000"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LocalHost.", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::ffff:127.0.0.1]"],
)
def test_names_of_the_loopback_interface_are_allowed(host: str) -> None:
    check = HostCheck([])
    assert all(check.allows_host(host.encode()) for _ in range(2))


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
        "evil.localhost.example", "localhost@evil.example", "evil.example#localhost", "localhost evil.example",
        "localhost,evil.example", "localhost:", "localhost:x", "localhost:123456", "[::1", "::1", "[::2]", "10.0.0.1",
        "0.0.0.0", "2130706433", "0x7f.1", "127.1", "\xff",
    ],
)  # fmt: skip
def test_other_names_are_not(host: str) -> None:
    assert not HostCheck(["studio.example"]).allows_host(host.encode("latin-1"))


def test_names_in_the_settings_are_allowed() -> None:
    check = HostCheck(["Studio.example", "*.team.example", "192.0.2.7", "[2001:db8::7]"])
    for host in (
        "studio.example",
        "STUDIO.example:443",
        "a.team.example",
        "a.b.team.example",
        "192.0.2.7",
        "[2001:db8::7]:1",
    ):
        assert check.allows_host(host.encode())
    for host in ("team.example", "xteam.example", "studio.example.evil.example", "192.0.2.8"):
        assert not check.allows_host(host.encode())
    assert HostCheck(["*"]).allows_host(b"anything.example")
    assert not HostCheck(["*"]).allows_host(b"no host")


def test_names_that_were_allowed_are_remembered_up_to_a_number() -> None:
    check = HostCheck(["*"])
    for number in range(1000):
        assert check.allows_host(f"host{number}".encode())
    assert len(check._known) == 100


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", None),
        ("http://evil.example", "cross-site"),
        ("http://evil.example", "same-origin"),
        ("http://localhost:3000", "same-site"),
        ("http://localhost:3000", None),
        ("http://localhost", None),
        ("http://localhost:8000.evil.example", None),
        ("http://evil.example:8000", None),
        ("http://localhost:x", None),
        ("http://localhost:8000", "cross-site"),
        ("ftp://localhost:8000", None),
        ("null", None),
        ("", None),
        (None, "cross-site"),
        (None, "same-site"),
        (None, "anything"),
    ],
)
def test_what_another_sites_page_changes_is_refused(origin: str | None, site: str | None) -> None:
    given = [None if value is None else value.encode() for value in (origin, site)]
    assert not HostCheck([]).allows_origin(LOCAL, *given)


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("localhost:8000", None, None),
        ("localhost:8000", None, "none"),
        ("localhost:8000", None, "same-origin"),
        ("localhost:8000", "http://localhost:8000", None),
        ("localhost:8000", "http://LOCALHOST:8000", "same-origin"),
        ("[::1]:8000", "http://[::1]:8000", None),
        ("studio.example", "https://studio.example", None),
        ("studio.example", "https://studio.example:443", "same-origin"),
        ("127.0.0.1:8000", "https://studio.example", "same-origin"),
    ],
    ids=repr,
)
def test_what_the_studios_own_page_or_no_page_changes_is_not(host: str, origin: str | None, site: str | None) -> None:
    given = [None if value is None else value.encode() for value in (origin, site)]
    assert HostCheck(["studio.example"]).allows_origin(host.encode(), *given)


def test_another_port_of_a_name_in_the_settings_is_another_site() -> None:
    assert not HostCheck(["studio.example"]).allows_origin(b"127.0.0.1", b"https://studio.example:8443", None)


@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "cross-site", "none"])
@pytest.mark.parametrize("origin", ["http://192.0.2.5", "https://192.0.2.5", "http://127.0.0.1", "https://localhost"])
def test_a_page_on_another_port_of_the_studios_own_address_is_another_site(origin: str, site: str | None) -> None:
    """Port 80 and 443 too, which an Origin does not name."""
    given = origin.encode(), None if site is None else site.encode()
    for check in (HostCheck([], own=["192.0.2.5"]), HostCheck(["localhost", "127.0.0.1"], own=["192.0.2.5"])):
        assert check.allows_host(b"192.0.2.5:8000")
        for host in (b"192.0.2.5:8000", LOCAL, b"127.0.0.1:8000"):
            assert not check.allows_origin(host, *given)


def test_a_studio_on_port_80_of_its_own_address_serves_its_own_pages() -> None:
    check = HostCheck([], own=["192.0.2.5"])
    assert check.allows_origin(b"192.0.2.5", b"http://192.0.2.5", b"same-origin")
    assert check.allows_origin(b"192.0.2.5:8000", b"http://192.0.2.5:8000", None)


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"none"])
def test_behind_a_proxy_the_browser_still_says_whose_page_it_is(site: bytes) -> None:
    assert not HostCheck(["studio.example"]).allows_origin(b"127.0.0.1:8000", b"https://studio.example", site)
