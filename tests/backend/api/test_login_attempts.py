"""Wrong keys are counted by address, for a minute, and for a bounded number of addresses."""

from __future__ import annotations

import pytest

from app.api import login_attempts
from app.api.login_attempts import WINDOW, LoginAttempts, network_of


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_may_try_again_when_the_minute_is_over() -> None:
    clock = Clock()
    attempts = LoginAttempts(3, clock)
    for _ in range(3):
        assert attempts.retry_after("192.0.2.1") == 0
        attempts.count_failure("192.0.2.1")
        clock.now += 10
    assert attempts.retry_after("192.0.2.1") == 30
    assert attempts.retry_after("192.0.2.2") == 0
    clock.now += 29.5
    assert attempts.retry_after("192.0.2.1") == 1
    clock.now += 0.5
    assert attempts.retry_after("192.0.2.1") == 0
    attempts.count_failure("192.0.2.1")
    assert attempts.retry_after("192.0.2.1") == 0


def test_no_more_addresses_are_remembered_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_attempts, "MAX_ADDRESSES", 100)
    attempts = LoginAttempts(1, Clock())
    for number in range(1000):
        attempts.count_failure(f"10.0.{number // 250}.{number % 250}")
    assert len(attempts._counts) == 100
    assert attempts.retry_after("10.0.3.249") == WINDOW
    assert attempts.retry_after("10.0.0.0") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_address_is_counted_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
